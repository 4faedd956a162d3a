// The one header that kernels include: CUDA itself under nvcc, the emulator under any other compiler.
//
//   GPU_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)   kernel<<<...>>>(arguments...)
//   GPU_SHARED(T, name, [A][B])                                           an array in static shared memory
//   GPU_DYN_SHARED(T, name)                                               T* to the dynamic shared memory
//   GPU_HD                                                                a function of the host and the device
//   GPU_SPIN_YIELD()                                                      in the body of a loop that waits for memory
//
// A template kernel with several arguments is put into parentheses: GPU_LAUNCH((kernel<64, 8>), ...).
#pragma once

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define GPU_HD __host__ __device__ __forceinline__

#define GPU_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

#define GPU_SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__

#define GPU_DYN_SHARED(T, name)                                              \
  extern __shared__ __align__(1024) unsigned char gpu_dynamic_shared[];      \
  T* name = reinterpret_cast<T*>(gpu_dynamic_shared)

#define GPU_SPIN_YIELD() ((void)0)

#else

#include "../emulator/cuda.h"

#endif
