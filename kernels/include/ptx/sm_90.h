// Instructions of sm_90: mbarrier, which counts arrivals of threads and bytes of loads, phase by phase; TMA, which loads
// boxes of a matrix of bf16 to shared memory, with the swizzle of 128 bytes.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include "sm_80.h"

// Before a kernel's parameter of the type CUtensorMap.
#define GPU_GRID_CONSTANT __grid_constant__

__device__ __forceinline__ void gpu_mbar_init(unsigned long long* barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(gpu_saddr(barrier)), "r"(arrivals) : "memory");
}

// Shows the barriers that this thread has initialised to the copy engine.
__device__ __forceinline__ void gpu_mbar_fence_init() {
  asm volatile("fence.mbarrier_init.release.cluster;\n"
               "fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void gpu_mbar_arrive(unsigned long long* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(gpu_saddr(barrier)) : "memory");
}

// Arrives, and lets the phase wait for so many bytes of loads.
__device__ __forceinline__ void gpu_mbar_expect_tx(unsigned long long* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
               :: "r"(gpu_saddr(barrier)), "r"(bytes) : "memory");
}

// Waits for the end of the phase with this parity: 0 for the first.
__device__ __forceinline__ void gpu_mbar_wait(unsigned long long* barrier, unsigned parity) {
  asm volatile("{\n"
               ".reg .pred done;\n"
               "WAIT_%=:\n"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
               "@done bra DONE_%=;\n"
               "bra WAIT_%=;\n"
               "DONE_%=:\n"
               "}" :: "r"(gpu_saddr(barrier)), "r"(parity) : "memory");
}

// Describes a matrix of bf16, rows after each other, and the box of one load. Returns 0 or the driver's error.
inline int gpu_make_tmap_2d(CUtensorMap* map, const void* base, unsigned long long columns, unsigned long long rows,
                            unsigned box_columns, unsigned box_rows) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  if (error != cudaSuccess || function == nullptr) return CUDA_ERROR_NOT_FOUND;
  const cuuint64_t sizes[2] = {columns, rows};
  const cuuint64_t strides[1] = {columns * 2};
  const cuuint32_t box[2] = {box_columns, box_rows};
  const cuuint32_t steps[2] = {1, 1};
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function)(
      map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(base), sizes, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

// Loads the box at column x and row y; what lies outside the matrix is zero. The barrier gets the box's bytes.
__device__ __forceinline__ void gpu_tma_load_2d(void* shared, const CUtensorMap* map, unsigned long long* barrier, int x,
                                                int y) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
               :: "r"(gpu_saddr(shared)), "l"(map), "r"(gpu_saddr(barrier)), "r"(x), "r"(y) : "memory");
}
