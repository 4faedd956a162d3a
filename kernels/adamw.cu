// AdamW with decoupled decay: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w = keep w - rate m / (root sqrt(v) + eps).
#include <cmath>

#include "include/threads.cuh"

namespace {

// Factors of one parameter, from f64.
struct Factors {
  float grad_scale, beta1, beta2, eps;
  // 1 - lr * weight_decay
  float keep;
  // lr / (1 - beta1^update)
  float rate;
  // 1 / sqrt(1 - beta2^update)
  float root;
};

__global__ void step_kernel(float* w, float* m, float* v, const float* g, int64_t n, Factors f) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    const float d = g[i] * f.grad_scale;
    m[i] = f.beta1 * m[i] + (1.0f - f.beta1) * d;
    v[i] = f.beta2 * v[i] + (1.0f - f.beta2) * (d * d);
    w[i] = f.keep * w[i] - f.rate * m[i] / (f.root * sqrtf(v[i]) + f.eps);
  }
}

}  // namespace

extern "C" int bowline_adamw_step(bowline_device* device, float* w, float* m, float* v, const float* g, size_t n,
                                  float lr, float beta1, float beta2, float eps, float weight_decay, uint64_t update,
                                  float grad_scale) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "update by AdamW");
  const double rate = lr, count = static_cast<double>(update);
  const Factors factors = {
      .grad_scale = grad_scale,
      .beta1 = beta1,
      .beta2 = beta2,
      .eps = eps,
      .keep = static_cast<float>(1.0 - rate * static_cast<double>(weight_decay)),
      .rate = static_cast<float>(rate / (1.0 - std::pow(static_cast<double>(beta1), count))),
      .root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(static_cast<double>(beta2), count))),
  };
  GPU_LAUNCH(step_kernel, call.grid(n, BLOCK), BLOCK, 0, 0, w, m, v, g, n, factors);
  return call.end();
}
