// Products of matrices in bf16 on tensor cores, summed in f32: what is multiplied, and how blocks share its tiles. Two
// kernels do the work: mma.cu on every device, wgmma.cu on those that have it.
#pragma once

#include "cast.cuh"
#include "threads.cuh"

// What belongs to a group, when there are several.
enum class Split {
  // Rows of `a` and of `out`, and the group's `n` rows of `b`: group g has `m` rows, or `offsets[g]..offsets[g+1]`.
  ROWS,
  // Columns of `a` and `b`, as `round_groups` lays them out, and the group's `out` (m, n). One without rows is passed
  // over.
  DEPTH,
};

// For each group `out = alpha a b^T`, or `out += alpha a b^T` when `is_added`: `a` (m, k), `b` (n, k), `out` (m, n).
struct TensorProducts {
  float* out;
  Factor a, b;
  int64_t m, n;
  float alpha = 1.0f;
  bool is_added = false;
  // Of a square `out` that equals its transpose only the upper half is computed, and mirrored.
  bool is_symmetric = false;
  int64_t groups = 1;
  Split split = Split::ROWS;
  const int32_t* offsets = nullptr;
};

// Launches them.
void multiply(Call& call, const TensorProducts& products);

// The two ways; the second where the device has wgmma.
void multiply_by_mma(Call& call, const TensorProducts& products);
void multiply_by_wgmma(Call& call, const TensorProducts& products);

// Rows of a tile, and columns unless a kernel says otherwise.
constexpr int TENSOR_TILE = 128;

// A tile of one group. The numbers have 32 bits, as TMA wants them: `multiply` refuses larger matrices.
struct Tile {
  float* out;
  // First row of the tile in `a` and in `b`, and first column of the sum.
  int a_row, b_row, depth;
  // How many rows, columns and terms of the sum there are from here on; in `out` no more than the tile has count.
  int rows, columns, terms;
  // Rows above and columns left of it.
  int top, left;
};

// The tiles of this block, in strides of the whole grid. Groups whose rows are known on the device only are walked
// over.
template <int WIDTH>
class Tiles {
 public:
  __device__ explicit Tiles(const TensorProducts& p) : p_(p), number_(static_cast<int>(blockIdx.x)) {}

  // False behind the last one.
  __device__ bool next(Tile& tile) {
    const int n = static_cast<int>(p_.n), across = (n + WIDTH - 1) / WIDTH;
    for (; group_ < p_.groups; group_++) {
      int first = group_ * static_cast<int>(p_.m), count = static_cast<int>(p_.m);
      if (p_.offsets) first = p_.offsets[group_], count = p_.offsets[group_ + 1] - first;
      const int m = p_.split == Split::ROWS ? count : static_cast<int>(p_.m);
      const int down = (m + TENSOR_TILE - 1) / TENSOR_TILE;
      const int tiles = count == 0 ? 0 : p_.is_symmetric ? across * (across + 1) / 2 : down * across;
      const int at = number_ - passed_;
      if (at < tiles) {
        number_ += static_cast<int>(gridDim.x);
        place(tile, first, count, m, at, across);
        return true;
      }
      passed_ += tiles;
    }
    return false;
  }

 private:
  __device__ void place(Tile& tile, int first, int count, int m, int at, int across) const {
    int row = at / across, column = at % across;
    if (p_.is_symmetric) {
      // row i of the upper half has `across - i` tiles
      row = 0, column = at;
      for (; column >= across - row; row++) column -= across - row;
      column += row;
    }
    const int n = static_cast<int>(p_.n);
    tile.top = row * TENSOR_TILE, tile.left = column * WIDTH;
    tile.rows = m - tile.top, tile.columns = n - tile.left;
    if (p_.split == Split::ROWS) {
      tile.out = p_.out + (int64_t{first} + tile.top) * n + tile.left;
      tile.a_row = first + tile.top, tile.b_row = group_ * n + tile.left;
      tile.depth = 0, tile.terms = static_cast<int>(p_.a.columns);
    } else {
      tile.out = p_.out + (int64_t{group_} * m + tile.top) * n + tile.left;
      tile.a_row = tile.top, tile.b_row = tile.left;
      tile.depth = static_cast<int>(padded_start(first, group_));
      tile.terms = static_cast<int>(padded(count, GROUP_PAD));
    }
  }

  const TensorProducts& p_;
  int group_ = 0, passed_ = 0, number_;
};

// How sums are written: two neighbours at once, where that is possible, one by one, or mirrored. A kernel has one way,
// since each is unrolled over all sums of a thread.
enum class Write { PAIRS, SINGLES, MIRRORED };

inline Write way_to_write(const TensorProducts& p) {
  if (p.is_symmetric) return Write::MIRRORED;
  const bool has_pairs = p.n % 2 == 0 && reinterpret_cast<uintptr_t>(p.out) % sizeof(float2) == 0;
  return has_pairs ? Write::PAIRS : Write::SINGLES;
}

// Writes one sum, and answers what is there then.
__device__ inline float write_sum(const TensorProducts& p, float* at, float sum) {
  return *at = (p.is_added ? *at : 0.0f) + p.alpha * sum;
}

// Writes an element of the upper half and the one that mirrors it; `right` columns right of the diagonal.
__device__ inline void write_mirrored(const TensorProducts& p, float* at, float sum, int right) {
  if (right >= 0) at[right * (p.n - 1)] = write_sum(p, at, sum);
}

// Writes two neighbours of a row, the first in an even column.
template <Write WAY>
__device__ inline void write(const TensorProducts& p, const Tile& tile, int row, int column, float first,
                             float second) {
  if (row >= tile.rows || column >= tile.columns) return;
  float* at = tile.out + row * p.n + column;
  const bool has_second = column + 1 < tile.columns;
  if constexpr (WAY == Write::PAIRS) {
    float2* pair = reinterpret_cast<float2*>(at);
    const float2 before = p.is_added ? *pair : float2{0.0f, 0.0f};
    *pair = {before.x + p.alpha * first, before.y + p.alpha * second};
  } else if constexpr (WAY == Write::SINGLES) {
    write_sum(p, at, first);
    if (has_second) write_sum(p, at + 1, second);
  } else {
    const int right = tile.left + column - tile.top - row;
    write_mirrored(p, at, first, right);
    if (has_second) write_mirrored(p, at + 1, second, right + 1);
  }
}
