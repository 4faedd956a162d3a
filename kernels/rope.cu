// Rotary position embedding. Angles are f32 products like PyTorch's (`pos * (1 / theta^(2j/P))`), their sine and cosine
// exact to f32 rounding, computed once for all heads of a position.
#include "include/threads.cuh"

namespace {

// Rotates `x` (rows, heads, P), rows being (B, S): a thread takes pair j of all heads of a row. `sign` is 1, or -1 to
// rotate back.
__global__ void rotate_kernel(float* x, float sign, int64_t start, int64_t rows, int64_t seq, int64_t heads, int64_t p,
                              float theta) {
  const int64_t half = p / 2;
  for (int64_t i = first_element(); i < rows * half; i += element_stride()) {
    const int64_t row = i / half, j = i % half;
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(p);
    const float frequency = 1.0f / static_cast<float>(pow(static_cast<double>(theta), static_cast<double>(exponent)));
    // in half turns: unlike cos and sin, these functions need no local memory for large arguments
    const double turns = static_cast<double>(static_cast<float>(start + row % seq) * frequency) * M_1_PI;
    const float c = static_cast<float>(cospi(turns)), s = sign * static_cast<float>(sinpi(turns));
    for (int64_t head = 0; head < heads; head++) {
      float* pair = x + (row * heads + head) * p + j;
      const float a = pair[0], b = pair[half];
      pair[0] = a * c - b * s;
      pair[half] = b * c + a * s;
    }
  }
}

int rotate(bowline_device* device, float* x, float sign, size_t start, size_t batch, size_t seq, size_t heads, size_t p,
           float theta) {
  const size_t rows = batch * seq;
  if (rows == 0 || p < 2) return BOWLINE_OK;
  Call call(device, "rotate");
  GPU_LAUNCH(rotate_kernel, call.grid(rows * (p / 2), BLOCK), BLOCK, 0, 0, x, sign, start, rows, seq, heads, p, theta);
  return call.end();
}

}  // namespace

extern "C" int bowline_rope_forward(bowline_device* device, float* x, size_t start, size_t batch, size_t seq,
                                    size_t heads, size_t p, float theta) {
  return rotate(device, x, 1.0f, start, batch, seq, heads, p, theta);
}

extern "C" int bowline_rope_backward(bowline_device* device, float* d_x, size_t start, size_t batch, size_t seq,
                                     size_t heads, size_t p, float theta) {
  return rotate(device, d_x, -1.0f, start, batch, seq, heads, p, theta);
}
