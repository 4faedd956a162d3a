// The twin of ptx/sm_90.h: mbarrier, and loads by TMA.
#pragma once

#include "engine.h"

#define GPU_GRID_CONSTANT

// As opaque and as large as the driver's.
struct alignas(64) CUtensorMap {
  unsigned long long opaque[16];
};

namespace emulator {

// A matrix of bf16, rows after each other, and the box of one load.
struct TensorMap {
  const char* base;
  uint64_t columns, rows;
  unsigned box_columns, box_rows;
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

// Returns 0, or 1 (CUDA_ERROR_INVALID_VALUE) where the driver refuses these sizes.
int make_tensor_map(CUtensorMap* map, const void* base, uint64_t columns, uint64_t rows, unsigned box_columns,
                    unsigned box_rows);
void load_tensor(void* shared, const CUtensorMap* map, unsigned long long* barrier, int x, int y, Site site);
// Carries out the loads that this barrier waits for.
void deliver_loads(unsigned long long* barrier);

// Where an address of shared memory lies once its place has been swizzled: bits 4 to 6 change by bits 7 to 9.
constexpr uint64_t swizzle_128(uint64_t offset) { return offset ^ (offset >> 7 & 7) << 4; }

void mbarrier_init(unsigned long long* barrier, unsigned arrivals, Site site);
// Arrives once, and before that lets the phase wait for bytes.
void mbarrier_arrive(unsigned long long* barrier, unsigned bytes, Site site);
void mbarrier_wait(unsigned long long* barrier, unsigned parity, Site site);
// A load has brought bytes.
void mbarrier_complete(unsigned long long* barrier, unsigned bytes, Site site);

}  // namespace emulator

// The address of dynamic shared memory as the hardware numbers it.
inline unsigned gpu_saddr(const void* shared) {
  return unsigned(static_cast<const char*>(shared) - static_cast<const char*>(emulator::dynamic_shared()));
}

inline int gpu_make_tmap_2d(CUtensorMap* map, const void* base, unsigned long long columns, unsigned long long rows,
                            unsigned box_columns, unsigned box_rows) {
  return emulator::make_tensor_map(map, base, columns, rows, box_columns, box_rows);
}

inline void gpu_tma_load_2d(void* shared, const CUtensorMap* map, unsigned long long* barrier, int x, int y,
                            emulator::Site site = emulator::Site::current()) {
  emulator::load_tensor(shared, map, barrier, x, y, site);
}

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
