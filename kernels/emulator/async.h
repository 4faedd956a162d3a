// Work that a thread has issued and not yet waited for. It is done at the earliest moment that the hardware may choose
// under odd seeds, and at the latest under even ones.
#pragma once

#include <cstdint>
#include <vector>

#include "engine.h"
#include "sm_90.h"

namespace emulator {

// cp.async of 16 bytes; zeros where there is no source.
struct PendingCopy {
  void* to;
  const void* from;
  unsigned group;
  Site site;
};

// wgmma: a thread's part of a product of 64 x 16 by 16 x columns.
struct PendingProduct {
  float* sums;
  int columns;
  uint64_t a, b;
  bool adds;
  unsigned group;
  Site site;
};

// A load of a box by TMA, which belongs to the block.
struct TensorLoad {
  char* to;
  TensorMap map;
  unsigned long long* barrier;
  int x, y;
  Site site;
};

struct ThreadAsync {
  std::vector<PendingCopy> copies;
  unsigned copy_group = 0;
  std::vector<PendingProduct> products;
  unsigned product_group = 0;
};

// Fails where a thread returns, or a block ends, before what was issued is done.
void check_nothing_pending(const ThreadAsync& async);
void check_no_loads_pending(const std::vector<TensorLoad>& loads);

}  // namespace emulator
