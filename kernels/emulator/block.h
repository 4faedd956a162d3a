// The state of the block that a host thread runs, shared by the files of the emulator; kernels do not see it.
#pragma once

#include <vector>

#include "async.h"
#include "engine.h"

namespace emulator {

struct SharedArray {
  const void* key;
  void* memory;
};

struct Barrier {
  unsigned arrived = 0;
  unsigned votes[2] = {0, 0};  // of this use and of the one before, which late threads still read
  unsigned generation = 0;
  Site site;
};

struct Block {
  Block() : stacks(most_threads) {}

  const char* kernel = nullptr;
  const std::function<void()>* body = nullptr;

  Fiber host;
  Stacks stacks;
  Thread threads[most_threads];
  Warp warps[most_warps];
  unsigned thread_count = 0;
  unsigned warp_count = 0;
  unsigned alive = 0;
  Barrier barrier;

  unsigned warp_in_turn = 0;
  bool is_shuffled = false;
  // Whether asynchronous copies and products are done when they are issued, or else when they are waited for.
  bool is_early = false;
  uint32_t random_state = 1;
  unsigned idle_spins = 0;

  ThreadAsync async[most_threads];
  std::vector<TensorLoad> tensor_loads;

  std::vector<SharedArray> shared_arrays;
  void* dynamic_shared = nullptr;
  size_t dynamic_shared_bytes = 0;
};

// The block of this host thread; made when a kernel first runs on it.
Block& this_block();

// Runs all threads of the block to their ends.
void run_block(Block& block);

// Gives the processor to another thread of the block, until this one is made ready again.
void wait_in(State state, const char* operation, uint32_t mask, Site site);

// Lets the threads go that wait in the barrier, all but the one that runs.
void release_barrier();

void make_ready(Thread& thread);

// Ends the process with a list of where all threads of the block wait.
[[noreturn]] void report_deadlock(const char* reason);

namespace memory {

// Memory that kernels see, full of bytes of 0xff: a NaN in every float. Null where there is none left.
void* allocate(size_t bytes, size_t alignment);
void release(void* memory);
// Makes the bytes as new.
void spoil(void* memory, size_t bytes);

}  // namespace memory

}  // namespace emulator
