// wgmma against plain products of matrices, and breaches of its protocol.
#include "cases.h"

using Bf16 = __nv_bfloat16;

constexpr int rows = 64;
constexpr int depth = 64;  // four steps of 16

// Puts a matrix of rows of 64 elements where wgmma wants it: rows of 128 bytes, swizzled.
__device__ void store_swizzled(unsigned char* tile, const Bf16* values, int row_count) {
  for (int i = int(threadIdx.x); i < row_count * depth; i += int(blockDim.x)) {
    const int place = i * 2;
    *reinterpret_cast<Bf16*>(tile + (place ^ (place >> 7 & 7) << 4)) = values[i];
  }
}

template <int columns>
__device__ void multiply(float (&sums)[columns / 2], unsigned long long a, unsigned long long b, int adds) {
  if constexpr (columns == 64) gpu_wgmma_m64n64k16(sums, a, b, adds);
  if constexpr (columns == 128) gpu_wgmma_m64n128k16(sums, a, b, adds);
  if constexpr (columns == 256) gpu_wgmma_m64n256k16(sums, a, b, adds);
}

// c = a (64 x 64) * b (64 x columns), b as its transpose.
template <int columns>
__global__ void product_kernel(const Bf16* a, const Bf16* b, float* c) {
  GPU_DYN_SHARED(unsigned char, shared);
  unsigned char* tile_b = shared + rows * depth * 2;
  store_swizzled(shared, a, rows);
  store_swizzled(tile_b, b, columns);
  __syncthreads();
  float sums[columns / 2];
  for (float& sum : sums) sum = 1000;  // the first step overwrites it
  gpu_wgmma_fence();
  for (int k = 0; k < depth; k += 16) {
    multiply<columns>(sums, gpu_desc_k128(gpu_saddr(shared) + k * 2), gpu_desc_k128(gpu_saddr(tile_b) + k * 2), k > 0);
    gpu_wgmma_commit();
  }
  gpu_wgmma_wait<0>();
  const int lane = int(threadIdx.x) % 32;
  for (int i = 0; i < columns / 2; i++) {
    const int row = int(threadIdx.x) / 32 * 16 + lane / 4 + i / 2 % 2 * 8;
    const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    c[row * columns + column] = sums[i];
  }
}

template <int columns>
static void expect_product() {
  const std::vector<Bf16> a = exact_values(rows * depth, 3);
  const std::vector<Bf16> b = exact_values(columns * depth, 4);
  DeviceArray<Bf16> device_a(a);
  DeviceArray<Bf16> device_b(b);
  DeviceArray<float> device_c(rows * columns);
  GPU_LAUNCH(product_kernel<columns>, 1, 128, (rows + columns) * depth * 2, nullptr, device_a.get(), device_b.get(),
             device_c.get());
  const std::vector<float> c = device_c.values();
  for (int row = 0; row < rows; row++) {
    for (int column = 0; column < columns; column++) {
      double sum = 0;
      for (int k = 0; k < depth; k++) sum += double(float(a[row * depth + k])) * float(b[column * depth + k]);
      expect(c[row * columns + column] == sum, "the plain product");
    }
  }
}

TEST(products_with_64_columns) { expect_product<64>(); }
TEST(products_with_128_columns) { expect_product<128>(); }
TEST(products_with_256_columns) { expect_product<256>(); }

// Reads its sums before it waits.
__global__ void early_read_kernel(float* y) {
  GPU_DYN_SHARED(unsigned char, shared);
  Bf16* values = reinterpret_cast<Bf16*>(shared);
  for (int i = int(threadIdx.x); i < rows * depth; i += int(blockDim.x)) values[i] = __float2bfloat16_rn(1.0f);
  __syncthreads();
  const unsigned long long descriptor = gpu_desc_k128(gpu_saddr(shared));
  float sums[32];
  for (float& sum : sums) sum = 3;
  gpu_wgmma_fence();
  gpu_wgmma_m64n64k16(sums, descriptor, descriptor, 0);
  gpu_wgmma_commit();
  y[threadIdx.x] = sums[0];
  gpu_wgmma_wait<0>();
}

TEST(sums_read_before_the_wait_depend_on_the_seed) {
  DeviceArray<float> y(128);
  for (unsigned seed = 0; seed < 4; seed++) {
    emulator_set_seed(seed);
    GPU_LAUNCH(early_read_kernel, 1, 128, rows * depth * 2, nullptr, y.get());
    for (float value : y.values()) expect(value == (seed % 2 == 1 ? 16 : 3), "early or late");
  }
}

__global__ void forgotten_kernel() {
  GPU_DYN_SHARED(unsigned char, shared);
  const unsigned long long descriptor = gpu_desc_k128(gpu_saddr(shared));
  float sums[32] = {};
  gpu_wgmma_m64n64k16(sums, descriptor, descriptor, 0);
  gpu_wgmma_commit();
}

FAILS(a_product_that_nobody_waits_for, "returned before this wgmma was waited for") {
  emulator_set_seed(0);
  GPU_LAUNCH(forgotten_kernel, 1, 128, rows * depth * 2, nullptr);
}

__global__ void unaligned_tile_kernel() {
  GPU_DYN_SHARED(unsigned char, shared);
  const unsigned long long descriptor = gpu_desc_k128(gpu_saddr(shared) + 128);
  float sums[32] = {};
  gpu_wgmma_m64n64k16(sums, descriptor, descriptor, 0);
  gpu_wgmma_commit();
  gpu_wgmma_wait<0>();
}

FAILS(a_tile_that_is_not_aligned, "wanted a tile that is aligned to 1024 bytes") {
  GPU_LAUNCH(unaligned_tile_kernel, 1, 128, 2 * rows * depth * 2, nullptr);
}
