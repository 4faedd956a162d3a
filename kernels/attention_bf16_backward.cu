// Attention by tensor cores, backward: the probabilities are computed again from `lse`, in two kernels, so that no sum
// is shared by blocks. One has a block to 64 queries and walks over keys for `d_q`; the other has a block to 64 keys
// and walks over the queries of all heads that read them for `d_k` and `d_v`. Tiles come in by cp.async, the next ones
// while these are computed with; probabilities and gradients of scores are rounded to bf16 for the products that they
// are factors of.
#include "include/attention_bf16.cuh"

namespace {

// Rows of the tiles that are walked over.
constexpr int STEP = 32;

// Bytes of shared memory: two tiles of the block's own rows, and two stages of two tiles.
template <int P>
constexpr size_t SHARED_BYTES = sizeof(Bf16) * PITCH<P> * (2 * OWN_ROWS + 2 * 2 * STEP);

using Saved = AttentionSaved<Bf16>;

template <int P>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    d_q_kernel(float* d_q, Saved saved, const float* delta, AttentionShape shape) {
  GPU_DYN_SHARED(Bf16, shared);
  Bf16 *q_tile = shared, *d_out_tile = q_tile + OWN_ROWS * PITCH<P>, *stages = d_out_tile + OWN_ROWS * PITCH<P>;
  const int top = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t tiles = (shape.seq + OWN_ROWS - 1) / OWN_ROWS;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.heads, head = task / tiles % shape.heads;
    // the last queries see the most keys, so they start first
    const int64_t first = (tiles - 1 - task % tiles) * OWN_ROWS;
    const HeadRows keys = key_rows_of(saved.k, shape, b, shape.kv_head(head));
    const HeadRows values = key_rows_of(saved.v, shape, b, shape.kv_head(head));
    const int64_t end = min(shape.seq, first + OWN_ROWS), steps = (end + STEP - 1) / STEP;
    const auto start_stage = [&](int64_t step) {
      Bf16* stage = stages + step % 2 * 2 * STEP * PITCH<P>;
      if (step < steps) {
        start_tile<STEP, P>(stage, keys, step * STEP);
        start_tile<STEP, P>(stage + STEP * PITCH<P>, values, step * STEP);
      }
      gpu_cp_async_commit();
    };
    start_tile<OWN_ROWS, P>(q_tile, query_rows_of(saved.q, shape, b, head), first);
    start_tile<OWN_ROWS, P>(d_out_tile, query_rows_of(saved.d_out, shape, b, head), first);
    start_stage(0);

    float row_lse[2] = {}, row_delta[2] = {};
    for (int half = 0; half < 2; half++) {
      const int64_t row = first + top + row_of_sum(2 * half), number = (b * shape.heads + head) * shape.seq + row;
      if (row < shape.seq) {
        row_lse[half] = saved.lse[number];
        row_delta[half] = delta[number];
      }
    }
    Sums<P> sums = {};
    for (int64_t step = 0; step < steps; step++) {
      start_stage(step + 1);
      gpu_cp_async_wait<1>();
      __syncthreads();  // the stage is there for all
      const Bf16* k_tile = stages + step % 2 * 2 * STEP * PITCH<P>;
      Sums<STEP> scores = {}, d_weights = {};
      multiply_rows<STEP, P>(scores, q_tile + top * PITCH<P>, k_tile);
      multiply_rows<STEP, P>(d_weights, d_out_tile + top * PITCH<P>, k_tile + STEP * PITCH<P>);
#pragma unroll
      for (int n = 0; n < STEP; n += 8) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const bool is_seen = step * STEP + n + column_of_sum(i) <= first + top + row_of_sum(i);
          float& score = scores[n / 8][i];
          const float weight = is_seen ? expf(shape.scale * score - row_lse[i / 2]) : 0.0f;
          score = weight * (d_weights[n / 8][i] - row_delta[i / 2]) * shape.scale;
        }
      }
      add_weighted_rows<P, STEP>(sums, scores, k_tile);
      __syncthreads();  // the stage was read by all
    }
    store_sums<P>(d_q + shape.query_row(b, 0, head) * shape.p, sums, {1.0f, 1.0f}, first + top, shape.seq,
                  shape.heads * shape.p, shape.p);
  }
}

