// Causal attention: the C interface. In bf16 the factors are rounded to working memory first; heads that are too long
// for the tensor cores' kernels go with rounded factors through those of f32. Attention over a cache is in f32 always.
#include <type_traits>

#include "include/attention.cuh"

namespace {

__global__ void round_kernel(float* out, const float* x, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) out[i] = __bfloat162float(__float2bfloat16_rn(x[i]));
}

// A rounded copy of `x` (rows, p).
template <class T>
const T* rounded(Call& call, const float* x, int64_t rows, int64_t p) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return round_rows(call, x, rows, p).data;
  } else {
    float* copy = call.scratch_of<float>(rows * p);
    if (copy) GPU_LAUNCH(round_kernel, call.grid(rows * p, BLOCK), BLOCK, 0, 0, copy, x, rows * p);
    return copy;
  }
}

// With factors rounded to bf16, and copies of them of type `T`.
template <class T>
void attend_rounded(Call& call, float* out, float* lse, const float* q, const float* k, const float* v,
                    const AttentionShape& shape) {
  const int64_t rows = shape.query_rows(), kv_rows = shape.key_rows(), p = shape.p;
  const T* q_copy = rounded<T>(call, q, rows, p);
  const T* k_copy = rounded<T>(call, k, kv_rows, p);
  const T* v_copy = rounded<T>(call, v, kv_rows, p);
  if (call.is_ok()) attend(call, out, lse, q_copy, k_copy, v_copy, shape);
}

template <class T>
void attend_backward_rounded(Call& call, float* d_q, float* d_k, float* d_v, const AttentionSaved<float>& saved,
                             const AttentionShape& shape) {
  const int64_t rows = shape.query_rows(), kv_rows = shape.key_rows(), p = shape.p;
  const AttentionSaved<T> copies = {saved.out,
                                    saved.lse,
                                    rounded<T>(call, saved.q, rows, p),
                                    rounded<T>(call, saved.k, kv_rows, p),
                                    rounded<T>(call, saved.v, kv_rows, p),
                                    rounded<T>(call, saved.d_out, rows, p)};
  float* delta = call.scratch_of<float>(rows);
  if (call.is_ok()) attend_backward(call, d_q, d_k, d_v, delta, copies, shape);
}

AttentionShape shape_of(size_t batch, size_t seq, size_t heads, size_t kv_heads, size_t p, size_t start) {
  return {static_cast<int64_t>(batch),
          static_cast<int64_t>(seq),
          static_cast<int64_t>(heads),
          static_cast<int64_t>(kv_heads),
          static_cast<int64_t>(p),
          static_cast<int64_t>(start),
          1.0f / sqrtf(static_cast<float>(p))};
}

// Whether heads of `p` elements fit; says so when they do not.
bool fits(Call& call, size_t p) {
  if (p > MAX_P)
    call.fail(BOWLINE_UNSUPPORTED,
              "heads have " + std::to_string(p) + " elements, wanted at most " + std::to_string(MAX_P));
  return p <= MAX_P;
}

}  // namespace

extern "C" int bowline_attention_forward(bowline_device* device, float* out, float* lse, const float* q, const float* k,
                                         const float* v, size_t batch, size_t seq, size_t heads, size_t kv_heads,
                                         size_t p) {
  const AttentionShape shape = shape_of(batch, seq, heads, kv_heads, p, 0);
  if (shape.query_rows() == 0) return BOWLINE_OK;
  Call call(device, "attend");
  if (!fits(call, p)) return call.end();
  if (!call.is_bf16()) {
    attend(call, out, lse, q, k, v, shape);
  } else if (p <= MAX_TENSOR_P) {
    attend_rounded<Bf16>(call, out, lse, q, k, v, shape);
  } else {
    attend_rounded<float>(call, out, lse, q, k, v, shape);
  }
  return call.end();
}

extern "C" int bowline_attention_backward(bowline_device* device, float* d_q, float* d_k, float* d_v, const float* out,
                                          const float* lse, const float* q, const float* k, const float* v,
                                          const float* d_out, size_t batch, size_t seq, size_t heads, size_t kv_heads,
                                          size_t p) {
  const AttentionShape shape = shape_of(batch, seq, heads, kv_heads, p, 0);
  if (shape.query_rows() == 0) return BOWLINE_OK;
  Call call(device, "differentiate attention");
  if (!fits(call, p)) return call.end();
  const AttentionSaved<float> saved = {out, lse, q, k, v, d_out};
  if (!call.is_bf16()) {
    float* delta = call.scratch_of<float>(shape.query_rows());
    if (delta) attend_backward(call, d_q, d_k, d_v, delta, saved, shape);
  } else if (p <= MAX_TENSOR_P) {
    attend_backward_rounded<Bf16>(call, d_q, d_k, d_v, saved, shape);
  } else {
    attend_backward_rounded<float>(call, d_q, d_k, d_v, saved, shape);
  }
  return call.end();
}

extern "C" int bowline_attention_cached(bowline_device* device, float* out, float* k_cache, float* v_cache,
                                        const float* q, const float* k, const float* v, size_t start, size_t seq,
                                        size_t heads, size_t kv_heads, size_t p) {
  const AttentionShape shape = shape_of(1, seq, heads, kv_heads, p, start);
  if (shape.query_rows() == 0) return BOWLINE_OK;
  Call call(device, "attend over a cache");
  if (!fits(call, p)) return call.end();
  const size_t width = kv_heads * p, bytes = seq * width * sizeof(float);
  call.copy(k_cache + start * width, k, bytes, cudaMemcpyDeviceToDevice);
  call.copy(v_cache + start * width, v, bytes, cudaMemcpyDeviceToDevice);
  float* const no_lse = nullptr;
  attend(call, out, no_lse, q, k_cache, v_cache, shape);
  return call.end();
}
