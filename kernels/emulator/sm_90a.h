// The twin of ptx/sm_90a.h: wgmma.
#pragma once

#include "engine.h"

namespace emulator {

void multiply_async(float* sums, int columns, uint64_t a, uint64_t b, bool adds, Site site);
void commit_products();
// Waits until at most so many of the newest groups are not done.
void wait_for_products(unsigned groups, Site site);
void fence_products(Site site);

}  // namespace emulator

inline void gpu_wgmma_fence(emulator::Site site = emulator::Site::current()) { emulator::fence_products(site); }

inline void gpu_wgmma_commit() { emulator::commit_products(); }

template <int groups>
inline void gpu_wgmma_wait(emulator::Site site = emulator::Site::current()) {
  emulator::wait_for_products(groups, site);
}

#define EMULATOR_WGMMA(columns)                                                                                    \
  inline void gpu_wgmma_m64n##columns##k16(float (&sums)[columns / 2], unsigned long long a, unsigned long long b, \
                                           int adds, emulator::Site site = emulator::Site::current()) {            \
    emulator::multiply_async(sums, columns, a, b, adds != 0, site);                                                \
  }

EMULATOR_WGMMA(64)
EMULATOR_WGMMA(128)
EMULATOR_WGMMA(256)

#undef EMULATOR_WGMMA

// How many registers a warp may use is nothing to the emulator.
template <int registers>
inline void gpu_setmaxnreg_inc() {}

template <int registers>
inline void gpu_setmaxnreg_dec() {}