// Here rows are keys and columns are queries.
template <int P>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    d_kv_kernel(float* d_k, float* d_v, Saved saved, const float* delta, AttentionShape shape) {
  GPU_DYN_SHARED(Bf16, shared);
  Bf16 *k_tile = shared, *v_tile = k_tile + OWN_ROWS * PITCH<P>, *stages = v_tile + OWN_ROWS * PITCH<P>;
  const int top = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t tiles = (shape.seq + OWN_ROWS - 1) / OWN_ROWS, group = shape.heads / shape.kv_heads;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.kv_heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.kv_heads, kv_head = task / tiles % shape.kv_heads;
    const int64_t first = task % tiles * OWN_ROWS, each = (shape.seq - first + STEP - 1) / STEP, steps = group * each;
    const auto start_stage = [&](int64_t step) {
      Bf16* stage = stages + step % 2 * 2 * STEP * PITCH<P>;
      if (step < steps) {
        const int64_t head = kv_head * group + step / each, from = first + step % each * STEP;
        start_tile<STEP, P>(stage, query_rows_of(saved.q, shape, b, head), from);
        start_tile<STEP, P>(stage + STEP * PITCH<P>, query_rows_of(saved.d_out, shape, b, head), from);
      }
      gpu_cp_async_commit();
    };
    start_tile<OWN_ROWS, P>(k_tile, key_rows_of(saved.k, shape, b, kv_head), first);
    start_tile<OWN_ROWS, P>(v_tile, key_rows_of(saved.v, shape, b, kv_head), first);
    start_stage(0);

    Sums<P> k_sums = {}, v_sums = {};
    for (int64_t step = 0; step < steps; step++) {
      start_stage(step + 1);
      gpu_cp_async_wait<1>();
      __syncthreads();  // the stage is there for all
      const Bf16* q_tile = stages + step % 2 * 2 * STEP * PITCH<P>;
      const Bf16* d_out_tile = q_tile + STEP * PITCH<P>;
      Sums<STEP> scores = {}, d_weights = {};
      multiply_rows<STEP, P>(scores, k_tile + top * PITCH<P>, q_tile);
      multiply_rows<STEP, P>(d_weights, v_tile + top * PITCH<P>, d_out_tile);
      const int64_t from = first + step % each * STEP;
      const int64_t numbers = (b * shape.heads + kv_head * group + step / each) * shape.seq;
#pragma unroll
      for (int n = 0; n < STEP; n += 8) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int64_t query = from + n + column_of_sum(i);
          const bool is_seen = first + top + row_of_sum(i) <= query && query < shape.seq;
          float &score = scores[n / 8][i], &d_weight = d_weights[n / 8][i];
          score = is_seen ? expf(shape.scale * score - saved.lse[numbers + query]) : 0.0f;
          d_weight = is_seen ? score * (d_weight - delta[numbers + query]) * shape.scale : 0.0f;
        }
      }
      add_weighted_rows<P, STEP>(v_sums, scores, d_out_tile);
      add_weighted_rows<P, STEP>(k_sums, d_weights, q_tile);
      __syncthreads();  // the stage was read by all
    }
    const int64_t start = shape.key_row(b, 0, kv_head) * shape.p, row_step = shape.kv_heads * shape.p;
    store_sums<P>(d_k + start, k_sums, {1.0f, 1.0f}, first + top, shape.seq, row_step, shape.p);
    store_sums<P>(d_v + start, v_sums, {1.0f, 1.0f}, first + top, shape.seq, row_step, shape.p);
  }
}

int64_t tasks_of(const AttentionShape& shape, int64_t heads) {
  return shape.batch * heads * ((shape.seq + OWN_ROWS - 1) / OWN_ROWS);
}

}  // namespace

void attend_backward(Call& call, float* d_q, float* d_k, float* d_v, float* delta, const Saved& saved,
                     const AttentionShape& shape) {
  GPU_LAUNCH(delta_kernel<Bf16>, call.grid(shape.query_rows(), WARPS), BLOCK, 0, 0, delta, saved.out, saved.d_out,
             rounded_width(shape.p), shape);
  with_head_size(shape.p, [&](auto size) {
    constexpr int P = size();
    if (!call.allow_shared(d_q_kernel<P>, SHARED_BYTES<P>)) return;
    if (!call.allow_shared(d_kv_kernel<P>, SHARED_BYTES<P>)) return;
    GPU_LAUNCH(d_q_kernel<P>, call.grid(tasks_of(shape, shape.heads), 1), ATTENTION_THREADS, SHARED_BYTES<P>, 0, d_q,
               saved, delta, shape);
    GPU_LAUNCH(d_kv_kernel<P>, call.grid(tasks_of(shape, shape.kv_heads), 1), ATTENTION_THREADS, SHARED_BYTES<P>, 0,
               d_k, d_v, saved, delta, shape);
  });
}
