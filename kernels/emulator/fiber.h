// Fibers: stacks that a host thread switches between. One is made for each CUDA thread.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

struct Fiber {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t context;
#endif
};

// The memory of a block's stacks, each with a page below that may not be touched.
class Stacks {
 public:
  explicit Stacks(size_t count);
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  // Makes a fiber on a stack that starts in `entry`, which must not return.
  void prepare(Fiber& fiber, size_t stack, void (*entry)());

 private:
  char* memory_;
  size_t bytes_;
};

// Leaves one fiber and goes on in the other.
void switch_fiber(Fiber& from, Fiber& to);

}  // namespace emulator
