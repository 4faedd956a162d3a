// bf16 as cuda_bf16.h has it: the upper half of a float, rounded to nearest even, every NaN the one NaN 0x7fff.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "types.h"

struct __nv_bfloat16_raw {
  unsigned short x;
};

struct __nv_bfloat16 {
  unsigned short bits;

  __nv_bfloat16() = default;
  __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
  __nv_bfloat16(float value);
  operator float() const;
  operator __nv_bfloat16_raw() const { return {bits}; }
};

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return __nv_bfloat16_raw{bits}; }

inline float __bfloat162float(__nv_bfloat16 value) { return emulator::unpack<float>(uint64_t(value.bits) << 16); }

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const uint32_t bits = uint32_t(emulator::pack(value));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return __ushort_as_bfloat16(0x7fff);
  // Just below one half of the last place, and one more where that place is odd: ties go to even.
  const uint32_t bias = 0x7fffu + (bits >> 16 & 1);
  return __ushort_as_bfloat16(static_cast<unsigned short>((bits + bias) >> 16));
}

inline __nv_bfloat16 __float2bfloat16_rz(float value) {
  const uint32_t bits = uint32_t(emulator::pack(value));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return __ushort_as_bfloat16(0x7fff);
  return __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16));
}

inline __nv_bfloat16 __float2bfloat16(float value) { return __float2bfloat16_rn(value); }

inline __nv_bfloat16::__nv_bfloat16(float value) : __nv_bfloat16(__float2bfloat16_rn(value)) {}
inline __nv_bfloat16::operator float() const { return __bfloat162float(*this); }

inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 pair) { return pair.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 pair) { return pair.y; }
inline float __low2float(__nv_bfloat162 pair) { return __bfloat162float(pair.x); }
inline float __high2float(__nv_bfloat162 pair) { return __bfloat162float(pair.y); }

inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 pair) { return __floats2bfloat162_rn(pair.x, pair.y); }
inline __nv_bfloat162 __float2bfloat162_rn(float value) { return __floats2bfloat162_rn(value, value); }
inline float2 __bfloat1622float2(__nv_bfloat162 pair) {
  return {__bfloat162float(pair.x), __bfloat162float(pair.y)};
}

// Arithmetic in float, rounded once more: what cuda_bf16.h does on a host.
inline __nv_bfloat16 operator+(__nv_bfloat16 x, __nv_bfloat16 y) { return __float2bfloat16_rn(float(x) + float(y)); }
inline __nv_bfloat16 operator-(__nv_bfloat16 x, __nv_bfloat16 y) { return __float2bfloat16_rn(float(x) - float(y)); }
inline __nv_bfloat16 operator*(__nv_bfloat16 x, __nv_bfloat16 y) { return __float2bfloat16_rn(float(x) * float(y)); }
inline __nv_bfloat16 operator/(__nv_bfloat16 x, __nv_bfloat16 y) { return __float2bfloat16_rn(float(x) / float(y)); }
inline __nv_bfloat16 __hadd(__nv_bfloat16 x, __nv_bfloat16 y) { return x + y; }
inline __nv_bfloat16 __hsub(__nv_bfloat16 x, __nv_bfloat16 y) { return x - y; }
inline __nv_bfloat16 __hmul(__nv_bfloat16 x, __nv_bfloat16 y) { return x * y; }
