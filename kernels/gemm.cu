// Products of whole matrices, one block to a tile.
#include "include/gemm.cuh"

namespace {

__global__ void products_kernel(Products p) {
  const int64_t across = tiles_of(p.n), each = tiles_of(p.m) * across;
  for (int64_t tile = blockIdx.x; tile < p.count * each; tile += gridDim.x) {
    const int64_t product = tile / each, top = tile % each / across * TILE, left = tile % across * TILE;
    Matrix<float> out = p.out;
    Matrix<const float> a = p.a, b = p.b;
    out.data += product * p.out_step;
    a.data += product * p.a_step;
    b.data += product * p.b_step;
    multiply_tile(out, a, b, p.m, p.n, p.k, top, left, p.alpha, p.is_added);
  }
}

}  // namespace

void multiply(Call& call, const Products& products) {
  const int64_t tiles = products.count * tiles_of(products.m) * tiles_of(products.n);
  if (tiles == 0) return;
  const Products p = products;
  GPU_LAUNCH(products_kernel, call.grid(tiles, 1), BLOCK, 0, 0, p);
}
