// Where threads meet: the block's barrier, the exchange of values within a warp, and the report when nobody comes.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "block.h"
#include "checker/check.h"

namespace emulator {

namespace {

// The group that collects under this mask, or a free one.
Group& group_of(Warp& warp, uint32_t mask) {
  Group* free_group = nullptr;
  for (Group& group : warp.groups) {
    if (group.arrived != 0 && group.mask == mask) return group;
    if (!free_group && group.arrived == 0 && group.unread == 0) free_group = &group;
  }
  free_group->mask = mask;
  return *free_group;
}

}  // namespace

Votes block_barrier(const char* operation, bool vote, Site site) {
  Block& block = this_block();
  Barrier& barrier = block.barrier;
  const unsigned use = barrier.generation & 1;
  if (barrier.arrived == 0) {
    barrier.votes[use] = 0;
    barrier.site = site;
  } else if (barrier.site.line() != site.line() || strcmp(barrier.site.file_name(), site.file_name()) != 0) {
    fail(site, "kernel %s: divergent barrier: thread %u is here, others are at %s:%u", block.kernel, current->linear,
         barrier.site.file_name(), unsigned(barrier.site.line()));
  }
  barrier.votes[use] += vote;
  barrier.arrived++;
  const unsigned threads = block.alive;
  if (barrier.arrived == block.alive) {
    release_barrier();
  } else {
    wait_in(State::at_barrier, operation, ~0u, site);
  }
  return {barrier.votes[use], threads};
}

void release_barrier() {
  Block& block = this_block();
  block.barrier.arrived = 0;
  block.barrier.generation++;
  block.idle_spins = 0;
  check::barrier_passed();
  for (unsigned i = 0; i < block.thread_count; i++) {
    Thread& thread = block.threads[i];
    if (thread.state == State::at_barrier) make_ready(thread);
  }
}

const uint64_t* warp_exchange(const char* operation, uint32_t mask, uint64_t value, Site site) {
  Warp& warp = *current->warp;
  const uint32_t me = 1u << current->lane;
  mask &= warp.all;
  if (!(mask & me)) fail(site, "%s: lane %u calls with mask %08x, which it is not in", operation, current->lane, mask);
  if (mask & warp.exited) {
    fail(site, "%s: mask %08x names lanes %08x, which have returned", operation, mask, mask & warp.exited);
  }
  Group& group = group_of(warp, mask);
  if (group.arrived == 0) group.operation = operation;
  if (strcmp(group.operation, operation) != 0) {
    fail(site, "lane %u calls %s while other lanes of mask %08x are in %s", current->lane, operation, mask,
         group.operation);
  }
  group.values[current->lane] = value;
  group.arrived |= me;
  if (group.arrived == mask) {
    group.arrived = 0;
    group.unread = mask;
    this_block().idle_spins = 0;
    if (strcmp(operation, "__syncwarp") == 0) check::warp_synchronised(current->linear / warp_threads);
    warp.ready |= mask & ~me;
  } else {
    wait_in(State::in_warp, operation, mask, site);
  }
  group.unread &= ~me;
  return group.values;
}

void report_deadlock(const char* reason) {
  Block& block = this_block();
  fprintf(stderr, "emulator: %s in kernel %s, block (%u, %u, %u):\n", reason, block.kernel, block_index.x,
          block_index.y, block_index.z);
  std::map<std::string, std::vector<unsigned>> waiting;
  for (unsigned i = 0; i < block.thread_count; i++) {
    const Thread& thread = block.threads[i];
    char where[512];
    if (thread.state == State::exited) {
      snprintf(where, sizeof where, "have returned");
    } else if (thread.state == State::ready) {
      snprintf(where, sizeof where, "could go on");
    } else {
      snprintf(where, sizeof where, "wait in %s, mask %08x, at %s:%u", thread.operation, thread.mask,
               thread.site.file_name(), unsigned(thread.site.line()));
    }
    waiting[where].push_back(i);
  }
  for (const auto& [where, threads] : waiting) {
    fprintf(stderr, "  %zu threads %s: threads", threads.size(), where.c_str());
    for (size_t i = 0; i < threads.size() && i < 6; i++) fprintf(stderr, " %u", threads[i]);
    fprintf(stderr, threads.size() > 6 ? " ...\n" : "\n");
  }
  abort();
}

void fail(Site site, const char* format, ...) {
  fprintf(stderr, "emulator: %s:%u: ", site.file_name(), unsigned(site.line()));
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  abort();
}

}  // namespace emulator
