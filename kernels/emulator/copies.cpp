// cp.async, and what must not be pending when a thread returns.
#include "sm_80.h"

#include "block.h"
#include "checker/check.h"

namespace emulator {

namespace {

bool is_aligned(const void* memory) { return reinterpret_cast<uintptr_t>(memory) % 16 == 0; }

void carry_out(const PendingCopy& copy) {
  if (copy.from) {
    check::access(copy.from, 16, check::Kind::read, copy.site);
    memcpy(copy.to, copy.from, 16);
  } else {
    memset(copy.to, 0, 16);
  }
  check::access(copy.to, 16, check::Kind::write, copy.site);
}

}  // namespace

void copy_async(void* shared, const void* global, bool is_wanted, Site site) {
  if (!is_aligned(shared) || (is_wanted && !is_aligned(global))) {
    fail(site, "cp.async from %p to %p; wanted addresses that are multiples of 16", global, shared);
  }
  Block& block = this_block();
  ThreadAsync& async = block.async[current->linear];
  const PendingCopy copy{shared, is_wanted ? global : nullptr, async.copy_group, site};
  if (block.is_early) {
    carry_out(copy);
  } else {
    async.copies.push_back(copy);
  }
}

void commit_copies() { this_block().async[current->linear].copy_group++; }

void wait_for_copies(unsigned groups) {
  ThreadAsync& async = this_block().async[current->linear];
  std::vector<PendingCopy> later;
  for (const PendingCopy& copy : async.copies) {
    if (copy.group + groups < async.copy_group) {
      carry_out(copy);
    } else {
      later.push_back(copy);
    }
  }
  async.copies.swap(later);
}

void check_nothing_pending(const ThreadAsync& async) {
  if (!async.copies.empty()) {
    fail(async.copies.front().site, "thread %u returned before this cp.async was waited for", current->linear);
  }
  if (!async.products.empty()) {
    fail(async.products.front().site, "thread %u returned before this wgmma was waited for", current->linear);
  }
}

void check_no_loads_pending(const std::vector<TensorLoad>& loads) {
  if (!loads.empty()) fail(loads.front().site, "the block ended before this load by TMA was waited for");
}

}  // namespace emulator
