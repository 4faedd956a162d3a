// The scalar functions that CUDA has built in. The approximate ones are exact here, so only a GPU shows their error.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "engine.h"

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x != 0 ? __builtin_clz(unsigned(x)) : 32; }

inline int __float_as_int(float x) { return emulator::unpack<int>(emulator::pack(x)); }
inline float __int_as_float(int x) { return emulator::unpack<float>(emulator::pack(x)); }
inline unsigned __float_as_uint(float x) { return emulator::unpack<unsigned>(emulator::pack(x)); }
inline float __uint_as_float(unsigned x) { return emulator::unpack<float>(x); }

// Sine and cosine of pi x; whole turns are taken off first, which is exact.
inline double sinpi(double x) { return std::sin(M_PI * (x - 2 * std::round(x / 2))); }
inline double cospi(double x) { return std::cos(M_PI * (x - 2 * std::round(x / 2))); }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __frsqrt_rn(float x) { return float(1.0 / std::sqrt(double(x))); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }

// Single roundings, which a compiler must not fuse.
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }

template <class T>
T __ldg(const T* address) {
  return *address;
}

template <class T>
T __ldcs(const T* address) {
  return *address;
}

template <class T>
void __stcs(T* address, T value) {
  *address = value;
}

template <class T>
T min(T x, std::type_identity_t<T> y) {
  return x < y ? x : y;
}

template <class T>
T max(T x, std::type_identity_t<T> y) {
  return x > y ? x : y;
}
