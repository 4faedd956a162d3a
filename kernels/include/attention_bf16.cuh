// What the kernels of attention in bf16 share: tiles that are copied to shared memory by cp.async, two stages of them,
// and which kernel goes with which length of heads.
#pragma once

#include <type_traits>

#include "attention.cuh"
#include "fragments.cuh"

// Four warps, of which each has 16 rows of the block's own tile.
constexpr int ATTENTION_THREADS = 128;
constexpr int OWN_ROWS = ATTENTION_THREADS / 32 * 16;

// Rows of one head, `step` elements apart, of which there are `count`; a row has `width` elements.
struct HeadRows {
  const Bf16* data;
  int64_t step, count, width;
};

__device__ inline HeadRows query_rows_of(const Bf16* x, const AttentionShape& shape, int64_t b, int64_t head) {
  const int64_t width = rounded_width(shape.p);
  return {x + shape.query_row(b, 0, head) * width, shape.heads * width, shape.seq, width};
}

__device__ inline HeadRows key_rows_of(const Bf16* x, const AttentionShape& shape, int64_t b, int64_t kv_head) {
  const int64_t width = rounded_width(shape.p);
  return {x + shape.key_row(b, 0, kv_head) * width, shape.kv_heads * width, shape.seq, width};
}

// Starts the copy of rows `first..first+ROWS` into a tile of P columns, with 0 behind the rows and columns there are.
template <int ROWS, int P>
__device__ __forceinline__ void start_tile(Bf16* tile, const HeadRows& rows, int64_t first) {
  constexpr int EIGHTS = P / EIGHT;
// not unrolled: its addresses would take the registers that sums need
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < ROWS * EIGHTS; i += ATTENTION_THREADS) {
    const int row = i / EIGHTS, column = i % EIGHTS * EIGHT;
    const bool is_there = first + row < rows.count && column < rows.width;
    const Bf16* from = is_there ? rows.data + (first + row) * rows.step + column : rows.data;
    gpu_cp_async16(tile + row * PITCH<P> + column, from, is_there);
  }
}

// Writes a warp's sums, times `factors` of their two rows, to rows `first..` of (rows, step): those before `count`, and
// the columns before `p`.
template <int P>
__device__ __forceinline__ void store_sums(float* out, const Sums<P>& sums, const float (&factors)[2], int64_t first,
                                           int64_t count, int64_t step, int64_t p) {
#pragma unroll
  for (int n = 0; n < P; n += 8) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int64_t row = first + row_of_sum(i), column = n + column_of_sum(i);
      if (row < count && column < p) out[row * step + column] = sums[n / 8][i] * factors[i / 2];
    }
  }
}

// Calls `run` with the smallest size that heads of `p` elements fit in, as a type.
template <class Run>
void with_head_size(int64_t p, const Run& run) {
  if (p <= 32) {
    run(std::integral_constant<int, 32>());
  } else if (p <= 64) {
    run(std::integral_constant<int, 64>());
  } else if (p <= 96) {
    run(std::integral_constant<int, 96>());
  } else {
    run(std::integral_constant<int, 128>());
  }
}
static_assert(MAX_TENSOR_P == 128, "the longest heads have a kernel");
