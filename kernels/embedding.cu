// Rows of a table by token.
#include "include/ids.cuh"
#include "include/vectors.cuh"

namespace {

// A warp copies a row of `d` Ts.
template <class T>
__global__ void forward_kernel(T* out, const T* table, const int32_t* tokens, int64_t t, int64_t d) {
  for (int64_t row = first_row(); row < t; row += row_stride()) {
    const T* from = table + tokens[row] * d;
    for (int64_t c = lane_id(); c < d; c += 32) out[row * d + c] = __ldg(from + c);
  }
}

// A warp owns a row of the table: it looks for its token, 32 at a time, and adds their gradients in ascending order.
__global__ void backward_kernel(float* d_table, const float* d_out, const int32_t* tokens, int64_t t, int64_t v,
                                int64_t d) {
  for (int64_t word = first_row(); word < v; word += row_stride()) {
    for (int64_t first = 0; first < t; first += 32) {
      const int64_t mine = first + lane_id();
      unsigned found = __ballot_sync(FULL_WARP, mine < t && tokens[mine] == word);
      for (; found != 0; found &= found - 1) {
        const float* from = d_out + (first + __ffs(static_cast<int>(found)) - 1) * d;
        for (int64_t c = lane_id(); c < d; c += 32) d_table[word * d + c] += from[c];
      }
    }
  }
}

}  // namespace

extern "C" int bowline_embedding_forward(bowline_device* device, float* out, size_t* host_bad, const float* table,
                                         const int32_t* tokens, size_t t, size_t v, size_t d) {
  Call call(device, "embed tokens");
  if (are_within(call, host_bad, tokens, t, 0, v) && t > 0) {
    if (is_by_vectors(d, out, table)) {
      GPU_LAUNCH(forward_kernel<float4>, call.grid(t, WARPS), BLOCK, 0, 0, vectors(out), vectors(table), tokens, t,
                 d / WIDTH<float4>);
    } else {
      GPU_LAUNCH(forward_kernel<float>, call.grid(t, WARPS), BLOCK, 0, 0, out, table, tokens, t, d);
    }
  }
  return call.end();
}

extern "C" int bowline_embedding_backward(bowline_device* device, float* d_table, const float* d_out,
                                          const int32_t* tokens, size_t t, size_t v, size_t d) {
  if (t == 0 || v == 0) return BOWLINE_OK;
  Call call(device, "add embedding gradients");
  GPU_LAUNCH(backward_kernel, call.grid(v, WARPS), BLOCK, 0, 0, d_table, d_out, tokens, t, v, d);
  return call.end();
}
