// mbarrier: a barrier in shared memory that counts arrivals of threads and bytes of loads, phase by phase.
#pragma once

#include "engine.h"

namespace emulator {

void mbarrier_init(unsigned long long* barrier, unsigned arrivals, Site site);
// Arrives once, and before that lets the phase wait for bytes.
void mbarrier_arrive(unsigned long long* barrier, unsigned bytes, Site site);
void mbarrier_wait(unsigned long long* barrier, unsigned parity, Site site);
// A load has brought bytes.
void mbarrier_complete(unsigned long long* barrier, unsigned bytes, Site site);

}  // namespace emulator

inline void gpu_mbar_init(unsigned long long* barrier, unsigned arrivals,
                          emulator::Site site = emulator::Site::current()) {
  emulator::mbarrier_init(barrier, arrivals, site);
}

inline void gpu_mbar_fence_init() {}

inline void gpu_mbar_arrive(unsigned long long* barrier, emulator::Site site = emulator::Site::current()) {
  emulator::mbarrier_arrive(barrier, 0, site);
}

inline void gpu_mbar_expect_tx(unsigned long long* barrier, unsigned bytes,
                               emulator::Site site = emulator::Site::current()) {
  emulator::mbarrier_arrive(barrier, bytes, site);
}

inline void gpu_mbar_wait(unsigned long long* barrier, unsigned parity,
                          emulator::Site site = emulator::Site::current()) {
  emulator::mbarrier_wait(barrier, parity, site);
}
