// Attention by tensor cores, forward: a block to 64 queries of a head, a warp to 16 of them. Tiles of keys and values
// come in by cp.async, the next ones while these are computed with; scores stay in registers, as the running softmax
// does, and are rounded to bf16 for the product with the values.
#include "include/attention_bf16.cuh"

namespace {

// Keys of a tile: fewer of longer heads, so that several blocks share a multiprocessor.
template <int P>
constexpr int KEYS = P <= 64 ? 64 : 32;

// Bytes of shared memory: queries, and two stages of keys and values.
template <int P>
constexpr size_t SHARED_BYTES = sizeof(Bf16) * PITCH<P> * (OWN_ROWS + 2 * 2 * KEYS<P>);

template <int P>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    forward_kernel(float* out, float* lse, const Bf16* q, const Bf16* k, const Bf16* v, AttentionShape shape) {
  constexpr int N = KEYS<P>;
  GPU_DYN_SHARED(Bf16, shared);
  Bf16* q_tile = shared;
  Bf16* stages = shared + OWN_ROWS * PITCH<P>;
  const int top = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t tiles = (shape.seq + OWN_ROWS - 1) / OWN_ROWS;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.heads, head = task / tiles % shape.heads;
    // the last queries see the most keys, so they start first
    const int64_t first = (tiles - 1 - task % tiles) * OWN_ROWS;
    const HeadRows keys = key_rows_of(k, shape, b, shape.kv_head(head));
    const HeadRows values = key_rows_of(v, shape, b, shape.kv_head(head));
    const int64_t end = min(shape.seq, first + OWN_ROWS), steps = (end + N - 1) / N;
    const auto start_stage = [&](int64_t step) {
      Bf16* stage = stages + step % 2 * 2 * N * PITCH<P>;
      if (step < steps) {
        start_tile<N, P>(stage, keys, step * N);
        start_tile<N, P>(stage + N * PITCH<P>, values, step * N);
      }
      gpu_cp_async_commit();
    };
    start_tile<OWN_ROWS, P>(q_tile, query_rows_of(q, shape, b, head), first);
    start_stage(0);

    float max[2] = {-INFINITY, -INFINITY}, sum[2] = {}, next[2], shrink[2];
    Sums<P> sums = {};
    for (int64_t step = 0; step < steps; step++) {
      start_stage(step + 1);
      gpu_cp_async_wait<1>();
      __syncthreads();  // the stage is there for all
      const Bf16* k_tile = stages + step % 2 * 2 * N * PITCH<P>;
      Sums<N> scores = {};
      multiply_rows<N, P>(scores, q_tile + top * PITCH<P>, k_tile);
      for (int half = 0; half < 2; half++) next[half] = max[half];
#pragma unroll
      for (int n = 0; n < N; n += 8) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const bool is_seen = step * N + n + column_of_sum(i) <= first + top + row_of_sum(i);
          float& score = scores[n / 8][i];
          score = is_seen ? shape.scale * score : -INFINITY;
          next[i / 2] = larger(next[i / 2], score);
        }
      }
      for (int half = 0; half < 2; half++) {
        next[half] = warp_max<ROW_LANES>(next[half]);
        shrink[half] = expf(max[half] - next[half]);
        max[half] = next[half];
        sum[half] *= shrink[half];
      }
#pragma unroll
      for (int n = 0; n < N; n += 8) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          float& score = scores[n / 8][i];
          score = expf(score - max[i / 2]);
          sum[i / 2] += score;
        }
      }
#pragma unroll
      for (int n = 0; n < P; n += 8) {
#pragma unroll
        for (int i = 0; i < 4; i++) sums[n / 8][i] *= shrink[i / 2];
      }
      add_weighted_rows<P, N>(sums, scores, k_tile + N * PITCH<P>);
      __syncthreads();  // the stage was read by all
    }

    float factors[2];
    for (int half = 0; half < 2; half++) {
      sum[half] = warp_sum<ROW_LANES>(sum[half]);
      factors[half] = 1.0f / sum[half];
      const int64_t row = first + top + row_of_sum(2 * half);
      if (lane_id() % ROW_LANES == 0 && row < shape.seq)
        lse[(b * shape.heads + head) * shape.seq + row] = max[half] + logf(sum[half]);
    }
    store_sums<P>(out + shape.query_row(b, 0, head) * shape.p, sums, factors, first + top, shape.seq,
                  shape.heads * shape.p, shape.p);
  }
}

}  // namespace

void attend(Call& call, float* out, float* lse, const Bf16* q, const Bf16* k, const Bf16* v,
            const AttentionShape& shape) {
  const int64_t tasks = shape.batch * shape.heads * ((shape.seq + OWN_ROWS - 1) / OWN_ROWS);
  with_head_size(shape.p, [&](auto size) {
    constexpr int P = size();
    if (!call.allow_shared(forward_kernel<P>, SHARED_BYTES<P>)) return;
    GPU_LAUNCH(forward_kernel<P>, call.grid(tasks, 1), ATTENTION_THREADS, SHARED_BYTES<P>, 0, out, lse, q, k, v, shape);
  });
}
