// Clamp to a symmetric range. Comparisons, not fminf and fmaxf: those would turn NaN into the limit.
#include "include/threads.cuh"

namespace {

__global__ void forward_kernel(float* x, float limit, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    const float low = x[i] < -limit ? -limit : x[i];
    x[i] = low > limit ? limit : low;
  }
}

__global__ void backward_kernel(float* d_x, const float* x, float limit, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    if (fabsf(x[i]) > limit) d_x[i] = 0.0f;
  }
}

}  // namespace

extern "C" int bowline_clamp_forward(bowline_device* device, float* x, float limit, size_t n) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "clamp");
  GPU_LAUNCH(forward_kernel, call.grid(n, BLOCK), BLOCK, 0, 0, x, limit, n);
  return call.end();
}

extern "C" int bowline_clamp_backward(bowline_device* device, float* d_x, const float* x, float limit, size_t n) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "differentiate a clamp");
  GPU_LAUNCH(backward_kernel, call.grid(n, BLOCK), BLOCK, 0, 0, d_x, x, limit, n);
  return call.end();
}
