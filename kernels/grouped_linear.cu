// Products of row ranges with the matrix of their expert: rows `offsets[e]..offsets[e+1]` with `w[e]` (O, I). The
// offsets are known on the device only, so blocks walk over the experts and stop behind the last one.
#include "include/gemm.cuh"
#include "include/tensor.cuh"

namespace {

// `out[r] = w[e] x[r]` when `is_forward`, else `out[r] = x[r] w[e]`; `out` (N, n), `x` (N, k).
__global__ void rows_kernel(float* out, const float* x, const float* w, const int32_t* offsets, int64_t e, int64_t n,
                            int64_t k, bool is_forward) {
  const int64_t across = tiles_of(n);
  int64_t passed = 0, tile = blockIdx.x;
  for (int64_t expert = 0; expert < e; expert++) {
    const int64_t first = offsets[expert], rows = offsets[expert + 1] - first, tiles = tiles_of(rows) * across;
    const float* w_expert = w + expert * n * k;
    const Matrix<const float> b =
        is_forward ? Matrix<const float>{w_expert, 1, k} : Matrix<const float>{w_expert, n, 1};
    for (; tile < passed + tiles; tile += gridDim.x) {
      const int64_t top = (tile - passed) / across * TILE, left = (tile - passed) % across * TILE;
      multiply_tile({out + first * n, n, 1}, {x + first * k, k, 1}, b, rows, n, k, top, left, 1.0f, false);
    }
    passed += tiles;
  }
}

// Adds `d_out[rows of e]^T x[rows of e]` into `d_w[e]`. An expert without rows is passed over.
__global__ void weight_kernel(float* d_w, const float* d_out, const float* x, const int32_t* offsets, int64_t e,
                              int64_t o, int64_t i) {
  const int64_t across = tiles_of(i), each = tiles_of(o) * across;
  for (int64_t tile = blockIdx.x; tile < e * each; tile += gridDim.x) {
    const int64_t expert = tile / each, top = tile % each / across * TILE, left = tile % across * TILE;
    const int64_t first = offsets[expert], rows = offsets[expert + 1] - first;
    if (rows == 0) continue;
    multiply_tile({d_w + expert * o * i, i, 1}, {d_out + first * o, 1, o}, {x + first * i, i, 1}, o, i, rows, top, left,
                  1.0f, true);
  }
}

// The products of `rows_kernel` on tensor cores.
void multiply_rows(Call& call, float* out, const float* x, const float* w, const int32_t* offsets, size_t most_rows,
                   size_t e, size_t n, size_t k, bool is_forward) {
  const Factor a = round_rows(call, x, most_rows, k, offsets + e);
  const Factor b = is_forward ? round_rows(call, w, e * n, k) : round_columns(call, w, e, k, n);
  TensorProducts products = {.out = out, .a = a, .b = b, .m = 0, .n = static_cast<int64_t>(n)};
  products.groups = e, products.offsets = offsets;
  multiply(call, products);
}

int run_rows(bowline_device* device, float* out, const float* x, const float* w, const int32_t* offsets,
             size_t most_rows, size_t e, size_t n, size_t k, bool is_forward) {
  if (most_rows == 0 || e == 0 || n == 0) return BOWLINE_OK;
  Call call(device, "multiply by experts");
  if (call.is_bf16() && k > 0) {
    multiply_rows(call, out, x, w, offsets, most_rows, e, n, k, is_forward);
  } else {
    // the number of rows is not known here: a full grid
    GPU_LAUNCH(rows_kernel, call.full_grid(), BLOCK, 0, 0, out, x, w, offsets, e, n, k, is_forward);
  }
  return call.end();
}

}  // namespace

extern "C" int bowline_grouped_linear_forward(bowline_device* device, float* out, const float* x, const float* w,
                                              const int32_t* offsets, size_t most_rows, size_t e, size_t o, size_t i) {
  return run_rows(device, out, x, w, offsets, most_rows, e, o, i, true);
}

extern "C" int bowline_grouped_linear_backward_input(bowline_device* device, float* d_x, const float* d_out,
                                                     const float* w, const int32_t* offsets, size_t most_rows, size_t e,
                                                     size_t o, size_t i) {
  return run_rows(device, d_x, d_out, w, offsets, most_rows, e, i, o, false);
}

extern "C" int bowline_grouped_linear_backward_weight(bowline_device* device, float* d_w, const float* d_out,
                                                      const float* x, const int32_t* offsets, size_t most_rows,
                                                      size_t e, size_t o, size_t i) {
  const int64_t tiles = e * tiles_of(o) * tiles_of(i);
  if (most_rows == 0 || tiles == 0) return BOWLINE_OK;
  Call call(device, "add expert gradients");
  if (call.is_bf16()) {
    TensorProducts products = {.out = d_w,
                               .a = round_groups(call, d_out, offsets, e, most_rows, o),
                               .b = round_groups(call, x, offsets, e, most_rows, i),
                               .m = static_cast<int64_t>(o),
                               .n = static_cast<int64_t>(i)};
    products.is_added = true, products.groups = e, products.split = Split::DEPTH, products.offsets = offsets;
    multiply(call, products);
  } else {
    GPU_LAUNCH(weight_kernel, call.grid(tiles, 1), BLOCK, 0, 0, d_w, d_out, x, offsets, e, o, i);
  }
  return call.end();
}
