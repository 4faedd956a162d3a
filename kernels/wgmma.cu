// Products on the tensor cores of sm_90a: blocks that stay, one to a multiprocessor. One thread of the first warpgroup
// loads by TMA, STAGES steps of the sum ahead; each of the two others multiplies 64 rows of the tile by wgmma.
//
// A stage is full when its bytes are there, and empty when every warp that reads it says so, each for itself: a warp is
// done with a stage when its own products are. Loads may read rows of the next group, or behind the last, which are
// zeros; only what is written is masked.
#include "include/tensor.cuh"

namespace {

constexpr int READERS = 2;
constexpr int WARPGROUP = 128;
constexpr int THREADS = (1 + READERS) * WARPGROUP;
// Terms of the sum in one stage: 128 bytes, as wide as the swizzle.
constexpr int DEPTH = 64;
constexpr unsigned A_BYTES = TENSOR_TILE * DEPTH * 2;

// Shared memory of a kernel with tiles of WIDTH columns.
template <int WIDTH>
struct Layout {
  static constexpr int STAGES = WIDTH == 256 ? 4 : 6;
  static constexpr unsigned STAGE_BYTES = A_BYTES + WIDTH * DEPTH * 2;
  // with a barrier "full" and one "empty" for each stage
  static constexpr size_t BYTES = STAGES * (STAGE_BYTES + 2 * sizeof(unsigned long long));
};

#if GPU_HAS_WGMMA

__device__ inline void add_product(float (&sums)[64], unsigned long long a, unsigned long long b) {
  gpu_wgmma_m64n128k16(sums, a, b, 1);
}
__device__ inline void add_product(float (&sums)[128], unsigned long long a, unsigned long long b) {
  gpu_wgmma_m64n256k16(sums, a, b, 1);
}

// Where a thread is in the ring of stages.
template <int STAGES>
struct Ring {
  int stage = 0;
  unsigned round = 0;

  __device__ void advance() {
    if (++stage == STAGES) stage = 0, round++;
  }
};

#endif

template <int WIDTH, Write WAY>
__global__ void __launch_bounds__(THREADS, 1)
    wgmma_kernel(const GPU_GRID_CONSTANT CUtensorMap a_map, const GPU_GRID_CONSTANT CUtensorMap b_map,
                 const TensorProducts p) {
#if GPU_HAS_WGMMA
  using L = Layout<WIDTH>;
  GPU_DYN_SHARED(unsigned char, shared);
  unsigned long long* full = reinterpret_cast<unsigned long long*>(shared + L::STAGES * L::STAGE_BYTES);
  unsigned long long* empty = full + L::STAGES;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < L::STAGES; stage++) {
      gpu_mbar_init(full + stage, 1);
      gpu_mbar_init(empty + stage, READERS * WARPGROUP / 32);
    }
    gpu_mbar_fence_init();
  }
  __syncthreads();
  const int reader = static_cast<int>(threadIdx.x) / WARPGROUP - 1;
  Ring<L::STAGES> ring;
  Tiles<WIDTH> tiles(p);
  if (reader < 0) {
    gpu_setmaxnreg_dec<40>();
    if (threadIdx.x != 0) return;
    for (Tile tile; tiles.next(tile);) {
      for (int k = 0; k < tile.terms; k += DEPTH, ring.advance()) {
        unsigned char* stage = shared + ring.stage * L::STAGE_BYTES;
        gpu_mbar_wait(empty + ring.stage, (ring.round & 1) ^ 1);  // at once in the first round
        gpu_mbar_expect_tx(full + ring.stage, L::STAGE_BYTES);
        gpu_tma_load_2d(stage, &a_map, full + ring.stage, tile.depth + k, tile.a_row);
        gpu_tma_load_2d(stage + A_BYTES, &b_map, full + ring.stage, tile.depth + k, tile.b_row);
      }
    }
    return;
  }
  gpu_setmaxnreg_inc<232>();
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4, lane = lane_id();
  const int top = reader * TENSOR_TILE / READERS;
  for (Tile tile; tiles.next(tile);) {
    if (top >= tile.rows) {
      // none of the rows are in `out`: the stages are only released
      for (int k = 0; k < tile.terms; k += DEPTH, ring.advance()) {
        gpu_mbar_wait(full + ring.stage, ring.round & 1);
        __syncwarp();  // all lanes saw it full: one that lags could miss the next round, too, and wait for ever
        if (lane == 0) gpu_mbar_arrive(empty + ring.stage);
      }
      continue;
    }
    float sums[WIDTH / 2];
#pragma unroll
    for (int i = 0; i < WIDTH / 2; i++) sums[i] = 0.0f;
    int before = 0;
    for (int k = 0; k < tile.terms; k += DEPTH, ring.advance()) {
      gpu_mbar_wait(full + ring.stage, ring.round & 1);
      const unsigned a = gpu_saddr(shared + ring.stage * L::STAGE_BYTES + top * DEPTH * 2);
      const unsigned b = gpu_saddr(shared + ring.stage * L::STAGE_BYTES + A_BYTES);
      gpu_wgmma_fence();
#pragma unroll
      for (int i = 0; i < DEPTH * 2; i += 32) add_product(sums, gpu_desc_k128(a + i), gpu_desc_k128(b + i));
      gpu_wgmma_commit();
      gpu_wgmma_wait<1>();  // the products of the stage before are done
      if (k > 0 && lane == 0) gpu_mbar_arrive(empty + before);
      before = ring.stage;
    }
    gpu_wgmma_wait<0>();
    if (lane == 0) gpu_mbar_arrive(empty + before);
#pragma unroll
    for (int j = 0; j < WIDTH / 8; j++) {
      const int row = top + warp * 16 + lane / 4, column = j * 8 + lane % 4 * 2;
      write<WAY>(p, tile, row, column, sums[j * 4], sums[j * 4 + 1]);
      write<WAY>(p, tile, row + 8, column, sums[j * 4 + 2], sums[j * 4 + 3]);
    }
  }
#else
  __trap();  // better than to leave `out` as it was
#endif
}

template <int WIDTH, Write WAY>
void launch(Call& call, const TensorProducts& products) {
  const TensorProducts p = products;
  CUtensorMap a_map, b_map;
  const int error = gpu_make_tmap_2d(&a_map, p.a.data, p.a.columns, p.a.rows, DEPTH, TENSOR_TILE) |
                    gpu_make_tmap_2d(&b_map, p.b.data, p.b.columns, p.b.rows, DEPTH, WIDTH);
  if (error != 0) {
    call.fail(BOWLINE_FAILED, "the driver refuses to describe the factors of a product to TMA");
    return;
  }
  constexpr size_t BYTES = Layout<WIDTH>::BYTES;
  const unsigned grid = static_cast<unsigned>(call.processors());
  if (!call.allow_shared(wgmma_kernel<WIDTH, WAY>, BYTES)) return;
  GPU_LAUNCH((wgmma_kernel<WIDTH, WAY>), grid, THREADS, BYTES, 0, a_map, b_map, p);
}

}  // namespace

void multiply_by_wgmma(Call& call, const TensorProducts& products) {
  switch (way_to_write(products)) {
    case Write::PAIRS:
      // wide tiles read less for each product
      if (products.n % 256 == 0) return launch<256, Write::PAIRS>(call, products);
      return launch<TENSOR_TILE, Write::PAIRS>(call, products);
    case Write::SINGLES: return launch<TENSOR_TILE, Write::SINGLES>(call, products);
    case Write::MIRRORED: return launch<TENSOR_TILE, Write::MIRRORED>(call, products);
  }
}
