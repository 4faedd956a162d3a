// Linear maps, by cuBLAS where it is there.
#include "include/cublas.cuh"

namespace {

int run(bowline_device* device, Products products, int is_f32) {
  Call call(device, "multiply matrices");
  products.is_f32 = is_f32 != 0;
  if (!multiply_by_cublas(call, products)) multiply(call, products);
  return call.end();
}

}  // namespace

extern "C" int bowline_linear_forward(bowline_device* device, float* out, const float* x, const float* w, size_t rows,
                                      size_t o, size_t i, int is_f32) {
  const int64_t m = rows, n = o, k = i;
  return run(device, {.out = {out, n, 1}, .a = {x, k, 1}, .b = {w, 1, k}, .m = m, .n = n, .k = k}, is_f32);
}

extern "C" int bowline_linear_backward_input(bowline_device* device, float* d_x, const float* d_out, const float* w,
                                             size_t rows, size_t o, size_t i, int is_f32) {
  const int64_t m = rows, n = i, k = o;
  return run(device, {.out = {d_x, n, 1}, .a = {d_out, k, 1}, .b = {w, n, 1}, .m = m, .n = n, .k = k, .is_added = true},
             is_f32);
}

extern "C" int bowline_linear_backward_weight(bowline_device* device, float* d_w, const float* d_out, const float* x,
                                              size_t rows, size_t o, size_t i, int is_f32) {
  const int64_t m = o, n = i, k = rows;
  return run(device, {.out = {d_w, n, 1}, .a = {d_out, 1, m}, .b = {x, n, 1}, .m = m, .n = n, .k = k, .is_added = true},
             is_f32);
}
