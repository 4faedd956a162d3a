// The types that CUDA has built in: dim3 and the short vectors, with CUDA's alignments.
#pragma once

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// A vector of one, two and four elements; that of four is aligned to 16 bytes at most.
#define EMULATOR_VECTORS(T, Name)                                                                   \
  struct Name##1 {                                                                                  \
    T x;                                                                                            \
  };                                                                                                \
  struct alignas(2 * sizeof(T)) Name##2 {                                                           \
    T x, y;                                                                                         \
  };                                                                                                \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Name##4 {                                 \
    T x, y, z, w;                                                                                   \
  };                                                                                                \
  constexpr Name##1 make_##Name##1(T x) { return {x}; }                                             \
  constexpr Name##2 make_##Name##2(T x, T y) { return {x, y}; }                                     \
  constexpr Name##4 make_##Name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

#define EMULATOR_VECTOR3(T, Name)                                                                   \
  struct Name##3 {                                                                                  \
    T x, y, z;                                                                                      \
  };                                                                                                \
  constexpr Name##3 make_##Name##3(T x, T y, T z) { return {x, y, z}; }

EMULATOR_VECTORS(signed char, char)
EMULATOR_VECTORS(unsigned char, uchar)
EMULATOR_VECTORS(short, short)
EMULATOR_VECTORS(unsigned short, ushort)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(unsigned, uint)
EMULATOR_VECTORS(long long, longlong)
EMULATOR_VECTORS(unsigned long long, ulonglong)
EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(double, double)
EMULATOR_VECTOR3(int, int)
EMULATOR_VECTOR3(float, float)
EMULATOR_VECTOR3(double, double)

constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }

#undef EMULATOR_VECTORS
#undef EMULATOR_VECTOR3
