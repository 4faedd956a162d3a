// ldmatrix and mma.sync: a warp's matrices, spread over its lanes as PTX says.
#pragma once

#include "engine.h"

namespace emulator {

void load_matrices(unsigned (&fragments)[4], const void* row, bool is_transposed, Site site);
void multiply_add(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site);

}  // namespace emulator

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
