// Attention in f32 by tiles of 16 queries and 16 keys, with the softmax kept up to date as keys come in; scores are
// never stored. The backward pass computes the probabilities again from `lse`: a block per tile of queries for `d_q`, a
// block per tile of keys for `d_k` and `d_v`, which adds up over the queries and heads that read it in one order.
#include "include/attention.cuh"

namespace {

// Queries, and keys, of a tile. Thread (r, c) of a block computes the score of row r and column c, and every SIDE-th
// element of row r of the results, from c.
constexpr int SIDE = 16;
static_assert(SIDE * SIDE == BLOCK, "a thread per score");
// Elements of a row of results that one thread has.
constexpr int SHARE = MAX_P / SIDE;

struct Shape : AttentionShape {
  __device__ int64_t tiles() const { return (seq + SIDE - 1) / SIDE; }
  // Row `s` of a head in (B, S, heads, P).
  __device__ int64_t query(int64_t b, int64_t s, int64_t head) const { return query_row(b, s, head) * p; }
  __device__ int64_t key(int64_t b, int64_t s, int64_t head) const { return key_row(b, s, head) * p; }
};

// A tile of rows; one more column than needed, so that reading down a column meets all banks.
using Tile = float[SIDE][MAX_P + 1];

// Copies rows `first..first+SIDE` of (rows, p), `step` elements apart, with 0 behind the last.
__device__ void load_tile(Tile& tile, const float* x, int64_t step, int64_t first, int64_t rows, int64_t p) {
  const int r = static_cast<int>(threadIdx.x) / SIDE;
  for (int64_t c = threadIdx.x % SIDE; c < p; c += SIDE)
    tile[r][c] = first + r < rows ? x[(first + r) * step + c] : 0.0f;
}

__device__ float row_dot(const float* a, const float* b, int64_t p) {
  float sum = 0.0f;
  for (int64_t c = 0; c < p; c++) sum += a[c] * b[c];
  return sum;
}

// `sums[i] += sum_j weights[j] rows[j][c + i SIDE]`.
__device__ void add_rows(float (&sums)[SHARE], const float (&weights)[SIDE + 1], const Tile& rows, int c, int64_t p) {
  for (int i = 0; i < SHARE; i++) {
    if (c + i * SIDE >= p) break;
    for (int j = 0; j < SIDE; j++) sums[i] += weights[j] * rows[j][c + i * SIDE];
  }
}

// --- forward ---

__global__ void forward_kernel(float* out, float* lse, const float* q, const float* k, const float* v, Shape shape) {
  GPU_SHARED(float, q_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, kv_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, weights, [SIDE][SIDE + 1]);
  const int r = static_cast<int>(threadIdx.x) / SIDE, c = static_cast<int>(threadIdx.x) % SIDE;
  const int64_t tiles = shape.tiles(), p = shape.p, q_step = shape.heads * p, kv_step = shape.kv_heads * p;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.heads, head = task / tiles % shape.heads, first = task % tiles * SIDE;
    const int64_t kv = shape.key(b, 0, shape.kv_head(head)), position = shape.start + first + r;
    load_tile(q_tile, q + shape.query(b, 0, head), q_step, first, shape.seq, p);
    float max = -INFINITY, sum = 0.0f, sums[SHARE] = {};
    const int64_t end = min(shape.keys(), shape.start + first + SIDE);
    for (int64_t from = 0; from < end; from += SIDE) {
      load_tile(kv_tile, k + kv, kv_step, from, shape.keys(), p);
      __syncthreads();
      const bool is_seen = from + c <= position && from + c < end;
      const float score = is_seen ? shape.scale * row_dot(q_tile[r], kv_tile[c], p) : -INFINITY;
      const float next = larger(max, warp_max<SIDE>(score)), weight = expf(score - next), shrink = expf(max - next);
      sum = sum * shrink + warp_sum<SIDE>(weight);
      max = next;
      weights[r][c] = weight;
      __syncthreads();  // all keys were read
      load_tile(kv_tile, v + kv, kv_step, from, shape.keys(), p);
      __syncthreads();
      for (int i = 0; i < SHARE; i++) sums[i] *= shrink;
      add_rows(sums, weights[r], kv_tile, c, p);
      __syncthreads();  // all values and weights were read
    }
    if (first + r < shape.seq) {
      float* row = out + shape.query(b, first + r, head);
      for (int i = 0; i < SHARE && c + i * SIDE < p; i++) row[c + i * SIDE] = sums[i] / sum;
      if (lse && c == 0) lse[(b * shape.heads + head) * shape.seq + first + r] = max + logf(sum);
    }
  }
}

// --- backward ---

using Saved = AttentionSaved<float>;

