// `combine_weight * silu(gate) * up`, a warp to a row: the combine weight is applied before the down projection.
//
// a = silu(g) u with silu'(g) = s (1 + g (1 - s)), s = sigmoid(g); the row's output is c a, so d_a = c d_act and d_c =
// <d_act, a>
#include "include/vectors.cuh"

namespace {

__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// Rows of `f` Ts.
template <class T>
__global__ void forward_kernel(T* act, const T* gate_up, const float* weights, const int32_t* slot_of_row, int64_t n,
                               int64_t f) {
  for (int64_t row = first_row(); row < n; row += row_stride()) {
    const float weight = weights[slot_of_row[row]];
    const T *gate = gate_up + row * 2 * f, *up = gate + f;
    const auto activate = [weight](float g, float u) { return weight * (g * sigmoid(g) * u); };
    for (int64_t i = lane_id(); i < f; i += 32) act[row * f + i] = each(activate, __ldg(gate + i), __ldg(up + i));
  }
}

// Float by float: the order in which the lanes sum `d_weight` is part of its bits. Every float is read before it is
// written, by the same lane.
__global__ void backward_kernel(float* d_act, float* gate_up, float* d_weights, const float* weights,
                                const int32_t* slot_of_row, int64_t n, int64_t f) {
  for (int64_t row = first_row(); row < n; row += row_stride()) {
    const float weight = weights[slot_of_row[row]];
    float *gate = gate_up + row * 2 * f, *up = gate + f, d_weight = 0.0f;
    for (int64_t i = lane_id(); i < f; i += 32) {
      const float g = gate[i], u = up[i], s = sigmoid(g), silu = g * s, d = d_act[row * f + i], d_a = weight * d;
      d_act[row * f + i] = weight * (silu * u);
      up[i] = d_a * silu;
      gate[i] = d_a * u * (s * (1.0f + g * (1.0f - s)));
      d_weight += d * (silu * u);
    }
    d_weight = warp_sum(d_weight);
    if (lane_id() == 0) d_weights[slot_of_row[row]] = d_weight;
  }
}

}  // namespace

extern "C" int bowline_swiglu_forward(bowline_device* device, float* act, const float* gate_up,
                                      const float* combine_weights, const int32_t* slot_of_row, size_t n, size_t f) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "activate");
  if (is_by_vectors(f, act, gate_up)) {
    GPU_LAUNCH(forward_kernel<float4>, call.grid(n, WARPS), BLOCK, 0, 0, vectors(act), vectors(gate_up),
               combine_weights, slot_of_row, n, f / WIDTH<float4>);
  } else {
    GPU_LAUNCH(forward_kernel<float>, call.grid(n, WARPS), BLOCK, 0, 0, act, gate_up, combine_weights, slot_of_row, n,
               f);
  }
  return call.end();
}

extern "C" int bowline_swiglu_backward(bowline_device* device, float* d_act, float* gate_up, float* d_combine_weights,
                                       const float* combine_weights, const int32_t* slot_of_row, size_t n, size_t f) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "differentiate an activation");
  GPU_LAUNCH(backward_kernel, call.grid(n, WARPS), BLOCK, 0, 0, d_act, gate_up, d_combine_weights, combine_weights,
             slot_of_row, n, f);
  return call.end();
}
