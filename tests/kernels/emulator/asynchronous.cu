// cp.async, mbarrier and TMA: what they bring, and breaches of their protocols.
#include "cases.h"

using Word = unsigned long long;

constexpr int threads = 64;

__global__ void copy_kernel(const uint4* x, uint4* y, int wanted) {
  GPU_SHARED(uint4, s, [2][threads]);
  const int i = int(threadIdx.x);
  for (int half = 0; half < 2; half++) {
    gpu_cp_async16(&s[half][i], x + half * threads + i, half * threads + i < wanted);
    gpu_cp_async_commit();
  }
  for (int half = 0; half < 2; half++) {
    if (half == 0) {
      gpu_cp_async_wait<1>();
    } else {
      gpu_cp_async_wait<0>();
    }
    __syncthreads();
    y[half * threads + i] = s[half][threads - 1 - i];
  }
}

TEST(copies_bring_what_is_wanted_and_zeros) {
  std::vector<uint4> x;
  for (unsigned i = 0; i < 2 * threads; i++) x.push_back(make_uint4(i + 1, i + 2, i + 3, i + 4));
  DeviceArray<uint4> device_x(x);
  DeviceArray<uint4> y(2 * threads);
  const unsigned wanted = 100;
  GPU_LAUNCH(copy_kernel, 1, threads, 0, nullptr, device_x.get(), y.get(), int(wanted));
  const std::vector<uint4> values = y.values();
  for (unsigned i = 0; i < 2 * threads; i++) {
    const unsigned source = i / threads * threads + threads - 1 - i % threads;
    const unsigned first = source < wanted ? source + 1 : 0;
    expect(values[i].x == first && values[i].w == (first ? first + 3 : 0), "the row of the other end, or zeros");
  }
}

__global__ void early_read_kernel(const uint4* x, uint4* y) {
  GPU_SHARED(uint4, s, [threads]);
  const int i = int(threadIdx.x);
  s[i] = make_uint4(7, 7, 7, 7);
  gpu_cp_async16(&s[i], x + i, true);
  gpu_cp_async_commit();
  y[i] = s[i];
  gpu_cp_async_wait<0>();
}

// What is read before it was waited for is the new value under odd seeds and the old one under even seeds.
TEST(a_read_before_the_wait_depends_on_the_seed) {
  DeviceArray<uint4> x(std::vector<uint4>(threads, make_uint4(1, 1, 1, 1)));
  DeviceArray<uint4> y(threads);
  for (unsigned seed = 0; seed < 4; seed++) {
    emulator_set_seed(seed);
    GPU_LAUNCH(early_read_kernel, 1, threads, 0, nullptr, x.get(), y.get());
    for (uint4 value : y.values()) expect(value.x == (seed % 2 == 1 ? 1u : 7u), "early or late");
  }
}

__global__ void unaligned_copy_kernel(const float* x) {
  GPU_SHARED(float, s, [64]);
  gpu_cp_async16(s, x + 1, true);
  gpu_cp_async_wait<0>();
}

FAILS(a_copy_that_is_not_aligned, "wanted addresses that are multiples of 16") {
  DeviceArray<float> x(64);
  GPU_LAUNCH(unaligned_copy_kernel, 1, 1, 0, nullptr, x.get());
}

__global__ void forgotten_copy_kernel(const uint4* x) {
  GPU_SHARED(uint4, s, [1]);
  gpu_cp_async16(s, x, true);
  gpu_cp_async_commit();
  gpu_cp_async_wait<1>();
}

FAILS(a_copy_that_nobody_waits_for, "returned before this cp.async was waited for") {
  emulator_set_seed(0);
  DeviceArray<uint4> x(1);
  GPU_LAUNCH(forgotten_copy_kernel, 1, 1, 0, nullptr, x.get());
}

// Thread 0 fills a slot for all others, which give it back: two barriers, several rounds.
__global__ void ring_kernel(int* y, int rounds) {
  GPU_SHARED(Word, barriers, [2]);
  GPU_SHARED(int, slot, [1]);
  Word* full = &barriers[0];
  Word* empty = &barriers[1];
  if (threadIdx.x == 0) {
    gpu_mbar_init(full, 1);
    gpu_mbar_init(empty, threads - 1);
    gpu_mbar_fence_init();
  }
  __syncthreads();
  int sum = 0;
  for (int round = 0; round < rounds; round++) {
    if (threadIdx.x == 0) {
      gpu_mbar_wait(empty, (round & 1) ^ 1);
      slot[0] = round + 1;
      gpu_mbar_arrive(full);
    } else {
      gpu_mbar_wait(full, round & 1);
      sum += slot[0];
      gpu_mbar_arrive(empty);
    }
  }
  y[threadIdx.x] = sum;
}

TEST(mbarriers_hand_a_slot_round) {
  DeviceArray<int> y(threads);
  GPU_LAUNCH(ring_kernel, 1, threads, 0, nullptr, y.get(), 9);
  const std::vector<int> sums = y.values();
  for (int i = 1; i < threads; i++) expect(sums[i] == 45, "every round once");
}

