// Root-mean-square norm of rows, a warp to a row. The backward pass computes `rstd` again.
//
// y_i = x_i r w_i with r = (mean x^2 + eps)^(-1/2), so with s_i = w_i d_y_i
// d_x_i = r (s_i - x_i r^2 mean_j(x_j s_j)) and d_w_i = sum over rows of x_i r d_y_i
#include "include/threads.cuh"

namespace {

// Rows whose part of `d_w` is summed by one thread.
constexpr int64_t PIECE = 64;

__device__ float rstd_of(const float* x, int64_t d, float eps) {
  float squares = 0.0f;
  for (int64_t c = lane_id(); c < d; c += 32) squares += x[c] * x[c];
  return 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(d) + eps);
}

__global__ void forward_kernel(float* out, const float* x, const float* w, int64_t rows, int64_t d, float eps) {
  for (int64_t row = first_row(); row < rows; row += row_stride()) {
    const float* from = x + row * d;
    const float rstd = rstd_of(from, d, eps);
    for (int64_t c = lane_id(); c < d; c += 32) out[row * d + c] = from[c] * rstd * w[c];
  }
}

// Adds into `d_x`, overwrites `rstds` (R).
__global__ void backward_rows_kernel(float* d_x, float* rstds, const float* x, const float* w, const float* d_out,
                                     int64_t rows, int64_t d, float eps) {
  for (int64_t row = first_row(); row < rows; row += row_stride()) {
    const float *from = x + row * d, *d_from = d_out + row * d;
    const float rstd = rstd_of(from, d, eps);
    float inner = 0.0f;
    for (int64_t c = lane_id(); c < d; c += 32) inner += from[c] * (w[c] * d_from[c]);
    const float pull = warp_sum(inner) / static_cast<float>(d) * rstd * rstd;
    for (int64_t c = lane_id(); c < d; c += 32) d_x[row * d + c] += rstd * (w[c] * d_from[c] - from[c] * pull);
    if (lane_id() == 0) rstds[row] = rstd;
  }
}

// Overwrites `sums` (pieces, D): a thread adds up one column of one piece.
__global__ void weight_pieces_kernel(float* sums, const float* rstds, const float* x, const float* d_out, int64_t rows,
                                     int64_t d, int64_t pieces) {
  for (int64_t i = first_element(); i < pieces * d; i += element_stride()) {
    const int64_t piece = i / d, c = i % d, end = min(rows, (piece + 1) * PIECE);
    float sum = 0.0f;
    for (int64_t row = piece * PIECE; row < end; row++) sum += x[row * d + c] * rstds[row] * d_out[row * d + c];
    sums[i] = sum;
  }
}

// Adds the pieces into `d_w`, in ascending order.
__global__ void weight_kernel(float* d_w, const float* sums, int64_t d, int64_t pieces) {
  for (int64_t c = first_element(); c < d; c += element_stride()) {
    float sum = d_w[c];
    for (int64_t piece = 0; piece < pieces; piece++) sum += sums[piece * d + c];
    d_w[c] = sum;
  }
}

}  // namespace

extern "C" int bowline_rmsnorm_forward(bowline_device* device, float* out, const float* x, const float* w, size_t rows,
                                       size_t d, float eps) {
  if (rows == 0) return BOWLINE_OK;
  Call call(device, "normalise");
  GPU_LAUNCH(forward_kernel, call.grid(rows, WARPS), BLOCK, 0, 0, out, x, w, rows, d, eps);
  return call.end();
}

extern "C" int bowline_rmsnorm_backward(bowline_device* device, float* d_x, float* d_w, const float* x, const float* w,
                                        const float* d_out, size_t rows, size_t d, float eps) {
  if (rows == 0) return BOWLINE_OK;
  Call call(device, "differentiate a norm");
  const size_t pieces = (rows + PIECE - 1) / PIECE;
  float* rstds = call.scratch_of<float>(rows + pieces * d);
  if (!rstds) return call.end();
  float* sums = rstds + rows;
  GPU_LAUNCH(backward_rows_kernel, call.grid(rows, WARPS), BLOCK, 0, 0, d_x, rstds, x, w, d_out, rows, d, eps);
  GPU_LAUNCH(weight_pieces_kernel, call.grid(pieces * d, BLOCK), BLOCK, 0, 0, sums, rstds, x, d_out, rows, d, pieces);
  GPU_LAUNCH(weight_kernel, call.grid(d, BLOCK), BLOCK, 0, 0, d_w, sums, d, pieces);
  return call.end();
}
