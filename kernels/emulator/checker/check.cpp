// The checker's rules: what may be accessed, what has a value, and which accesses may be at the same time.
#include "check.h"

#include "../engine.h"
#include "report.h"
#include "shadow.h"

namespace emulator::check {

namespace {

unsigned launch_number = before_launches;
unsigned block_number = 0;
unsigned barriers = 0;
unsigned warp_syncs[most_warps];

Access this_access(bool is_atomic) {
  Access access{};
  access.launch = launch_number;
  access.block = block_number;
  access.thread = current->linear;
  access.barrier = barriers;
  access.warp_sync = warp_syncs[current->linear / warp_threads];
  access.is_atomic = is_atomic;
  return access;
}

bool is_same_epoch(Access a, Access b) {
  return a.launch == b.launch && a.block == b.block && a.barrier == b.barrier;
}

// Whether an earlier access and this one have nothing between them that orders them: another launch, a barrier of
// their block, a __syncwarp of their warp.
bool is_concurrent(Access earlier, Access now) {
  if (earlier.launch != now.launch) return false;
  if (earlier.many_blocks || earlier.block != now.block) return true;
  if (earlier.barrier != now.barrier) return false;
  if (earlier.many_warps || earlier.warp() != now.warp()) return true;
  if (earlier.warp_sync != now.warp_sync) return false;
  return earlier.many_threads || earlier.thread != now.thread;
}

// The record of this read and of those before it.
Access add_read(Access earlier, Access now) {
  if (earlier.launch != now.launch) return now;
  now.many_blocks = earlier.many_blocks || earlier.block != now.block;
  if (!is_same_epoch(earlier, now)) return now;
  const bool is_same_warp = earlier.warp() == now.warp();
  now.many_warps = earlier.many_warps || !is_same_warp;
  if (is_same_warp && earlier.warp_sync == now.warp_sync) {
    now.many_threads = earlier.many_threads || earlier.thread != now.thread;
  }
  return now;
}

bool is_write(Kind kind) { return kind != Kind::read && kind != Kind::atomic_read; }

bool has_old_value(Kind kind) { return kind != Kind::write && kind != Kind::atomic_store; }

bool check_cell(Cell& cell, Access now, Kind kind, const void* memory, Place place) {
  if (has_old_value(kind) && cell.write.launch == 0) {
    report("read of uninitialised memory", memory, place);
    return false;
  }
  if (is_concurrent(cell.write, now) && !(now.is_atomic && cell.write.is_atomic)) {
    report_race(is_write(kind) ? "write-write race" : "write-read race", memory, place, cell.write);
    return false;
  }
  if (is_write(kind) && is_concurrent(cell.read, now)) {
    report_race("read-write race", memory, place, cell.read);
    return false;
  }
  // An atomic read belongs to an operation whose write is recorded.
  if (is_write(kind)) cell.write = now;
  if (kind == Kind::read) cell.read = add_read(cell.read, now);
  return true;
}

}  // namespace

void access_at(const void* memory, size_t bytes, Kind kind, Place place) {
  if (!is_in_arena(memory) || bytes == 0) return;
  if (!current) return report("access by the host to memory of the device", memory, place);
  if (!is_allocated(memory, bytes)) {
    return report(is_write(kind) ? "out-of-bounds write" : "out-of-bounds read", memory, place);
  }
  const Access now = this_access(kind != Kind::read && kind != Kind::write);
  for (Cell* cell = first_cell(memory); cell < end_cell(memory, bytes); cell++) {
    if (!check_cell(*cell, now, kind, memory, place)) return;
  }
}

void access(const void* memory, size_t bytes, Kind kind, std::source_location site) {
  access_at(memory, bytes, kind, Place{nullptr, &site});
}

void host_wrote(const void* memory, size_t bytes) {
  if (!is_in_arena(memory)) return;
  Access before{};
  before.launch = before_launches;
  for (Cell* cell = first_cell(memory); cell < end_cell(memory, bytes); cell++) *cell = Cell{before, Access{}};
}

void delivered(const void* memory, size_t bytes, std::source_location site) {
  if (!is_in_arena(memory)) return;
  if (!is_allocated(memory, bytes)) return report("out-of-bounds write", memory, Place{nullptr, &site});
  host_wrote(memory, bytes);
}

void fetched(const void* memory, size_t bytes, std::source_location site) {
  if (!is_in_arena(memory)) return;
  const Place place{nullptr, &site};
  if (!is_allocated(memory, bytes)) return report("out-of-bounds read", memory, place);
  for (Cell* cell = first_cell(memory); cell < end_cell(memory, bytes); cell++) {
    if (cell->write.launch == 0) return report("read of uninitialised memory", memory, place);
  }
}

void launch_started() {
  if (launch_number == last_launch) {
    forget_launches();
    launch_number = before_launches;
  }
  launch_number++;
}

void block_started(uint64_t number) {
  block_number = unsigned(number);
  barriers = 0;
  barrier_passed();
}

void barrier_passed() {
  barriers++;
  for (unsigned& count : warp_syncs) count = 0;
}

void warp_synchronised(unsigned warp) { warp_syncs[warp]++; }

}  // namespace emulator::check
