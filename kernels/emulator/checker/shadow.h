// Shadow memory: all memory of kernels lies in one range of addresses, each two bytes of it with a cell that says who
// last wrote and read them. Two bytes of one pair are one thing to the checker.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator::check {

// When and by whom. Numbers are taken modulo their fields' sizes, so that places 1024 __syncwarps or 2048 barriers
// apart look the same; launches start anew before their number wraps.
struct Access {
  uint64_t launch : 10;  // 0: never; 1: before all launches
  uint64_t block : 19;
  uint64_t thread : 10;
  uint64_t barrier : 11;
  uint64_t warp_sync : 10;
  uint64_t is_atomic : 1;
  // Of reads: there were others since the last barrier, which this one took the place of.
  uint64_t many_threads : 1;
  uint64_t many_warps : 1;
  uint64_t many_blocks : 1;

  unsigned warp() const { return thread / 32; }
};
static_assert(sizeof(Access) == 8);

constexpr unsigned before_launches = 1;
constexpr unsigned last_launch = 1023;

struct Cell {
  Access write;
  Access read;
};

constexpr size_t cell_bytes = 2;
constexpr size_t unit_bytes = 16;

// Whether an address is one of the range.
bool is_in_arena(const void* memory);
// Whether all bytes belong to allocations; their red zones do not.
bool is_allocated(const void* memory, size_t bytes);
// The allocation that starts last before an address; its size is 0 where there is none.
struct Allocation {
  const char* start;
  size_t bytes;
};
Allocation allocation_before(const void* memory);

Cell* first_cell(const void* memory);
Cell* end_cell(const void* memory, size_t bytes);

// Takes everything that was written for written before all launches.
void forget_launches();

}  // namespace emulator::check
