// The order of threads: seeds change it, results of right kernels do not depend on it.
#include <set>

#include "cases.h"

constexpr int blocks = 6;
constexpr int threads = 96;
constexpr int total = blocks * threads;

__global__ void arrival_kernel(int* next, int* place) {
  place[blockIdx.x * threads + threadIdx.x] = atomicAdd(next, 1);
}

// Who came when.
static std::vector<int> arrivals(unsigned seed) {
  emulator_set_seed(seed);
  DeviceArray<int> next(std::vector<int>(1, 0));
  DeviceArray<int> place(total);
  GPU_LAUNCH(arrival_kernel, blocks, threads, 0, nullptr, next.get(), place.get());
  return place.values();
}

TEST(seed_0_is_the_natural_order) {
  const std::vector<int> place = arrivals(0);
  for (int i = 0; i < total; i++) expect(place[i] == i, "one after the other");
}

TEST(each_seed_is_another_order_and_always_the_same) {
  std::set<std::vector<int>> orders;
  for (unsigned seed = 0; seed < 20; seed++) {
    orders.insert(arrivals(seed));
    expect(orders.size() == seed + 1, "an order of its own");
    expect(arrivals(seed) == arrivals(seed), "the same again");
  }
}

TEST(blocks_warps_and_lanes_are_shuffled) {
  const std::vector<int> place = arrivals(7);
  bool are_blocks_in_order = true;
  bool are_warps_in_order = true;
  bool are_lanes_in_order = true;
  for (int b = 1; b < blocks; b++) are_blocks_in_order &= place[b * threads] > place[(b - 1) * threads];
  for (int i = 32; i < total; i += 32) are_warps_in_order &= place[i] > place[i - 32];
  for (int i = 1; i < total; i++) are_lanes_in_order &= i % 32 == 0 || place[i] > place[i - 1];
  expect(!are_blocks_in_order && !are_warps_in_order && !are_lanes_in_order, "no natural order");
}

// Float sums depend on their order where threads add as they come.
__global__ void hasty_sum_kernel(const float* x, float* y) {
  atomicAdd(y, x[blockIdx.x * threads + threadIdx.x]);
}

__global__ void ordered_sum_kernel(const float* x, float* y) {
  GPU_SHARED(float, s, [128]);
  s[threadIdx.x] = x[blockIdx.x * threads + threadIdx.x];
  if (threadIdx.x < 128 - threads) s[threads + threadIdx.x] = 0;
  __syncthreads();
  for (int half = 64; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) s[threadIdx.x] += s[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) y[blockIdx.x] = s[0];
}

static std::set<std::vector<float>> sums_of_seeds(void (*kernel)(const float*, float*)) {
  std::mt19937 random(1);
  std::vector<float> values(total);
  for (float& value : values) value = float(random()) / 1e6f;
  DeviceArray<float> x(values);
  std::set<std::vector<float>> sums;
  for (unsigned seed = 0; seed < 20; seed++) {
    emulator_set_seed(seed);
    DeviceArray<float> y(std::vector<float>(blocks, 0.0f));
    GPU_LAUNCH(kernel, blocks, threads, 0, nullptr, x.get(), y.get());
    sums.insert(y.values());
  }
  return sums;
}

TEST(a_sum_in_order_of_arrival_depends_on_the_seed) {
  expect(sums_of_seeds(hasty_sum_kernel).size() > 1, "several results");
}

TEST(a_sum_in_a_written_order_does_not) { expect(sums_of_seeds(ordered_sum_kernel).size() == 1, "one result"); }

TEST(several_workers_do_the_same) {
  emulator_set_workers(3);
  expect(sums_of_seeds(ordered_sum_kernel).size() == 1, "one result");
  const std::vector<int> place = arrivals(0);
  expect(std::set<int>(place.begin(), place.end()).size() == total, "every place once");
}
