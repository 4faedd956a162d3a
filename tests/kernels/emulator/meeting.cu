// Where threads meet: barriers, votes, shuffles with whole and partial masks, and what is an error there.
#include "cases.h"

constexpr unsigned everyone = 0xffffffffu;

template <class Kernel>
static std::vector<int> results(Kernel* kernel, int threads) {
  DeviceArray<int> y(std::vector<int>(threads, -1));
  GPU_LAUNCH(kernel, 1, threads, 0, nullptr, y.get());
  return y.values();
}

__global__ void reverse_kernel(int* y) {
  GPU_SHARED(int, s, [96]);
  s[threadIdx.x] = int(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = s[95 - threadIdx.x];
}

TEST(a_barrier_waits_for_all) {
  const std::vector<int> y = results(reverse_kernel, 96);
  for (int i = 0; i < 96; i++) expect(y[i] == 95 - i, "reversed");
}

__global__ void barrier_votes_kernel(int* y) {
  const int third = threadIdx.x % 3 == 0;
  const int count = __syncthreads_count(third);
  const int any = __syncthreads_or(threadIdx.x == 77);
  const int none = __syncthreads_or(0);
  const int all = __syncthreads_and(1);
  const int not_all = __syncthreads_and(threadIdx.x != 5);
  y[threadIdx.x] = count * 16 + any * 8 + none * 4 + all * 2 + not_all;
}

TEST(barriers_count_votes) {
  for (int value : results(barrier_votes_kernel, 100)) expect(value == 34 * 16 + 8 + 2, "34 votes, any, all");
}

__global__ void returned_threads_kernel(int* y) {
  if (threadIdx.x >= 40) return;
  y[threadIdx.x] = __syncthreads_count(1);
}

TEST(threads_that_returned_count_as_arrived) {
  const std::vector<int> y = results(returned_threads_kernel, 96);
  for (int i = 0; i < 96; i++) expect(y[i] == (i < 40 ? 40 : -1), "forty threads are left");
}

__global__ void shuffles_kernel(int* y) {
  const int lane = int(threadIdx.x);
  const int from_3 = __shfl_sync(everyone, lane, 3);
  const int in_segment = __shfl_sync(everyone, lane, 3, 8);
  const int down = __shfl_down_sync(everyone, lane, 5);
  const int down_in_segment = __shfl_down_sync(everyone, lane, 3, 4);
  const int up = __shfl_up_sync(everyone, lane, 2, 16);
  const int crossed = __shfl_xor_sync(everyone, lane, 17);
  const bool is_right = from_3 == 3 && in_segment == lane / 8 * 8 + 3 && down == (lane < 27 ? lane + 5 : lane) &&
                        down_in_segment == (lane % 4 == 0 ? lane + 3 : lane) &&
                        up == (lane % 16 < 2 ? lane : lane - 2) && crossed == (lane ^ 17);
  y[lane] = is_right;
}

TEST(shuffles_of_a_whole_warp) {
  for (int value : results(shuffles_kernel, 32)) expect(value == 1, "all shuffles are right");
}

// Two halves of a warp go their own ways, each with its own mask, and one of them many times.
__global__ void partial_masks_kernel(int* y) {
  const int lane = int(threadIdx.x);
  int value = lane;
  if (lane % 2 == 0) {
    for (int i = 0; i < 20; i++) value = __shfl_sync(0x55555555u, value, (lane + 2) % 32);
  } else {
    value = __shfl_sync(0xaaaaaaaau, value, (lane + 30) % 32);
  }
  const unsigned small = __ballot_sync(everyone, value < 8);
  y[lane] = value + (small == __ballot_sync(everyone, value < 8) ? 0 : 1000);
}

TEST(shuffles_with_partial_masks) {
  const std::vector<int> y = results(partial_masks_kernel, 32);
  for (int i = 0; i < 32; i++) expect(y[i] == (i % 2 == 0 ? (i + 40) % 32 : (i + 30) % 32), "the other's value");
}

__global__ void votes_kernel(int* y) {
  const int lane = int(threadIdx.x);
  const bool is_right = __ballot_sync(everyone, lane >= 28) == 0xf0000000u && __any_sync(everyone, lane == 9) &&
                        !__all_sync(everyone, lane != 9) && __all_sync(everyone, 1) &&
                        __match_any_sync(everyone, lane % 4) == 0x11111111u << lane % 4 &&
                        __reduce_add_sync(everyone, lane - 16) == -16 && __reduce_max_sync(everyone, lane) == 31 &&
                        __reduce_min_sync(everyone, -lane) == -31 && __reduce_or_sync(everyone, 1u << lane) == everyone;
  y[lane] = is_right;
}

TEST(votes_and_reductions) {
  for (int value : results(votes_kernel, 32)) expect(value == 1, "all votes are right");
}

__global__ void small_warp_kernel(int* y) { y[threadIdx.x] = int(__ballot_sync(everyone, 1)); }

TEST(the_last_warp_may_be_small) {
  const std::vector<int> y = results(small_warp_kernel, 37);
  for (int i = 0; i < 37; i++) expect(unsigned(y[i]) == (i < 32 ? everyone : 0x1fu), "the lanes that there are");
}

__global__ void barrier_in_a_branch_kernel(int* y) {
  if (threadIdx.x < 32) __syncthreads();
  y[threadIdx.x] = 1;
  if (threadIdx.x >= 32) __syncthreads();
}

FAILS(a_barrier_at_two_lines, "divergent barrier") { results(barrier_in_a_branch_kernel, 64); }

__global__ void barrier_and_shuffle_kernel(int* y) {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    y[threadIdx.x] = __shfl_sync(everyone, 1, 0);
  }
}

FAILS(a_barrier_against_a_shuffle, "Deadlock") { results(barrier_and_shuffle_kernel, 32); }

__global__ void two_operations_kernel(int* y) {
  y[threadIdx.x] = threadIdx.x < 16 ? __shfl_sync(everyone, 1, 0) : __any_sync(everyone, 1);
}

FAILS(a_shuffle_against_a_vote, " while other lanes ") { results(two_operations_kernel, 32); }

__global__ void outside_mask_kernel(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffu, 1, 20);
}

FAILS(a_shuffle_from_outside_its_mask, "reads lane 20, which is not in mask 0000ffff") {
  results(outside_mask_kernel, 32);
}

__global__ void endless_kernel(int* y) {
  while (atomicAdd(y, 0) == -1) GPU_SPIN_YIELD();
}

FAILS(waiting_for_nobody, "Endless waiting") { results(endless_kernel, 32); }
