// Matrix products of one warp by mma.sync on tiles of bf16 in shared memory. A product has 16 rows; its sums are spread
// over the lanes: `sums[n / 8]` of a lane has the columns n + 2 (lane % 4) and the next, of the rows lane / 4 and, in
// its other half, lane / 4 + 8.
#pragma once

#include "cast.cuh"
#include "threads.cuh"

// Elements from a row of a tile of `COLUMNS` to the next: 16 bytes more than the row has, so that the eight rows that
// ldmatrix reads at a time meet all banks.
template <int COLUMNS>
constexpr int PITCH = COLUMNS + 8;

// Sums of a lane, of 16 rows and N columns of the warp.
template <int N>
using Sums = float[N / 8][4];

// Neighbouring lanes that share a row of sums.
constexpr int ROW_LANES = 4;

// Row, and column, of the i-th of four sums, counted from the first of the eight columns.
__device__ inline int row_of_sum(int i) { return lane_id() / ROW_LANES + i / 2 * 8; }
__device__ inline int column_of_sum(int i) { return lane_id() % ROW_LANES * 2 + i % 2; }

// Where a lane reads the fragments of `a b^T` from: 16 rows of `a`, and 16 of `b`, tiles of COLUMNS columns.
template <int COLUMNS>
__device__ inline const Bf16* a_rows_of(const Bf16* a) {
  return a + lane_id() % 16 * PITCH<COLUMNS> + lane_id() / 16 * 8;
}
template <int COLUMNS>
__device__ inline const Bf16* b_rows_of(const Bf16* b) {
  return b + (lane_id() / 16 * 8 + lane_id() % 8) * PITCH<COLUMNS> + lane_id() / 8 % 2 * 8;
}

// Adds products with 16 columns, whose fragments are `b`.
__device__ __forceinline__ void multiply_16(float (&left)[4], float (&right)[4], const unsigned (&a)[4],
                                            const unsigned (&b)[4]) {
  const unsigned b_left[2] = {b[0], b[1]}, b_right[2] = {b[2], b[3]};
  gpu_mma_bf16(left, a, b_left);
  gpu_mma_bf16(right, a, b_right);
}

// `sums += a b^T`: `a` are 16 rows of a tile and `b` the N rows of another, both of K columns.
template <int N, int K>
__device__ __forceinline__ void multiply_rows(Sums<N>& sums, const Bf16* a, const Bf16* b) {
  const Bf16 *a_row = a_rows_of<K>(a), *b_row = b_rows_of<K>(b);
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    unsigned of_a[4];
    gpu_ldmatrix_x4(of_a, a_row + k);
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      unsigned of_b[4];
      gpu_ldmatrix_x4(of_b, b_row + n * PITCH<K> + k);
      multiply_16(sums[n / 8], sums[n / 8 + 1], of_a, of_b);
    }
  }
}

// `sums += weights b`: `weights` are sums of K columns, which are rounded, and `b` the K rows of a tile of N columns.
template <int N, int K>
__device__ __forceinline__ void add_weighted_rows(Sums<N>& sums, const Sums<K>& weights, const Bf16* b) {
  // read transposed, so its rows lie as those of a first factor
  const Bf16* b_row = a_rows_of<N>(b);
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    const auto& low = weights[k / 8];
    const auto& high = weights[k / 8 + 1];
    const unsigned of_a[4] = {round_pair(low[0], low[1]), round_pair(low[2], low[3]), round_pair(high[0], high[1]),
                              round_pair(high[2], high[3])};
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      unsigned of_b[4];
      gpu_ldmatrix_x4_trans(of_b, b_row + k * PITCH<N> + n);
      multiply_16(sums[n / 8], sums[n / 8 + 1], of_a, of_b);
    }
  }
}
