// Head and cross-entropy together, in chunks of rows, so that logits of all tokens never exist.
//
// Story of one chunk: 1. logits = h w^T; 2. a block to a row: loss, and the gradient of the logits in their place,
// grad_scale * (softmax - one hot); 3. d_h = d_logits w; 4. d_w += d_logits^T h.
#include <algorithm>

#include "include/gemm.cuh"
#include "include/ids.cuh"

namespace {

// Logits of a chunk: 128 MiB of f32, or at least MIN_ROWS rows.
constexpr size_t MAX_LOGITS = size_t{1} << 25;
constexpr size_t MIN_ROWS = 32;
constexpr size_t MAX_ROWS = 1024;

// Overwrites `losses` (rows), and `logits` (rows, V) with their gradient when `wants_gradient`.
__global__ void rows_kernel(float* losses, float* logits, const int32_t* targets, float grad_scale, bool wants_gradient,
                            int64_t rows, int64_t v) {
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float* row = logits + r * v;
    const int64_t target = targets[r];
    float max = -INFINITY;
    for (int64_t c = threadIdx.x; c < v; c += BLOCK) max = larger(max, row[c]);
    max = block_max(max);
    const float target_logit = target >= 0 ? row[target] : 0.0f;
    __syncthreads();  // the target's logit was read by all
    float sum = 0.0f;
    for (int64_t c = threadIdx.x; c < v; c += BLOCK) {
      row[c] = expf(row[c] - max);
      sum += row[c];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
      const double lse = static_cast<double>(max) + log(static_cast<double>(sum));
      losses[r] = target >= 0 ? static_cast<float>(lse - static_cast<double>(target_logit)) : 0.0f;
    }
    if (!wants_gradient) continue;
    const float factor = grad_scale / sum;
    for (int64_t c = threadIdx.x; c < v; c += BLOCK) {
      row[c] = target < 0 ? 0.0f : row[c] * factor - (c == target ? grad_scale : 0.0f);
    }
  }
}

// Runs all chunks; `d_h` and `d_w` are null when only losses are wanted.
int run(bowline_device* device, float* losses, float* d_h, float* d_w, size_t* host_bad, const float* h, const float* w,
        const int32_t* targets, float grad_scale, size_t t, size_t v, size_t d) {
  Call call(device, "score targets");
  if (!are_within(call, host_bad, targets, t, INT32_MIN, v) || t == 0) return call.end();
  const size_t chunk = std::min(t, std::clamp(MAX_LOGITS / v, MIN_ROWS, MAX_ROWS));
  float* logits = call.scratch_of<float>(chunk * v);
  if (!logits) return call.end();
  const int64_t words = v, width = d;
  const bool wants_gradient = d_h != nullptr;
  // the head as all chunks multiply by it
  const Matrix<const float> by_width = {w, width, 1}, by_words = {w, 1, width};
  Factor w_copy = {}, w_transposed = {};
  if (call.is_bf16() && d > 0) {
    w_copy = round_factor(call, by_width, 1, words, width);
    if (wants_gradient) w_transposed = round_factor(call, by_words, 1, width, words);
  }
  for (size_t first = 0; first < t; first += chunk) {
    const int64_t rows = std::min(chunk, t - first);
    const float* h_chunk = h + first * d;
    multiply(call, {.out = {logits, words, 1},
                    .a = {h_chunk, width, 1},
                    .b = by_words,
                    .m = rows,
                    .n = words,
                    .k = width,
                    .b_copy = w_copy});
    float* losses_chunk = losses + first;
    const int32_t* targets_chunk = targets + first;
    GPU_LAUNCH(rows_kernel, call.grid(rows, 1), BLOCK, 0, 0, losses_chunk, logits, targets_chunk, grad_scale,
               wants_gradient, rows, v);
    if (!wants_gradient) continue;
    const Matrix<float> d_h_chunk = {d_h + first * d, width, 1};
    multiply(call, {.out = d_h_chunk,
                    .a = {logits, words, 1},
                    .b = by_width,
                    .m = rows,
                    .n = width,
                    .k = words,
                    .b_copy = w_transposed});
    multiply(call, {.out = {d_w, width, 1},
                    .a = {logits, 1, words},
                    .b = {h_chunk, width, 1},
                    .m = words,
                    .n = width,
                    .k = rows,
                    .is_added = true});
  }
  return call.end();
}

}  // namespace

extern "C" int bowline_cross_entropy_forward(bowline_device* device, float* losses, size_t* host_bad, const float* h,
                                             const float* w, const int32_t* targets, size_t t, size_t v, size_t d) {
  return run(device, losses, nullptr, nullptr, host_bad, h, w, targets, 0.0f, t, v, d);
}

extern "C" int bowline_cross_entropy_forward_backward(bowline_device* device, float* losses, float* d_h, float* d_w,
                                                      size_t* host_bad, const float* h, const float* w,
                                                      const int32_t* targets, float grad_scale, size_t t, size_t v,
                                                      size_t d) {
  return run(device, losses, d_h, d_w, host_bad, h, w, targets, grad_scale, t, v, d);
}
