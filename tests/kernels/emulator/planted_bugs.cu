// Kernels with one classic fault each, at a line that says so, and one without: what the checker is for.
#include "cases.h"

constexpr int threads = 256;

__global__ void right_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [threads]);
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[threads - 1 - threadIdx.x];
}

__global__ void missing_barrier_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [threads]);
  s[threadIdx.x] = x[threadIdx.x];                // fault: missing_barrier
  y[threadIdx.x] = s[threads - 1 - threadIdx.x];  // fault: missing_barrier
}

__global__ void read_out_of_bounds_kernel(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x + 1];  // fault: read_out_of_bounds
}

__global__ void shared_out_of_bounds_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [threads - 1]);
  s[threadIdx.x] = x[threadIdx.x];  // fault: shared_out_of_bounds
  __syncthreads();
  y[threadIdx.x] = s[0];
}

__global__ void uninitialised_shared_kernel(const float*, float* y) {
  GPU_SHARED(int, counts, [64]);
  atomicAdd(&counts[threadIdx.x & 63], 1);  // fault: uninitialised_shared
  __syncthreads();
  y[threadIdx.x] = counts[0];
}

__global__ void missing_warp_barrier_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [threads]);
  s[threadIdx.x] = x[threadIdx.x];      // fault: missing_warp_barrier
  y[threadIdx.x] = s[threadIdx.x ^ 1];  // fault: missing_warp_barrier
}

__global__ void race_between_blocks_kernel(const float* x, float* y) {
  if (threadIdx.x == 0) y[0] += x[blockIdx.x];  // fault: race_between_blocks
}

__global__ void divergent_barrier_kernel(const float* x, float* y) {
  if (threadIdx.x < 100) __syncthreads();  // fault: divergent_barrier
  y[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x >= 100) __syncthreads();  // fault: divergent_barrier
}

__global__ void shuffle_with_returned_lane_kernel(const float* x, float* y) {
  if (threadIdx.x % 32 == 31) return;
  y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);  // fault: shuffle_with_returned_lane
}

__global__ void shuffle_in_a_branch_kernel(const float* x, float* y) {
  float value = x[threadIdx.x];
  if (threadIdx.x < 16) value = __shfl_xor_sync(0xffffffffu, value, 1);  // fault: shuffle_in_a_branch
  y[threadIdx.x] = value;
}

__global__ void mask_without_caller_kernel(const float* x, float* y) {
  y[threadIdx.x] = __shfl_sync(0x0000ffffu, x[threadIdx.x], 0);  // fault: mask_without_caller
}

__global__ void missing_second_barrier_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [threads]);
  for (int round = 0; round < 4; round++) {
    s[threadIdx.x] = x[threadIdx.x] + round;  // fault: missing_second_barrier
    __syncthreads();
    y[threadIdx.x] = s[threads - 1 - threadIdx.x];  // fault: missing_second_barrier
  }
}

__global__ void uninitialised_global_kernel(const float*, float* y) {
  y[threadIdx.x] = y[threadIdx.x] + 1;  // fault: uninitialised_global
}

__global__ void overlapping_widths_kernel(const float*, float* y) {
  uint4* wide = reinterpret_cast<uint4*>(y);
  if (threadIdx.x < 64) wide[threadIdx.x] = make_uint4(0, 0, 0, 0);  // fault: overlapping_widths
  if (threadIdx.x == 64) y[3] = 1.0f;                                // fault: overlapping_widths
}

static void launch_planted(void (*kernel)(const float*, float*), int blocks, bool is_zeroed) {
  DeviceArray<float> x(std::vector<float>(threads, 1.0f));
  DeviceArray<float> y(threads);
  if (is_zeroed) cudaMemset(y.get(), 0, threads * sizeof(float));
  GPU_LAUNCH(kernel, blocks, threads, 0, nullptr, x.get(), y.get());
}

#define PLANTED(name, failure) \
  FAILS(name, failure) { launch_planted(name##_kernel, 1, false); }

TEST(right) { launch_planted(right_kernel, 1, false); }

PLANTED(missing_barrier, " race")
PLANTED(read_out_of_bounds, "out-of-bounds read")
PLANTED(shared_out_of_bounds, "out-of-bounds write")
PLANTED(uninitialised_shared, "read of uninitialised memory")
PLANTED(missing_warp_barrier, " race")
FAILS(race_between_blocks, " race") { launch_planted(race_between_blocks_kernel, 4, true); }
PLANTED(divergent_barrier, "divergent barrier")
PLANTED(shuffle_with_returned_lane, "__shfl_xor_sync")
PLANTED(shuffle_in_a_branch, "__shfl_xor_sync")
PLANTED(mask_without_caller, "which it is not in")
PLANTED(missing_second_barrier, " race")
PLANTED(uninitialised_global, "read of uninitialised memory")
PLANTED(overlapping_widths, "write-write race")
