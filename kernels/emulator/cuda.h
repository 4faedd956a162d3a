// CUDA C++ for a host compiler: the words of the language, and the headers with everything that kernels call.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "atomics.h"
#include "bfloat16.h"
#include "engine.h"
#include "intrinsics.h"
#include "launch.h"
#include "meeting.h"
#include "runtime.h"
#include "sm_80.h"
#include "sm_90.h"
#include "sm_90a.h"
#include "types.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)

#define threadIdx (emulator::current->index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)
#define warpSize 32

#define GPU_HD inline

#define GPU_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  emulator::launch(#kernel, (grid), (block), (shared_bytes), (stream), kernel __VA_OPT__(, ) __VA_ARGS__)

#define GPU_SHARED(T, name, ...)                                                       \
  static char name##_key_;                                                             \
  using name##_type_ = T __VA_ARGS__;                                                  \
  name##_type_& name = *static_cast<name##_type_*>(                                    \
      emulator::static_shared(&name##_key_, sizeof(name##_type_), alignof(name##_type_)))

#define GPU_DYN_SHARED(T, name) T* name = static_cast<T*>(emulator::dynamic_shared())

#define GPU_SPIN_YIELD() emulator::spin("GPU_SPIN_YIELD", emulator::Site::current())