__global__ void d_q_kernel(float* d_q, Saved saved, const float* delta, Shape shape) {
  GPU_SHARED(float, k_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, v_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, d_scores, [SIDE][SIDE + 1]);
  const int r = static_cast<int>(threadIdx.x) / SIDE, c = static_cast<int>(threadIdx.x) % SIDE;
  const int64_t tiles = shape.tiles(), p = shape.p, kv_step = shape.kv_heads * p;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.heads, head = task / tiles % shape.heads, first = task % tiles * SIDE,
                  row = first + r;
    const int64_t kv = shape.key(b, 0, shape.kv_head(head)), at = shape.query(b, row, head);
    const int64_t number = (b * shape.heads + head) * shape.seq + row;
    float sums[SHARE] = {};
    for (int64_t from = 0; from < min(shape.seq, first + SIDE); from += SIDE) {
      load_tile(k_tile, saved.k + kv, kv_step, from, shape.seq, p);
      load_tile(v_tile, saved.v + kv, kv_step, from, shape.seq, p);
      __syncthreads();
      float d_score = 0.0f;
      if (row < shape.seq && from + c <= row) {
        const float weight = expf(shape.scale * row_dot(saved.q + at, k_tile[c], p) - saved.lse[number]);
        d_score = weight * (row_dot(saved.d_out + at, v_tile[c], p) - delta[number]) * shape.scale;
      }
      d_scores[r][c] = d_score;
      __syncthreads();
      add_rows(sums, d_scores[r], k_tile, c, p);
      __syncthreads();  // the tiles were read
    }
    if (row < shape.seq) {
      for (int i = 0; i < SHARE && c + i * SIDE < p; i++) d_q[at + c + i * SIDE] = sums[i];
    }
  }
}

// Here rows are keys and columns are queries.
__global__ void d_kv_kernel(float* d_k, float* d_v, Saved saved, const float* delta, Shape shape) {
  GPU_SHARED(float, q_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, d_out_tile, [SIDE][MAX_P + 1]);
  GPU_SHARED(float, weights, [SIDE][SIDE + 1]);
  GPU_SHARED(float, d_scores, [SIDE][SIDE + 1]);
  const int r = static_cast<int>(threadIdx.x) / SIDE, c = static_cast<int>(threadIdx.x) % SIDE;
  const int64_t tiles = shape.tiles(), p = shape.p, q_step = shape.heads * p, group = shape.heads / shape.kv_heads;
  for (int64_t task = blockIdx.x; task < shape.batch * shape.kv_heads * tiles; task += gridDim.x) {
    const int64_t b = task / tiles / shape.kv_heads, kv_head = task / tiles % shape.kv_heads,
                  first = task % tiles * SIDE, row = first + r;
    const int64_t at = shape.key(b, row, kv_head);
    float k_sums[SHARE] = {}, v_sums[SHARE] = {};
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
      for (int64_t from = first; from < shape.seq; from += SIDE) {
        load_tile(q_tile, saved.q + shape.query(b, 0, head), q_step, from, shape.seq, p);
        load_tile(d_out_tile, saved.d_out + shape.query(b, 0, head), q_step, from, shape.seq, p);
        __syncthreads();
        float weight = 0.0f, d_score = 0.0f;
        if (from + c < shape.seq && row <= from + c) {
          const int64_t number = (b * shape.heads + head) * shape.seq + from + c;
          weight = expf(shape.scale * row_dot(saved.k + at, q_tile[c], p) - saved.lse[number]);
          d_score = weight * (row_dot(saved.v + at, d_out_tile[c], p) - delta[number]) * shape.scale;
        }
        weights[r][c] = weight;
        d_scores[r][c] = d_score;
        __syncthreads();
        add_rows(v_sums, weights[r], d_out_tile, c, p);
        add_rows(k_sums, d_scores[r], q_tile, c, p);
        __syncthreads();  // the tiles were read
      }
    }
    if (row < shape.seq) {
      for (int i = 0; i < SHARE && c + i * SIDE < p; i++) {
        d_k[at + c + i * SIDE] = k_sums[i];
        d_v[at + c + i * SIDE] = v_sums[i];
      }
    }
  }
}

int64_t tasks_of(const AttentionShape& shape, int64_t heads) {
  return shape.batch * heads * ((shape.seq + SIDE - 1) / SIDE);
}

}  // namespace

void attend(Call& call, float* out, float* lse, const float* q, const float* k, const float* v,
            const AttentionShape& attention) {
  const Shape shape{attention};
  GPU_LAUNCH(forward_kernel, call.grid(tasks_of(shape, shape.heads), 1), BLOCK, 0, 0, out, lse, q, k, v, shape);
}

void attend_backward(Call& call, float* d_q, float* d_k, float* d_v, float* delta, const Saved& saved,
                     const AttentionShape& attention) {
  const Shape shape{attention};
  GPU_LAUNCH(delta_kernel<float>, call.grid(shape.query_rows(), WARPS), BLOCK, 0, 0, delta, saved.out, saved.d_out,
             shape.p, attention);
  GPU_LAUNCH(d_q_kernel, call.grid(tasks_of(shape, shape.heads), 1), BLOCK, 0, 0, d_q, saved, delta, shape);
  GPU_LAUNCH(d_kv_kernel, call.grid(tasks_of(shape, shape.kv_heads), 1), BLOCK, 0, 0, d_k, d_v, saved, delta, shape);
}
