// cp.async: copies of 16 bytes to shared memory, in groups that are waited for. For sm_80 and later.
#pragma once

#include "shared_address.h"

// Copies 16 bytes, or writes zeros where they are not wanted; both addresses are multiples of 16.
__device__ __forceinline__ void gpu_cp_async16(void* shared, const void* global, bool is_wanted) {
  const int bytes = is_wanted ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(gpu_saddr(shared)), "l"(global), "r"(bytes) : "memory");
}

// Ends a group.
__device__ __forceinline__ void gpu_cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most so many of this thread's newest groups are not done.
template <int groups>
__device__ __forceinline__ void gpu_cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" :: "n"(groups) : "memory");
}
