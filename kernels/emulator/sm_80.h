// The twin of ptx/sm_80.h: cp.async, ldmatrix and mma.sync.
#pragma once

#include "engine.h"

namespace emulator {

void copy_async(void* shared, const void* global, bool is_wanted, Site site);
void commit_copies();
// Waits until at most so many of the newest groups are not done.
void wait_for_copies(unsigned groups);

void load_matrices(unsigned (&fragments)[4], const void* row, bool is_transposed, Site site);
void multiply_add(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site);

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

inline void gpu_ldmatrix_x4(unsigned (&fragments)[4], const void* row,
                            emulator::Site site = emulator::Site::current()) {
  emulator::load_matrices(fragments, row, false, site);
}

inline void gpu_ldmatrix_x4_trans(unsigned (&fragments)[4], const void* row,
                                  emulator::Site site = emulator::Site::current()) {
  emulator::load_matrices(fragments, row, true, site);
}

inline void gpu_mma_bf16(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                         emulator::Site site = emulator::Site::current()) {
  emulator::multiply_add(sums, a, b, site);
}
