// Shadow memory: the range of addresses, what of it is allocated, and its cells.
#include "shadow.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "check.h"

namespace emulator::check {

namespace {

constexpr size_t arena_bytes = size_t(4) << 30;
constexpr size_t red_zone_bytes = 256;
constexpr size_t page_bytes = 4096;

char* arena = nullptr;
char* unused = nullptr;        // nothing from here on was given out, or all of it came back
Cell* cells = nullptr;
uint8_t* unit_sizes = nullptr;  // how many bytes of each unit are allocated
std::map<const char*, size_t> allocations;

void* reserve(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("emulator: Cannot map the checker's memory");
    abort();
  }
  return memory;
}

void make_arena() {
  arena = static_cast<char*>(reserve(arena_bytes));
  cells = static_cast<Cell*>(reserve(arena_bytes / cell_bytes * sizeof(Cell)));
  unit_sizes = static_cast<uint8_t*>(reserve(arena_bytes / unit_bytes));
  unused = arena + red_zone_bytes;
}

char* align(char* address, size_t alignment) {
  return arena + (address - arena + alignment - 1) / alignment * alignment;
}

void mark_units(const char* start, size_t bytes, bool is_live) {
  uint8_t* unit = unit_sizes + (start - arena) / unit_bytes;
  for (size_t at = 0; at < bytes; at += unit_bytes) *unit++ = is_live ? std::min(unit_bytes, bytes - at) : 0;
}

}  // namespace

bool is_in_arena(const void* memory) {
  return arena && size_t(static_cast<const char*>(memory) - arena) < arena_bytes;
}

bool is_allocated(const void* memory, size_t bytes) {
  const size_t start = static_cast<const char*>(memory) - arena;
  const size_t end = start + bytes;
  if (end > arena_bytes) return false;
  for (size_t unit = start / unit_bytes; unit * unit_bytes < end; unit++) {
    if (std::min(unit_bytes, end - unit * unit_bytes) > unit_sizes[unit]) return false;
  }
  return true;
}

Allocation allocation_before(const void* memory) {
  auto next = allocations.upper_bound(static_cast<const char*>(memory));
  if (next == allocations.begin()) return {arena, 0};
  --next;
  return {next->first, next->second};
}

Cell* first_cell(const void* memory) { return cells + (static_cast<const char*>(memory) - arena) / cell_bytes; }

Cell* end_cell(const void* memory, size_t bytes) {
  return cells + (static_cast<const char*>(memory) - arena + bytes + cell_bytes - 1) / cell_bytes;
}

void* allocate(size_t bytes, size_t alignment) {
  if (!arena) make_arena();
  char* start = align(unused, alignment);
  if (start + bytes + red_zone_bytes > arena + arena_bytes) return nullptr;
  unused = start + bytes + red_zone_bytes;
  allocations[start] = bytes;
  mark_units(start, bytes, true);
  return start;
}

void release(void* memory) {
  const char* start = static_cast<char*>(memory);
  const size_t bytes = allocations.at(start);
  allocations.erase(start);
  mark_units(start, bytes, false);
  forget(start, bytes);
  // Only the last allocation is given out again, as shared memory is, so that a use after cudaFree is seen.
  if (unused == start + bytes + red_zone_bytes) {
    unused = static_cast<char*>(memory);
    return;
  }
  char* first_page = align(static_cast<char*>(memory), page_bytes);
  const size_t skipped = first_page - start;
  if (bytes > skipped + page_bytes) {
    madvise(first_page, (bytes - skipped) / page_bytes * page_bytes, MADV_DONTNEED);
  }
}

void forget(const void* memory, size_t bytes) {
  memset(static_cast<void*>(first_cell(memory)), 0,
         (end_cell(memory, bytes) - first_cell(memory)) * sizeof(Cell));
}

void forget_launches() {
  for (const auto& [start, bytes] : allocations) {
    for (Cell* cell = first_cell(start); cell < end_cell(start, bytes); cell++) {
      const bool is_written = cell->write.launch != 0;
      *cell = Cell{};
      if (is_written) cell->write.launch = before_launches;
    }
  }
}

}  // namespace emulator::check
