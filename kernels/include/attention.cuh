// Causal attention: its shape, and what the files that compute it in one precision or the other offer to the C
// interface.
//
// With s = scale q k^T, P = exp(s - lse), o = P v and delta_i = <d_o_i, o_i>:
// d_v = P^T d_o, d_P = d_o v^T, d_s = P * (d_P - delta), d_q = scale d_s k, d_k = scale d_s^T q
#pragma once

#include "cast.cuh"
#include "threads.cuh"

struct AttentionShape {
  int64_t batch, seq, heads, kv_heads, p;
  // Position of the first query; keys 0..start+seq are there.
  int64_t start;
  float scale;

  GPU_HD int64_t keys() const { return start + seq; }
  GPU_HD int64_t kv_head(int64_t head) const { return head / (heads / kv_heads); }
  // Rows of heads in (B, S, H), of keys' heads in (B, keys, Hkv).
  GPU_HD int64_t query_row(int64_t b, int64_t s, int64_t head) const { return (b * seq + s) * heads + head; }
  GPU_HD int64_t key_row(int64_t b, int64_t s, int64_t head) const { return (b * keys() + s) * kv_heads + head; }
  GPU_HD int64_t query_rows() const { return batch * seq * heads; }
  GPU_HD int64_t key_rows() const { return batch * keys() * kv_heads; }
};

// What the backward pass reads; `T` is the type of the factors of products.
template <class T>
struct AttentionSaved {
  // (B, S, H, P), as it was computed.
  const float* out;
  // (B, H, S)
  const float* lse;
  const T *q, *k, *v, *d_out;
};

// Heads of at most so many elements.
constexpr int64_t MAX_P = 256;
// Of at most so many for tensor cores.
constexpr int64_t MAX_TENSOR_P = 128;

// In f32. `lse` may be null. `delta` (B, H, S) is working memory.
void attend(Call& call, float* out, float* lse, const float* q, const float* k, const float* v,
            const AttentionShape& shape);
void attend_backward(Call& call, float* d_q, float* d_k, float* d_v, float* delta, const AttentionSaved<float>& saved,
                     const AttentionShape& shape);

// By tensor cores: P is at most MAX_TENSOR_P, `start` is 0, and the factors are copies by `round_rows`.
void attend(Call& call, float* out, float* lse, const Bf16* q, const Bf16* k, const Bf16* v,
            const AttentionShape& shape);
void attend_backward(Call& call, float* d_q, float* d_k, float* d_v, float* delta, const AttentionSaved<Bf16>& saved,
                     const AttentionShape& shape);

// Overwrites `delta` (B, H, S): a warp to a row. Rows of `d_out` are `width` apart.
template <class T>
__global__ void delta_kernel(float* delta, const float* out, const T* d_out, int64_t width, AttentionShape shape) {
  for (int64_t i = first_row(); i < shape.query_rows(); i += row_stride()) {
    const int64_t row = shape.query_row(i / shape.seq / shape.heads, i % shape.seq, i / shape.seq % shape.heads);
    float sum = 0.0f;
    for (int64_t c = lane_id(); c < shape.p; c += 32)
      sum += out[row * shape.p + c] * static_cast<float>(d_out[row * width + c]);
    sum = warp_sum(sum);
    if (lane_id() == 0) delta[i] = sum;
  }
}
