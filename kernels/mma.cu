// Products on the tensor cores of sm_80 and later: a block of eight warps computes a tile of 128 x 128, a warp 64 x 32 of
// it. Factors come by cp.async, STAGES - 1 steps of the sum ahead.
#include "include/tensor.cuh"

namespace {

// Terms of the sum in one stage, and their distance in shared memory: 80 bytes, so that the rows of an ldmatrix fall into
// different banks.
constexpr int DEPTH = 32;
constexpr int PITCH = DEPTH + 8;
constexpr int STAGES = 4;
// Elements of one factor's tile.
constexpr int TILE_SIZE = TENSOR_TILE * PITCH;
constexpr size_t SHARED_BYTES = size_t{STAGES} * 2 * TILE_SIZE * sizeof(__nv_bfloat16);
// Of a warp: rows and columns, in products of 16 x 8.
constexpr int WARP_ROWS = 64, WARP_COLUMNS = 32;
constexpr int DOWN = WARP_ROWS / 16, ACROSS = WARP_COLUMNS / 8;
// Blocks that run on a multiprocessor side by side: the other ways to write need too many registers for two.
template <Write WAY>
constexpr int BLOCKS = WAY == Write::PAIRS ? 2 : 1;

// Place of a thread's copies of 16 bytes in a factor's tile: from there on every ROW_STEP rows.
constexpr int ROW_STEP = BLOCK / (DEPTH / 8);
__device__ inline int copied_row() { return static_cast<int>(threadIdx.x) / (DEPTH / 8); }
__device__ inline int copied_column() { return static_cast<int>(threadIdx.x) % (DEPTH / 8) * 8; }

// Where a thread's copies of a factor come from, whose tile has its first element at (`row`, `column`).
__device__ inline const __nv_bfloat16* source_of(const Factor& factor, int row, int column) {
  return factor.data + (int64_t{row} + copied_row()) * factor.columns + column + copied_column();
}

// Issues the copies of one stage: zeros in rows from `rows` on, and everywhere where the thread has no `is_wanted` terms.
__device__ inline void load(__nv_bfloat16* stage, const __nv_bfloat16* source, int64_t columns, int rows,
                            bool is_wanted) {
#pragma unroll
  for (int y = 0; y < TENSOR_TILE; y += ROW_STEP) {
    __nv_bfloat16* to = stage + (copied_row() + y) * PITCH + copied_column();
    gpu_cp_async16(to, source + y * columns, is_wanted && copied_row() + y < rows);
  }
}

// Adds the products of one stage's terms to a warp's sums; `a` and `b` are its first rows there.
__device__ inline void add_products(float (&sums)[DOWN][ACROSS][4], const __nv_bfloat16* a, const __nv_bfloat16* b) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < DEPTH; k += 16) {
    unsigned of_a[DOWN][4], of_b[ACROSS][2];
#pragma unroll
    for (int i = 0; i < DOWN; i++) gpu_ldmatrix_x4(of_a[i], a + (i * 16 + lane % 16) * PITCH + k + lane / 16 * 8);
#pragma unroll
    for (int j = 0; j < ACROSS; j += 2) {
      unsigned of_two[4];
      gpu_ldmatrix_x4(of_two, b + (j * 8 + lane % 8 + lane / 16 * 8) * PITCH + k + lane / 8 % 2 * 8);
      of_b[j][0] = of_two[0], of_b[j][1] = of_two[1];
      of_b[j + 1][0] = of_two[2], of_b[j + 1][1] = of_two[3];
    }
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
#pragma unroll
      for (int j = 0; j < ACROSS; j++) gpu_mma_bf16(sums[i][j], of_a[i], of_b[j]);
    }
  }
}

template <Write WAY>
__global__ void __launch_bounds__(BLOCK, BLOCKS<WAY>) mma_kernel(const TensorProducts p) {
  GPU_DYN_SHARED(__nv_bfloat16, shared);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int top = warp / 4 * WARP_ROWS, left = warp % 4 * WARP_COLUMNS;
  Tiles<TENSOR_TILE> tiles(p);
  for (Tile tile; tiles.next(tile);) {
    const __nv_bfloat16* a = source_of(p.a, tile.a_row, tile.depth);
    const __nv_bfloat16* b = source_of(p.b, tile.b_row, tile.depth);
    const auto load_step = [&](int step) {
      __nv_bfloat16* stage = shared + step % STAGES * 2 * TILE_SIZE;
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
    float sums[DOWN][ACROSS][4] = {};
    for (int step = 0; step < steps; step++) {
      gpu_cp_async_wait<STAGES - 2>();
      __syncthreads();  // the step is there for all, and the stage of the step before was read
      if (step + STAGES - 1 < steps) load_step(step + STAGES - 1);
      gpu_cp_async_commit();
      const __nv_bfloat16* stage = shared + step % STAGES * 2 * TILE_SIZE;
      if (is_busy) add_products(sums, stage + top * PITCH, stage + TILE_SIZE + left * PITCH);
    }
    __syncthreads();  // the last stages were read
    if (!is_busy) continue;
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
#pragma unroll
      for (int j = 0; j < ACROSS; j++) {
        const int row = top + i * 16 + lane / 4, column = left + j * 8 + lane % 4 * 2;
        write<WAY>(p, tile, row, column, sums[i][j][0], sums[i][j][1]);
        write<WAY>(p, tile, row + 8, column, sums[i][j][2], sums[i][j][3]);
      }
    }
  }
}

template <Write WAY>
void launch(Call& call, const TensorProducts& products) {
  const TensorProducts p = products;
  const unsigned grid = static_cast<unsigned>(BLOCKS<WAY> * call.processors());
  constexpr auto LIMIT = cudaFuncAttributeMaxDynamicSharedMemorySize;
  if (!call.check(cudaFuncSetAttribute(mma_kernel<WAY>, LIMIT, SHARED_BYTES))) return;
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
