// The one header that kernels include: CUDA itself under nvcc, the emulator under any other compiler.
//
//   GPU_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)   kernel<<<...>>>(arguments...)
//   GPU_SHARED(T, name, [A][B])                                           an array in static shared memory
//   GPU_DYN_SHARED(T, name)                                               T* to the dynamic shared memory
//   GPU_HD                                                                a function of the host and the device
//   GPU_SPIN_YIELD()                                                      in the body of a loop that waits for memory
//
// Instructions that CUDA C++ has no words for stand in ptx/, each in a small function that the emulator has a twin of:
// gpu_cp_async16, gpu_ldmatrix_x4, gpu_mma_bf16, gpu_mbar_wait, gpu_tma_load_2d, gpu_wgmma_m64n128k16 and others.
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

// Whether this compilation is one for sm_90a, whose wgmma and setmaxnreg no later architecture has.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GPU_HAS_WGMMA 1
#else
#define GPU_HAS_WGMMA 0
#endif

#include "ptx/sm_80.h"
#include "ptx/sm_90.h"
#include "ptx/sm_90a.h"

#else

#define GPU_HAS_WGMMA 1

#include "../emulator/cuda.h"

#endif

// The descriptor of a tile in shared memory for wgmma: K-major, rows of 64 elements, the swizzle of 128 bytes, groups
// of eight rows after each other.
GPU_HD unsigned long long gpu_desc_k128(unsigned address) {
  constexpr unsigned long long leading = 1;
  constexpr unsigned long long stride = 1024 >> 4;
  constexpr unsigned long long swizzle_128 = 1;
  return (address & 0x3ffff) >> 4 | leading << 16 | stride << 32 | swizzle_128 << 62;
}
