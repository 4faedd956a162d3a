// Copies in bf16 of the factors of products.
#pragma once

#include "call.cuh"

using Bf16 = __nv_bfloat16;

// Elements of a row of a copy: rows start at multiples of 16 bytes.
GPU_HD int64_t rounded_width(int64_t k) { return (k + 7) / 8 * 8; }

// Two neighbours as one word, each the nearest bf16.
__device__ inline unsigned round_pair(float low, float high) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(low)) |
         static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

// Overwrites `out` (rows, rounded width of k) with the nearest bf16 of `x` (rows, k), and 0 behind them.
void round_rows(Call& call, Bf16* out, const float* x, int64_t rows, int64_t k);
