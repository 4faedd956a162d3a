// Products of whole matrices: in f32 a block to a tile, in bf16 copies of the factors and tensor cores.
#include "include/gemm.cuh"

#include <algorithm>

#include "include/tensor.cuh"

namespace {

__global__ void products_kernel(Products p) {
  const int64_t across = tiles_of(p.n), each = tiles_of(p.m) * across;
  for (int64_t tile = blockIdx.x; tile < p.count * each; tile += gridDim.x) {
    const int64_t product = tile / each, top = tile % each / across * TILE, left = tile % across * TILE;
    Matrix<float> out = p.out;
    Matrix<const float> a = p.a, b = p.b;
    out.data += product * p.m * p.n;
    a.data += product * p.m * p.k;
    b.data += product * p.k * p.n;
    multiply_tile(out, a, b, p.m, p.n, p.k, top, left, p.alpha, p.is_added);
  }
}

void multiply_rounded(Call& call, const Products& p) {
  const Scope scope(call);
  Factor a = round_factor(call, p.a, p.count, p.m, p.k), b = p.b_copy;
  // the transpose of b, (n, k)
  if (!b.data) b = p.is_symmetric ? a : round_factor(call, {p.b.data, p.b.col, p.b.row}, p.count, p.n, p.k);
  int64_t m = p.m, n = p.n;
  if (p.out.col != 1) {
    // the transpose of out is the product of the transposes
    std::swap(a, b);
    std::swap(m, n);
  }
  multiply(call, TensorProducts{.out = p.out.data,
                                .a = a,
                                .b = b,
                                .m = m,
                                .n = n,
                                .alpha = p.alpha,
                                .is_added = p.is_added,
                                .is_symmetric = p.is_symmetric,
                                .groups = p.count});
}

}  // namespace

void multiply(Call& call, const Products& products) {
  const int64_t tiles = products.count * tiles_of(products.m) * tiles_of(products.n);
  if (tiles == 0) return;
  // a sum of no terms has nothing to round
  if (call.is_bf16() && !products.is_f32 && products.k > 0) {
    multiply_rounded(call, products);
    return;
  }
  const Products p = products;
  GPU_LAUNCH(products_kernel, call.grid(tiles, 1), BLOCK, 0, 0, p);
}

void multiply(Call& call, const TensorProducts& products) {
  const TensorProducts& p = products;
  if (!p.a.data || !p.b.data) return;  // no memory was left for them, which the call tells
  const int64_t down = p.split == Split::ROWS ? p.a.rows / TENSOR_TILE + p.groups : p.groups * (p.m / TENSOR_TILE + 1);
  const int64_t largest = std::max({p.a.rows, p.b.rows, p.a.columns, down * (p.n / TENSOR_TILE + 1)});
  if (largest > INT32_MAX / 2) {
    call.fail(BOWLINE_UNSUPPORTED, "a matrix in bf16 has too many rows, columns or tiles: " + std::to_string(largest));
    return;
  }
  call.has_wgmma() ? multiply_by_wgmma(call, p) : multiply_by_mma(call, p);
}

Factor round_factor(Call& call, Matrix<const float> x, int64_t count, int64_t rows, int64_t k) {
  return x.col == 1 ? round_rows(call, x.data, count * rows, k) : round_columns(call, x.data, count, k, rows);
}
