// Products on the tensor cores of sm_80 and later: a block of eight warps computes a tile of 128 x 128, a warp 64 x 32
// of it. Factors come by cp.async, STAGES - 1 steps of the sum ahead.
#include "include/fragments.cuh"
#include "include/tensor.cuh"

namespace {

// Terms of the sum in one stage.
constexpr int DEPTH = 32;
constexpr int STAGES = 4;
// Elements of one factor's tile.
constexpr int TILE_SIZE = TENSOR_TILE * PITCH<DEPTH>;
constexpr size_t SHARED_BYTES = size_t{STAGES} * 2 * TILE_SIZE * sizeof(Bf16);
// Of a warp: rows and columns, and products of 16 rows.
constexpr int WARP_ROWS = 64, WARP_COLUMNS = 32;
constexpr int DOWN = WARP_ROWS / 16;
// Blocks that run on a multiprocessor side by side: the other ways to write need too many registers for two.
template <Write WAY>
constexpr int BLOCKS = WAY == Write::PAIRS ? 2 : 1;

// Place of a thread's copies of 16 bytes in a factor's tile: from there on every ROW_STEP rows.
constexpr int ROW_STEP = BLOCK / (DEPTH / EIGHT);
__device__ inline int copied_row() { return static_cast<int>(threadIdx.x) / (DEPTH / EIGHT); }
__device__ inline int copied_column() { return static_cast<int>(threadIdx.x) % (DEPTH / EIGHT) * EIGHT; }

// Where a thread's copies of a factor come from, whose tile has its first element at (`row`, `column`).
__device__ inline const Bf16* source_of(const Factor& factor, int row, int column) {
  return factor.data + (int64_t{row} + copied_row()) * factor.columns + column + copied_column();
}

// Issues the copies of one stage: zeros in rows from `rows` on, and everywhere where the thread has no `is_wanted`
// terms.
__device__ inline void load(Bf16* stage, const Bf16* source, int64_t columns, int rows, bool is_wanted) {
#pragma unroll
  for (int y = 0; y < TENSOR_TILE; y += ROW_STEP) {
    Bf16* to = stage + (copied_row() + y) * PITCH<DEPTH> + copied_column();
    gpu_cp_async16(to, source + y * columns, is_wanted && copied_row() + y < rows);
  }
}

// Adds the products of one stage's terms to a warp's sums; `a` and `b` are its first rows there.
__device__ inline void add_products(Sums<WARP_COLUMNS> (&sums)[DOWN], const Bf16* a, const Bf16* b) {
  const Bf16 *a_row = a_rows_of<DEPTH>(a), *b_row = b_rows_of<DEPTH>(b);
#pragma unroll
  for (int k = 0; k < DEPTH; k += 16) {
    unsigned of_a[DOWN][4];
#pragma unroll
    for (int i = 0; i < DOWN; i++) gpu_ldmatrix_x4(of_a[i], a_row + i * 16 * PITCH<DEPTH> + k);
#pragma unroll
    for (int n = 0; n < WARP_COLUMNS; n += 16) {
      unsigned of_b[4];
      gpu_ldmatrix_x4(of_b, b_row + n * PITCH<DEPTH> + k);
#pragma unroll
      for (int i = 0; i < DOWN; i++) multiply_16(sums[i][n / 8], sums[i][n / 8 + 1], of_a[i], of_b);
    }
  }
}

template <Write WAY>
__global__ void __launch_bounds__(BLOCK, BLOCKS<WAY>) mma_kernel(const TensorProducts p) {
  GPU_DYN_SHARED(Bf16, shared);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int top = warp / 4 * WARP_ROWS, left = warp % 4 * WARP_COLUMNS;
  Tiles<TENSOR_TILE> tiles(p);
  for (Tile tile; tiles.next(tile);) {
    const Bf16* a = source_of(p.a, tile.a_row, tile.depth);
    const Bf16* b = source_of(p.b, tile.b_row, tile.depth);
    const auto load_step = [&](int step) {
      Bf16* stage = shared + step % STAGES * 2 * TILE_SIZE;
      const int from = step * DEPTH;
      const bool is_wanted = from + copied_column() < tile.terms;
      load(stage, a + from, p.a.columns, tile.rows, is_wanted);
      load(stage + TILE_SIZE, b + from, p.b.columns, tile.columns, is_wanted);
    };
    const int steps = (tile.terms + DEPTH - 1) / DEPTH;
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
      if (step < steps) load_step(step);
      gpu_cp_async_commit();
    }
    // a warp without elements of `out` only loads
    const bool is_busy = top < tile.rows && left < tile.columns;
    Sums<WARP_COLUMNS> sums[DOWN] = {};
    for (int step = 0; step < steps; step++) {
      gpu_cp_async_wait<STAGES - 2>();
      __syncthreads();  // the step is there for all, and the stage of the step before was read
      if (step + STAGES - 1 < steps) load_step(step + STAGES - 1);
      gpu_cp_async_commit();
      const Bf16* stage = shared + step % STAGES * 2 * TILE_SIZE;
      if (is_busy) add_products(sums, stage + top * PITCH<DEPTH>, stage + TILE_SIZE + left * PITCH<DEPTH>);
    }
    __syncthreads();  // the last stages were read
    if (!is_busy) continue;
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
#pragma unroll
      for (int n = 0; n < WARP_COLUMNS; n += 8) {
        const int row = top + i * 16, column = left + n + column_of_sum(0);
        const auto& four = sums[i][n / 8];
        write<WAY>(p, tile, row + row_of_sum(0), column, four[0], four[1]);
        write<WAY>(p, tile, row + row_of_sum(2), column, four[2], four[3]);
      }
    }
  }
}

template <Write WAY>
void launch(Call& call, const TensorProducts& products) {
  const TensorProducts p = products;
  const unsigned grid = static_cast<unsigned>(BLOCKS<WAY> * call.processors());
  if (!call.allow_shared(mma_kernel<WAY>, SHARED_BYTES)) return;
  GPU_LAUNCH((mma_kernel<WAY>), grid, BLOCK, SHARED_BYTES, 0, p);
}

}  // namespace

void multiply_by_mma(Call& call, const TensorProducts& products) {
  switch (way_to_write(products)) {
    case Write::PAIRS: return launch<Write::PAIRS>(call, products);
    case Write::SINGLES: return launch<Write::SINGLES>(call, products);
    case Write::MIRRORED: return launch<Write::MIRRORED>(call, products);
  }
}
