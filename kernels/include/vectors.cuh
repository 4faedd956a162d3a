// Rows and arrays by vectors of four floats, which a lane moves at once: 16 bytes. Where the length or an address does
// not allow it, the same kernel goes float by float; what it computes for an element is the same.
#pragma once

#include "threads.cuh"

constexpr size_t VECTOR_BYTES = sizeof(float4);

// Whether `length` floats from each of these addresses on are whole vectors.
template <class... Pointers>
bool is_by_vectors(size_t length, const Pointers*... pointers) {
  const bool is_aligned = ((reinterpret_cast<uintptr_t>(pointers) % VECTOR_BYTES == 0) && ...);
  return is_aligned && length * sizeof(float) % VECTOR_BYTES == 0;
}

GPU_HD float4* vectors(float* pointer) { return reinterpret_cast<float4*>(pointer); }
GPU_HD const float4* vectors(const float* pointer) { return reinterpret_cast<const float4*>(pointer); }

// Floats of a T.
template <class T>
constexpr int64_t WIDTH = sizeof(T) / sizeof(float);

// A T of `value`.
template <class T>
__device__ inline T filled(float value) {
  if constexpr (WIDTH<T> == 1) {
    return value;
  } else {
    return make_float4(value, value, value, value);
  }
}

// `f` of the floats at each place.
template <class F, class... Floats>
__device__ inline float each(F f, float x, Floats... more) {
  return f(x, more...);
}
template <class F, class... Vectors>
__device__ inline float4 each(F f, float4 x, Vectors... more) {
  return make_float4(f(x.x, more.x...), f(x.y, more.y...), f(x.z, more.z...), f(x.w, more.w...));
}

template <class T>
__device__ inline T plus(T a, T b) {
  return each([](float x, float y) { return x + y; }, a, b);
}
