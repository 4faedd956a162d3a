// mbarrier: a barrier in shared memory that counts arrivals of threads and bytes of loads, phase by phase. For sm_90.
#pragma once

#include "shared_address.h"

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
