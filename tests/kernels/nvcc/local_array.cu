// A kernel that nvcc has to refuse: an array whose elements are chosen while it runs lies in local memory.
#include "gpu.h"

__global__ void local_array_kernel(float* out, const int* at, int n) {
  float values[64];
  for (int i = 0; i < 64; i++) values[i] = 2.0f * out[i];
  for (int i = 0; i < n; i++) values[at[i] & 63] += 1.0f;
  for (int i = 0; i < 64; i++) out[i] = values[at[i] & 63];
}
