// Fibers: by a few instructions on x86-64, by ucontext elsewhere.
#include "fiber.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace emulator {

namespace {
constexpr size_t stack_bytes = 256 << 10;
constexpr size_t guard_bytes = 64 << 10;  // a multiple of every page size in use
}  // namespace

Stacks::Stacks(size_t count) : bytes_(count * stack_bytes) {
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("emulator: Cannot map the stacks");
    abort();
  }
  memory_ = static_cast<char*>(memory);
  for (size_t i = 0; i < count; i++) mprotect(memory_ + i * stack_bytes, guard_bytes, PROT_NONE);
}

Stacks::~Stacks() { munmap(memory_, bytes_); }

#if defined(__x86_64__)

// The registers that a called function must keep are on the stack while a fiber does not run.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch,.-emulator_switch
)");

void Stacks::prepare(Fiber& fiber, size_t stack, void (*entry)()) {
  // As a call leaves it: the return address lies 8 bytes below a multiple of 16, the six kept registers below that.
  void** top = reinterpret_cast<void**>(memory_ + (stack + 1) * stack_bytes);
  void** return_address = top - 2;
  *return_address = reinterpret_cast<void*>(entry);
  fiber.stack_pointer = return_address - 6;
}

void switch_fiber(Fiber& from, Fiber& to) { emulator_switch(&from.stack_pointer, to.stack_pointer); }

#else

void Stacks::prepare(Fiber& fiber, size_t stack, void (*entry)()) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = memory_ + stack * stack_bytes + guard_bytes;
  fiber.context.uc_stack.ss_size = stack_bytes - guard_bytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
}

void switch_fiber(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }

#endif

}  // namespace emulator
