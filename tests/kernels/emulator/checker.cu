// What the checker must tell apart beyond the planted bugs: what orders accesses and what does not.
#include "cases.h"

constexpr int threads = 64;

static void launch_checked(void (*kernel)(int*), int blocks, int launches = 1) {
  DeviceArray<int> x(std::vector<int>(threads, 1));
  for (int i = 0; i < launches; i++) GPU_LAUNCH(kernel, blocks, threads, 0, nullptr, x.get());
}

#define CHECKED(name, failure, blocks) \
  FAILS(name, failure) { launch_checked(name##_kernel, blocks); }

#define CLEAN(name, blocks) \
  TEST(name) { launch_checked(name##_kernel, blocks); }

__global__ void syncwarp_orders_a_warp_kernel(int* x) {
  GPU_SHARED(int, s, [threads]);
  for (int i = 0; i < 40; i++) {
    s[threadIdx.x] = i;
    __syncwarp();
    x[threadIdx.x] += s[threadIdx.x ^ 1];
    __syncwarp();
  }
}
CLEAN(syncwarp_orders_a_warp, 1)

__global__ void syncwarp_does_not_order_warps_kernel(int* x) {
  GPU_SHARED(int, s, [threads]);
  s[threadIdx.x] = 1;
  __syncwarp();
  x[threadIdx.x] = s[threadIdx.x ^ 32];
}
CHECKED(syncwarp_does_not_order_warps, " race", 1)

__global__ void shuffles_do_not_order_memory_kernel(int* x) {
  GPU_SHARED(int, s, [threads]);
  s[threadIdx.x] = 1;
  __shfl_sync(0xffffffffu, 0, 0);
  x[threadIdx.x] = s[threadIdx.x ^ 1];
}
CHECKED(shuffles_do_not_order_memory, "write-read race", 1)

__global__ void atomics_do_not_race_kernel(int* x) { atomicAdd(x, 1); }
CLEAN(atomics_do_not_race, 4)

__global__ void an_atomic_races_with_a_read_kernel(int* x) {
  if (blockIdx.x == 0) {
    atomicAdd(x, 1);
  } else {
    x[1 + threadIdx.x % 8] = x[0];
  }
}
CHECKED(an_atomic_races_with_a_read, " race", 2)

__global__ void all_may_read_kernel(int* x) {
  if (x[0] + x[threadIdx.x] == 0) x[1] = 0;
}
CLEAN(all_may_read, 4)

// The write is by the last reader, so that only earlier readers race with it.
__global__ void a_write_after_reads_of_warps_kernel(int* x) {
  GPU_SHARED(int, s, [1]);
  if (threadIdx.x == 0) s[0] = 1;
  __syncthreads();
  x[threadIdx.x] = s[0];
  if (threadIdx.x == threads - 1) s[0] = 2;
}
CHECKED(a_write_after_reads_of_warps, "race", 1)

__global__ void a_write_after_reads_of_blocks_kernel(int* x) {
  if (threadIdx.x != 0) return;
  const int old = x[0];
  if (blockIdx.x == 3) x[0] = old + 1;
}
CHECKED(a_write_after_reads_of_blocks, "race", 4)

__global__ void launches_are_ordered_kernel(int* x) { x[threadIdx.x] += 1; }
// More of them than the checker has numbers for.
TEST(launches_are_ordered) { launch_checked(launches_are_ordered_kernel, 1, 2100); }

__global__ void shared_memory_is_new_in_each_block_kernel(int* x) {
  GPU_SHARED(int, s, [threads]);
  if (blockIdx.x == 0) s[threadIdx.x] = 1;
  __syncthreads();
  if (s[threadIdx.x] == 12345) x[threadIdx.x] = 1;
}
CHECKED(shared_memory_is_new_in_each_block, "read of uninitialised memory", 2)

__global__ void copies_in_stages_kernel(int* x) {
  GPU_SHARED(uint4, s, [2][threads / 4]);
  const int i = int(threadIdx.x);
  const uint4* from = reinterpret_cast<const uint4*>(x);
  unsigned sum = 0;
  for (int stage = 0; stage < 4; stage++) {
    if (i < threads / 4) gpu_cp_async16(&s[stage % 2][i], from + i, true);
    gpu_cp_async_commit();
    gpu_cp_async_wait<0>();
    __syncthreads();
    sum += s[stage % 2][threads / 4 - 1 - i / 4].x;
  }
  if (sum != 4) x[i] = 0;
}
CLEAN(copies_in_stages, 1)

__global__ void a_copy_into_what_is_read_kernel(int* x) {
  GPU_SHARED(uint4, s, [threads / 4]);
  const int i = int(threadIdx.x);
  for (int round = 0; round < 2; round++) {
    if (i < threads / 4) gpu_cp_async16(&s[i], reinterpret_cast<const uint4*>(x) + i, true);
    gpu_cp_async_commit();
    gpu_cp_async_wait<0>();
    __syncthreads();
    if (s[threads / 4 - 1 - i / 4].x != 1) x[i] = 0;
  }
}
CHECKED(a_copy_into_what_is_read, " race", 1)

__global__ void a_product_of_nothing_kernel(int* x) {
  GPU_DYN_SHARED(__nv_bfloat16, s);
  for (int i = int(threadIdx.x); i < 63 * 64; i += int(blockDim.x)) s[i] = __float2bfloat16_rn(1.0f);
  __syncthreads();
  const unsigned long long tile = gpu_desc_k128(gpu_saddr(s));  // its last row was not written
  float sums[32];
  gpu_wgmma_m64n64k16(sums, tile, tile, 0);
  gpu_wgmma_commit();
  gpu_wgmma_wait<0>();
  x[threadIdx.x] = int(sums[0]);
}

FAILS(a_product_of_what_was_not_written, "read of uninitialised memory") {
  DeviceArray<int> x(128);
  GPU_LAUNCH(a_product_of_nothing_kernel, 1, 128, 64 * 64 * 2, nullptr, x.get());
}

FAILS(memory_that_was_freed, "out-of-bounds") {
  int* x;
  cudaMalloc(reinterpret_cast<void**>(&x), threads * sizeof(int));
  DeviceArray<int> later(threads);
  cudaFree(x);
  GPU_LAUNCH(launches_are_ordered_kernel, 1, threads, 0, nullptr, x);
}

FAILS(the_host_reads_memory_of_the_device, "access by the host") {
  DeviceArray<int> x(std::vector<int>(threads, 1));
  expect(*x.get() == 1, "the value");
}
