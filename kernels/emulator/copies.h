// cp.async: copies of 16 bytes to shared memory, in groups that are waited for.
#pragma once

#include "engine.h"

namespace emulator {

void copy_async(void* shared, const void* global, bool is_wanted, Site site);
void commit_copies();
// Waits until at most so many of the newest groups are not done.
void wait_for_copies(unsigned groups);

}  // namespace emulator

inline void gpu_cp_async16(void* shared, const void* global, bool is_wanted,
                           emulator::Site site = emulator::Site::current()) {
  emulator::copy_async(shared, global, is_wanted, site);
}

inline void gpu_cp_async_commit() { emulator::commit_copies(); }

template <int groups>
inline void gpu_cp_async_wait() {
  emulator::wait_for_copies(groups);
}
