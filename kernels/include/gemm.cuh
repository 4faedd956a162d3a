// Matrix products by tiles in shared memory, in f32: a block computes a tile of TILE x TILE, a thread 4 x 4 elements of
// it. The sum over k goes by pieces of DEPTH, each summed on its own and added to the total: its rounding grows with k
// / DEPTH.
#pragma once

#include "cast.cuh"
#include "threads.cuh"

// Element (i, j) lies at `data[i * row + j * col]`; one of the strides is 1.
template <class T>
struct Matrix {
  T* data;
  int64_t row, col;
};

// `count` products one after the other: `out = alpha a b`, or `out += alpha a b` when `is_added`. `a` (m, k), `b` (k,
// n), `out` (m, n); the matrices of the next product lie right behind.
struct Products {
  Matrix<float> out;
  Matrix<const float> a, b;
  int64_t m, n, k;
  float alpha = 1.0f;
  bool is_added = false;
  int64_t count = 1;
  // `b` is the transpose of `a`, or both are symmetric and the same: so `out` is symmetric, too.
  bool is_symmetric = false;
  // In f32, whatever the precision of the device.
  bool is_f32 = false;
  // For a product in bf16: a copy of the transpose of `b` that was made before.
  Factor b_copy = {};
};

// Launches them, in the precision of the device.
void multiply(Call& call, const Products& products);

// The copy in bf16 of `count` matrices (rows, k), whose sum is over k.
Factor round_factor(Call& call, Matrix<const float> x, int64_t count, int64_t rows, int64_t k);

constexpr int TILE = 64;
constexpr int DEPTH = 16;
// Rows, and columns, of one thread.
constexpr int SHARE = 4;
// Threads along one side of a tile.
constexpr int SIDE = TILE / SHARE;
static_assert(SIDE * SIDE == BLOCK, "every thread has its share of a tile");

// Tiles along a side of `n` elements.
GPU_HD int64_t tiles_of(int64_t n) { return (n + TILE - 1) / TILE; }

// Loads elements `first..first+TILE` by `from..from+DEPTH` of k into `tile`, 0 where there are none. Neighbouring
// threads read neighbouring memory.
__device__ inline void load_tile(float (&tile)[DEPTH][TILE + 1], const float* data, int64_t step, int64_t k_step,
                                 int64_t first, int64_t size, int64_t from, int64_t k) {
  for (int i = static_cast<int>(threadIdx.x); i < TILE * DEPTH; i += BLOCK) {
    const int x = k_step == 1 ? i / DEPTH : i % TILE;
    const int depth = k_step == 1 ? i % DEPTH : i / TILE;
    const bool is_inside = first + x < size && from + depth < k;
    tile[depth][x] = is_inside ? data[(first + x) * step + (from + depth) * k_step] : 0.0f;
  }
}

// The tile at (`top`, `left`) of `out = alpha a b`, or of what is added to it. All threads of the block call it.
__device__ inline void multiply_tile(Matrix<float> out, Matrix<const float> a, Matrix<const float> b, int64_t m,
                                     int64_t n, int64_t k, int64_t top, int64_t left, float alpha, bool is_added) {
  GPU_SHARED(float, a_tile, [DEPTH][TILE + 1]);
  GPU_SHARED(float, b_tile, [DEPTH][TILE + 1]);
  const int y = static_cast<int>(threadIdx.x) / SIDE, x = static_cast<int>(threadIdx.x) % SIDE;
  float total[SHARE][SHARE] = {};
  for (int64_t from = 0; from < k; from += DEPTH) {
    load_tile(a_tile, a.data, a.row, a.col, top, m, from, k);
    load_tile(b_tile, b.data, b.col, b.row, left, n, from, k);
    __syncthreads();
    float sum[SHARE][SHARE] = {};
    for (int depth = 0; depth < DEPTH; depth++) {
      for (int i = 0; i < SHARE; i++) {
        for (int j = 0; j < SHARE; j++) sum[i][j] += a_tile[depth][y + i * SIDE] * b_tile[depth][x + j * SIDE];
      }
    }
    for (int i = 0; i < SHARE; i++) {
      for (int j = 0; j < SHARE; j++) total[i][j] += sum[i][j];
    }
    __syncthreads();
  }
  for (int i = 0; i < SHARE; i++) {
    for (int j = 0; j < SHARE; j++) {
      const int64_t row = top + y + i * SIDE, col = left + x + j * SIDE;
      if (row >= m || col >= n) continue;
      float* at = out.data + row * out.row + col * out.col;
      *at = is_added ? *at + alpha * total[i][j] : alpha * total[i][j];
    }
  }
}
