// Copies in bf16 of matrices of f32, as tensor cores want their factors: what is summed over lies along the rows.
#pragma once

#include "call.cuh"

using Bf16 = __nv_bfloat16;

// Elements of 16 bytes.
constexpr int EIGHT = 8;

// A matrix in bf16, rows after each other. `columns` is a multiple of EIGHT, so that a row starts at a multiple of 16
// bytes; what lies behind the columns that were copied is zero.
struct Factor {
  const Bf16* data;
  int64_t rows, columns;
};

// Rows of one expert are padded to a multiple of it where they are summed over.
constexpr int64_t GROUP_PAD = 64;

// First column of expert `e` where rows are summed over, when its first row is `first`: room for the padded rows of all
// experts before it, known without their sum.
GPU_HD int64_t padded_start(int64_t first, int64_t e) { return (first / GROUP_PAD + e) * GROUP_PAD; }

// Columns of a multiple of `unit` that hold `n`.
GPU_HD int64_t padded(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Elements of a row of a copy.
GPU_HD int64_t rounded_width(int64_t k) { return padded(k, EIGHT); }

// Two neighbours as one word; in the second, each the nearest bf16.
__device__ inline unsigned pair_of(Bf16 low, Bf16 high) {
  return __bfloat16_as_ushort(low) | static_cast<unsigned>(__bfloat16_as_ushort(high)) << 16;
}
__device__ inline unsigned round_pair(float low, float high) {
  return pair_of(__float2bfloat16_rn(low), __float2bfloat16_rn(high));
}

// A copy of `x` (rows, k). With `end`, a number on the device, rows from `*end` are not read and zero.
Factor round_rows(Call& call, const float* x, int64_t rows, int64_t k, const int32_t* end = nullptr);

// A copy (count * rows, k) of `count` matrices `x` (k, rows), each transposed.
Factor round_columns(Call& call, const float* x, int64_t count, int64_t k, int64_t rows);

// A copy (width, padded rows) of `x` (N, width), transposed: rows `offsets[e]..offsets[e+1]` become the columns from
// `padded_start`, followed by zeros up to a multiple of GROUP_PAD. N is `most_rows` at most.
Factor round_groups(Call& call, const float* x, const int32_t* offsets, int64_t e, int64_t most_rows, int64_t width);
