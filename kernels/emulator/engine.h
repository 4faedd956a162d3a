// What a kernel's code needs of the emulator: the thread it is, the places where threads meet, and failing.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>

#include "fiber.h"
#include "types.h"

namespace emulator {

using Site = std::source_location;

constexpr unsigned warp_threads = 32;
constexpr unsigned most_threads = 1024;
constexpr unsigned most_warps = most_threads / warp_threads;

enum class State : uint8_t { ready, spinning, in_warp, at_barrier, exited };

// Lanes of a warp that wait for each other under one mask. It is free, then collects, then is read by those that it
// released; a lane is in one group at most, so that a warp never needs more groups than it has lanes.
struct Group {
  uint32_t mask = 0;
  uint32_t arrived = 0;
  uint32_t unread = 0;
  const char* operation = nullptr;
  uint64_t values[warp_threads];
};

struct Warp {
  uint32_t all = 0;
  uint32_t ready = 0;
  uint32_t spinning = 0;  // ready again once nobody is; in the natural order only
  uint32_t exited = 0;
  Group groups[warp_threads];
};

struct Thread {
  Fiber fiber;
  uint3 index;
  unsigned linear = 0;
  unsigned lane = 0;
  Warp* warp = nullptr;
  State state = State::ready;
  // Where it waits, and for whom; for the report of a deadlock.
  const char* operation = nullptr;
  uint32_t mask = 0;
  Site site;
};

extern thread_local Thread* current;
extern thread_local uint3 block_index;
extern thread_local dim3 block_size;
extern thread_local dim3 grid_size;

struct Votes {
  unsigned yes = 0;
  unsigned threads = 0;
};

// Waits for every living thread of the block, at the same line of the source, and counts the votes.
Votes block_barrier(const char* operation, bool vote, Site site);

// Waits for the lanes of `mask` and returns their values by lane. They may be read until the thread next waits.
const uint64_t* warp_exchange(const char* operation, uint32_t mask, uint64_t value, Site site);

// Lets other threads of the block run. A block in which threads do nothing else for long is reported as a deadlock.
void spin(const char* operation, Site site);

// Shared memory of the block: one array for each declaration, which `key` is the address of.
void* static_shared(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();
size_t dynamic_shared_bytes();

// Prints "emulator: <site>: <message>" and ends the process.
[[noreturn]] void fail(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

template <class T>
uint64_t pack(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T unpack(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulator
