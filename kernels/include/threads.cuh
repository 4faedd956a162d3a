// How kernels share their work: every thread takes elements, or every warp takes rows, in strides of the whole grid.
// Sums over a warp or a block have one order of additions.
#pragma once

#include "call.cuh"

constexpr unsigned FULL_WARP = 0xffffffffu;

// First element of this thread, and the step to its next one.
__device__ inline int64_t first_element() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t element_stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

// Number of this warp's first row, and the step to its next one.
__device__ inline int64_t first_row() { return first_element() / 32; }
__device__ inline int64_t row_stride() { return element_stride() / 32; }

// Lane of this thread in its warp.
__device__ inline int lane_id() { return static_cast<int>(threadIdx.x % 32); }

// Sum over the lanes, or over each LANES neighbours, the same in each: lanes by halves.
template <int LANES = 32, class T>
__device__ inline T warp_sum(T value) {
  for (int step = LANES / 2; step > 0; step /= 2) value += __shfl_xor_sync(FULL_WARP, value, step);
  return value;
}

// The larger one; NaN is passed over.
__device__ inline float larger(float a, float b) { return b > a ? b : a; }

// Largest value of these lanes, the same in each.
template <int LANES = 32>
__device__ inline float warp_max(float value) {
  for (int step = LANES / 2; step > 0; step /= 2) value = larger(value, __shfl_xor_sync(FULL_WARP, value, step));
  return value;
}

// Folds one value per thread of a block of BLOCK threads into one, the same in each: threads by halves.
template <class T, class Fold>
__device__ inline T block_fold(T value, Fold fold) {
  GPU_SHARED(T, shared, [BLOCK]);
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();  // the values of an earlier fold were read
  shared[thread] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] = fold(shared[thread], shared[thread + half]);
    __syncthreads();
  }
  return shared[0];
}

template <class T>
__device__ inline T block_sum(T value) {
  return block_fold(value, [](T a, T b) { return a + b; });
}

__device__ inline float block_max(float value) { return block_fold(value, larger); }
