// Running a grid: the order of its blocks, the host threads that take them, their shared memory.
#include "launch.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "block.h"
#include "checker/check.h"

namespace emulator {

namespace {

unsigned environment_number(const char* name, unsigned otherwise) {
  const char* text = getenv(name);
  return text ? unsigned(strtoul(text, nullptr, 10)) : otherwise;
}

std::atomic<unsigned> seed = environment_number("BOWLINE_EMULATOR_SEED", 0);
std::atomic<unsigned> workers = environment_number("BOWLINE_EMULATOR_WORKERS", 1);

#ifdef EMULATOR_CHECK
constexpr unsigned most_workers = 1;  // the shadow cells are not shared between host threads
#else
constexpr unsigned most_workers = 256;
#endif

// A GPU's limits, of sm_80 and later; the dynamic shared memory is checked against what was asked for the kernel.
bool is_launchable(const char* name, const void* kernel, dim3 grid, dim3 block, size_t dynamic_shared) {
  const size_t threads = size_t(block.x) * block.y * block.z;
  const bool has_blocks = grid.x > 0 && grid.y > 0 && grid.z > 0;
  const bool fits_grid = grid.x <= 0x7fffffffu && grid.y <= 0xffffu && grid.z <= 0xffffu;
  const bool fits_block = threads > 0 && threads <= most_threads && block.z <= 64;
  if (!has_blocks || !fits_grid || !fits_block) {
    fprintf(stderr, "emulator: Cannot launch %s: grid (%u, %u, %u), block (%u, %u, %u); wanted 1 to 1024 threads\n",
            name, grid.x, grid.y, grid.z, block.x, block.y, block.z);
    set_last_error(cudaErrorInvalidConfiguration);
    return false;
  }
  if (dynamic_shared > most_dynamic_shared(kernel)) {
    fprintf(stderr, "emulator: Cannot launch %s: %zu bytes of dynamic shared memory; wanted at most %zu, or a call of "
            "cudaFuncSetAttribute\n", name, dynamic_shared, most_dynamic_shared(kernel));
    set_last_error(cudaErrorInvalidValue);
    return false;
  }
  return true;
}

void release_static_shared(Block& block) {
  while (!block.shared_arrays.empty()) {
    memory::release(block.shared_arrays.back().memory);
    block.shared_arrays.pop_back();
  }
}

}  // namespace

void* static_shared(const void* key, size_t bytes, size_t alignment) {
  Block& block = this_block();
  for (const SharedArray& array : block.shared_arrays) {
    if (array.key == key) return array.memory;
  }
  void* memory = memory::allocate(bytes, std::max<size_t>(alignment, 128));
  if (!memory) fail(Site::current(), "no memory is left for %zu bytes of shared memory", bytes);
  block.shared_arrays.push_back({key, memory});
  return memory;
}

void* dynamic_shared() { return this_block().dynamic_shared; }

size_t dynamic_shared_bytes() { return this_block().dynamic_shared_bytes; }

void run_grid(const char* name, const void* kernel, dim3 grid, dim3 size, size_t dynamic_shared,
              const std::function<void()>& body) {
  if (!is_launchable(name, kernel, grid, size, dynamic_shared)) return;
  const size_t blocks = size_t(grid.x) * grid.y * grid.z;
  std::vector<size_t> order(blocks);
  std::iota(order.begin(), order.end(), size_t(0));
  const unsigned launch_seed = seed;
  if (launch_seed != 0) std::shuffle(order.begin(), order.end(), std::mt19937(launch_seed));
  check::launch_started();

  std::atomic<size_t> next = 0;
  const auto take_blocks = [&](unsigned worker) {
    Block& block = this_block();
    block.kernel = name;
    block.body = &body;
    block.is_shuffled = launch_seed != 0;
    block.is_early = launch_seed % 2 == 1;
    block.random_state = (launch_seed * 2654435761u + worker * 40503u) | 1;  // never 0, which has no successor
    block_size = size;
    grid_size = grid;
    block.dynamic_shared_bytes = dynamic_shared;
    block.dynamic_shared = dynamic_shared > 0 ? memory::allocate(dynamic_shared, 1024) : nullptr;
    if (dynamic_shared > 0 && !block.dynamic_shared) fail(Site::current(), "no memory is left for shared memory");
    for (size_t i = next++; i < blocks; i = next++) {
      const size_t number = order[i];
      block_index = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y),
                     unsigned(number / (size_t(grid.x) * grid.y))};
      check::block_started(number);
      if (dynamic_shared > 0) memory::spoil(block.dynamic_shared, dynamic_shared);
      run_block(block);
      release_static_shared(block);
    }
    if (dynamic_shared > 0) memory::release(block.dynamic_shared);
  };

  const size_t count = std::min({std::max<size_t>(workers, 1), blocks, size_t(most_workers)});
  std::vector<std::thread> helpers;
  for (unsigned worker = 1; worker < count; worker++) helpers.emplace_back(take_blocks, worker);
  take_blocks(0);
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace emulator

void emulator_set_seed(unsigned value) { emulator::seed = value; }

void emulator_set_workers(unsigned value) { emulator::workers = value; }

#ifndef EMULATOR_CHECK
size_t emulator_check_errors() { return 0; }
#endif
