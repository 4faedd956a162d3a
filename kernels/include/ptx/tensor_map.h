// TMA: loads of boxes of a matrix of bf16 to shared memory, with the swizzle of 128 bytes. For sm_90.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include "shared_address.h"

#define GPU_GRID_CONSTANT __grid_constant__

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
