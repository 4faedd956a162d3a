// ldmatrix and mma.sync against plain products of matrices.
#include "cases.h"

constexpr int rows = 16;
constexpr int columns = 8;
constexpr int depth = 16;

using Bf16 = __nv_bfloat16;

// One product of 16 x 16 by 16 x 8; b lies as its transpose, 8 x 16.
__global__ void product_kernel(const Bf16* a, const Bf16* b, float* c) {
  GPU_SHARED(Bf16, shared_a, [rows * depth]);
  GPU_SHARED(Bf16, shared_b, [rows * depth]);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < rows * depth; i += 32) shared_a[i] = a[i];
  for (int i = lane; i < columns * depth; i += 32) shared_b[i] = b[i];
  for (int i = lane + columns * depth; i < rows * depth; i += 32) shared_b[i] = __float2bfloat16_rn(0.0f);
  __syncthreads();
  unsigned fragments_a[4];
  unsigned fragments_b[4];
  gpu_ldmatrix_x4(fragments_a, shared_a + lane % 16 * depth + lane / 16 * 8);
  gpu_ldmatrix_x4(fragments_b, shared_b + lane % 8 * depth + lane / 8 % 2 * 8);
  const unsigned columns_of_b[2] = {fragments_b[0], fragments_b[1]};
  float sums[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  gpu_mma_bf16(sums, fragments_a, columns_of_b);
  gpu_mma_bf16(sums, fragments_a, columns_of_b);
  for (int i = 0; i < 4; i++) {
    const int row = lane / 4 + i / 2 * 8;
    const int column = lane % 4 * 2 + i % 2;
    c[row * columns + column] = sums[i];
  }
}

TEST(a_product_by_mma_is_the_plain_product) {
  const std::vector<Bf16> a = exact_values(rows * depth, 1);
  const std::vector<Bf16> b = exact_values(columns * depth, 2);
  DeviceArray<Bf16> device_a(a);
  DeviceArray<Bf16> device_b(b);
  DeviceArray<float> device_c(rows * columns);
  GPU_LAUNCH(product_kernel, 1, 32, 0, nullptr, device_a.get(), device_b.get(), device_c.get());
  const std::vector<float> c = device_c.values();
  for (int row = 0; row < rows; row++) {
    for (int column = 0; column < columns; column++) {
      double sum = 0;
      for (int k = 0; k < depth; k++) sum += double(float(a[row * depth + k])) * float(b[column * depth + k]);
      expect(c[row * columns + column] == 0.5 + 2 * sum, "twice the product, added to a half");
    }
  }
}

// Four matrices of 8 x 8 below each other.
__global__ void load_kernel(const Bf16* x, unsigned* plain, unsigned* transposed) {
  GPU_SHARED(Bf16, s, [4 * 64]);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 4 * 64; i += 32) s[i] = x[i];
  __syncthreads();
  unsigned fragments[4];
  gpu_ldmatrix_x4(fragments, s + lane * 8);
  for (int m = 0; m < 4; m++) plain[m * 32 + lane] = fragments[m];
  gpu_ldmatrix_x4_trans(fragments, s + lane * 8);
  for (int m = 0; m < 4; m++) transposed[m * 32 + lane] = fragments[m];
}

TEST(ldmatrix_spreads_rows_and_columns) {
  std::vector<Bf16> x;
  for (unsigned short i = 0; i < 4 * 64; i++) x.push_back(__ushort_as_bfloat16(i));
  DeviceArray<Bf16> device_x(x);
  DeviceArray<unsigned> plain(128);
  DeviceArray<unsigned> transposed(128);
  GPU_LAUNCH(load_kernel, 1, 32, 0, nullptr, device_x.get(), plain.get(), transposed.get());
  const std::vector<unsigned> by_rows = plain.values();
  const std::vector<unsigned> by_columns = transposed.values();
  for (unsigned m = 0; m < 4; m++) {
    for (unsigned lane = 0; lane < 32; lane++) {
      const unsigned major = lane / 4;
      const unsigned minor = lane % 4 * 2;
      const unsigned in_row = m * 64 + major * 8 + minor;
      const unsigned in_column = m * 64 + minor * 8 + major;
      expect(by_rows[m * 32 + lane] == (in_row | (in_row + 1) << 16), "two neighbours of a row");
      expect(by_columns[m * 32 + lane] == (in_column | (in_column + 8) << 16), "two neighbours of a column");
    }
  }
}

__global__ void odd_row_kernel(unsigned* y) {
  GPU_SHARED(Bf16, s, [4 * 64]);
  for (int i = int(threadIdx.x); i < 4 * 64; i += 32) s[i] = __float2bfloat16_rn(1.0f);
  __syncwarp();
  unsigned fragments[4];
  gpu_ldmatrix_x4(fragments, s + threadIdx.x * 7);
  y[threadIdx.x] = fragments[0];
}

FAILS(a_row_that_is_not_aligned, "wanted a multiple of 16") {
  DeviceArray<unsigned> y(32);
  GPU_LAUNCH(odd_row_kernel, 1, 32, 0, nullptr, y.get());
}

__global__ void half_warp_kernel(float* y) {
  const unsigned a[4] = {0, 0, 0, 0};
  const unsigned b[2] = {0, 0};
  float sums[4] = {0, 0, 0, 0};
  if (threadIdx.x < 16) gpu_mma_bf16(sums, a, b);
  y[threadIdx.x] = sums[0];
}

FAILS(mma_of_half_a_warp, "mma") {
  DeviceArray<float> y(32);
  GPU_LAUNCH(half_warp_kernel, 1, 32, 0, nullptr, y.get());
}