__global__ void many_arrivals_kernel() {
  GPU_SHARED(Word, barrier, [1]);
  gpu_mbar_init(barrier, 2);
  gpu_mbar_expect_tx(barrier, 16);
  gpu_mbar_arrive(barrier);
  gpu_mbar_arrive(barrier);
}

FAILS(more_arrivals_than_the_phase_has, "for which all 2 arrivals of the phase were made") {
  GPU_LAUNCH(many_arrivals_kernel, 1, 1, 0, nullptr);
}

__global__ void no_init_kernel() {
  GPU_SHARED(Word, barrier, [1]);
  gpu_mbar_arrive(barrier);
}

FAILS(an_mbarrier_that_is_not_initialised, "is used before it was initialised") {
  GPU_LAUNCH(no_init_kernel, 1, 1, 0, nullptr);
}

__global__ void no_arrival_kernel() {
  GPU_SHARED(Word, barrier, [1]);
  if (threadIdx.x == 0) gpu_mbar_init(barrier, 3);
  __syncthreads();
  gpu_mbar_arrive(barrier);
  gpu_mbar_wait(barrier, 0);
}

FAILS(an_arrival_that_never_comes, "wait in mbarrier wait") { GPU_LAUNCH(no_arrival_kernel, 1, 2, 0, nullptr); }

constexpr int box_columns = 64;
constexpr int box_rows = 16;
constexpr int box_bytes = box_columns * box_rows * 2;

// Loads a box and writes it out in its own order, with its swizzle undone.
__global__ void box_kernel(const GPU_GRID_CONSTANT CUtensorMap map, unsigned short* y, int x_start, int y_start,
                           int bytes) {
  GPU_DYN_SHARED(unsigned char, shared);
  Word* barrier = reinterpret_cast<Word*>(shared + box_bytes);
  if (threadIdx.x == 0) {
    gpu_mbar_init(barrier, 1);
    gpu_mbar_fence_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    gpu_mbar_expect_tx(barrier, bytes);
    gpu_tma_load_2d(shared, &map, barrier, x_start, y_start);
  }
  gpu_mbar_wait(barrier, 0);
  for (int i = int(threadIdx.x); i < box_columns * box_rows; i += threads) {
    const int place = i * 2;
    const int swizzled = place ^ (place >> 7 & 7) << 4;
    y[i] = *reinterpret_cast<const unsigned short*>(shared + swizzled);
  }
}

constexpr int matrix_columns = 72;
constexpr int matrix_rows = 24;

static std::vector<unsigned short> load_box(int x_start, int y_start, int bytes) {
  std::vector<unsigned short> values;
  for (unsigned short i = 0; i < matrix_columns * matrix_rows; i++) values.push_back(i + 1);
  DeviceArray<unsigned short> x(values);
  DeviceArray<unsigned short> y(box_columns * box_rows);
  CUtensorMap map;
  expect(gpu_make_tmap_2d(&map, x.get(), matrix_columns, matrix_rows, box_columns, box_rows) == 0, "a map");
  GPU_LAUNCH(box_kernel, 1, threads, box_bytes + 8, nullptr, map, y.get(), x_start, y_start, bytes);
  return y.values();
}

static void expect_box(int x_start, int y_start) {
  const std::vector<unsigned short> box = load_box(x_start, y_start, box_bytes);
  for (int row = 0; row < box_rows; row++) {
    for (int column = 0; column < box_columns; column++) {
      const int x = x_start + column;
      const int y = y_start + row;
      const bool is_inside = x >= 0 && x < matrix_columns && y >= 0 && y < matrix_rows;
      expect(box[row * box_columns + column] == (is_inside ? y * matrix_columns + x + 1 : 0), "the element, or zero");
    }
  }
}

TEST(a_box_is_loaded_with_its_swizzle) { expect_box(8, 3); }

TEST(outside_the_matrix_there_are_zeros) {
  expect_box(16, 12);
  expect_box(-8, -2);
}

FAILS(a_load_that_was_expected_to_be_larger, "wait in mbarrier wait") { load_box(0, 0, box_bytes + 16); }

TEST(a_map_that_the_driver_refuses) {
  CUtensorMap map;
  alignas(16) static char memory[1024];
  expect(gpu_make_tmap_2d(&map, memory, 12, 8, 8, 8) != 0, "rows of 24 bytes");
  expect(gpu_make_tmap_2d(&map, memory + 8, 16, 8, 8, 8) != 0, "a start that is not aligned");
  expect(gpu_make_tmap_2d(&map, memory, 128, 8, 128, 8) != 0, "a box wider than the swizzle");
  expect(gpu_make_tmap_2d(&map, memory, 16, 8, 8, 257) != 0, "a box with too many rows");
  expect(gpu_make_tmap_2d(&map, memory, 16, 8, 8, 8) == 0, "a good one");
}
