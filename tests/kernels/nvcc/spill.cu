// A kernel that nvcc has to refuse: two blocks of 1,024 threads leave 32 registers to each of its 96 sums.
#include "gpu.h"

__global__ void __launch_bounds__(1024, 2) spill_kernel(float* out, const float* x, int n) {
  float sums[96] = {};
  for (int k = 0; k < n; k++) {
#pragma unroll
    for (int i = 0; i < 96; i++) sums[i] += x[k * 96 + i] * sums[(i + 7) % 96];
  }
#pragma unroll
  for (int i = 0; i < 96; i++) out[i] = sums[i];
}
