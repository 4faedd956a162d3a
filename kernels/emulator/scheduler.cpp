// The scheduler: which thread of a block goes on, in an order that a seed decides.
#include <algorithm>

#include "block.h"

namespace emulator {

thread_local Thread* current;
thread_local uint3 block_index;
thread_local dim3 block_size;
thread_local dim3 grid_size;

namespace {

// So many turns without a barrier, an exchange or a return mean that nobody will come.
constexpr unsigned most_idle_spins = 4'000'000;

uint32_t random_number(Block& block) {
  uint32_t& x = block.random_state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return x;
}

unsigned choose_lane(Block& block, uint32_t ready) {
  if (block.is_shuffled) {
    for (unsigned skip = random_number(block) % __builtin_popcount(ready); skip > 0; skip--) ready &= ready - 1;
  }
  return __builtin_ctz(ready);
}

Thread* choose_ready(Block& block) {
  unsigned first = block.is_shuffled ? random_number(block) % block.warp_count : block.warp_in_turn;
  for (unsigned i = 0; i < block.warp_count; i++) {
    const unsigned number = (first + i) % block.warp_count;
    Warp& warp = block.warps[number];
    if (warp.ready == 0) continue;
    const unsigned lane = choose_lane(block, warp.ready);
    warp.ready &= ~(1u << lane);
    block.warp_in_turn = number;
    return &block.threads[number * warp_threads + lane];
  }
  return nullptr;
}

// The thread whose turn it is, or null where all wait for others.
Thread* choose_thread(Block& block) {
  if (Thread* thread = choose_ready(block)) return thread;
  for (unsigned w = 0; w < block.warp_count; w++) {
    block.warps[w].ready = block.warps[w].spinning;
    block.warps[w].spinning = 0;
  }
  return choose_ready(block);
}

// Leaves the running thread for the next one, or for the host when all have returned.
void go_on(Block& block) {
  Thread* me = current;
  if (block.alive == 0) {
    switch_fiber(me->fiber, block.host);
    return;
  }
  Thread* next = choose_thread(block);
  if (!next) report_deadlock("Deadlock");
  if (next == me) return;
  current = next;
  switch_fiber(me->fiber, next->fiber);
}

void thread_main() {
  Block& block = this_block();
  (*block.body)();
  check_nothing_pending(block.async[current->linear]);
  current->state = State::exited;
  current->warp->exited |= 1u << current->lane;
  block.idle_spins = 0;
  block.alive--;
  // A thread that has returned counts as arrived.
  if (block.alive > 0 && block.barrier.arrived == block.alive) release_barrier();
  go_on(block);
  __builtin_unreachable();
}

void prepare_threads(Block& block) {
  const dim3 size = block_size;
  block.thread_count = block.alive = size.x * size.y * size.z;
  block.warp_count = (block.thread_count + warp_threads - 1) / warp_threads;
  for (unsigned w = 0; w < block.warp_count; w++) {
    const unsigned lanes = std::min(warp_threads, block.thread_count - w * warp_threads);
    Warp& warp = block.warps[w];
    warp.all = warp.ready = lanes == warp_threads ? ~0u : (1u << lanes) - 1;
    warp.exited = warp.spinning = 0;
  }
  for (unsigned i = 0; i < block.thread_count; i++) {
    Thread& thread = block.threads[i];
    thread.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    thread.linear = i;
    thread.lane = i % warp_threads;
    thread.warp = &block.warps[i / warp_threads];
    thread.state = State::ready;
    block.stacks.prepare(thread.fiber, i, thread_main);
  }
}

}  // namespace

Block& this_block() {
  static thread_local Block block;
  return block;
}

void make_ready(Thread& thread) {
  thread.state = State::ready;
  thread.warp->ready |= 1u << thread.lane;
}

void wait_in(State state, const char* operation, uint32_t mask, Site site) {
  Thread* me = current;
  me->state = state;
  me->operation = operation;
  me->mask = mask;
  me->site = site;
  go_on(this_block());
  me->state = State::ready;
}

void spin(const char* operation, Site site) {
  Block& block = this_block();
  Warp& warp = *current->warp;
  // In a random order everyone's turn comes; in the natural one a thread that spins lets all others go first.
  (block.is_shuffled ? warp.ready : warp.spinning) |= 1u << current->lane;
  if (++block.idle_spins > most_idle_spins) {
    current->state = State::spinning;
    current->operation = operation;
    current->site = site;
    report_deadlock("Endless waiting");
  }
  wait_in(State::spinning, operation, ~0u, site);
}

void run_block(Block& block) {
  block.warp_in_turn = 0;
  block.idle_spins = 0;
  block.barrier = Barrier{};
  prepare_threads(block);
  current = choose_thread(block);
  switch_fiber(block.host, current->fiber);
  current = nullptr;
  check_no_loads_pending(block.tensor_loads);
}

}  // namespace emulator
