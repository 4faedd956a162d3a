// From router logits to choices, combine weights and sums over tokens, and back; a warp to a token. Choices are the
// largest values, largest first, ties to the lower id.
#include "include/threads.cuh"

namespace {

struct Rule {
  int64_t experts, top_k;
  // Top-K of the logits comes before the softmax over those K.
  bool chooses_first;
  // The chosen scores are divided by their sum.
  bool renormalizes;
};

// Tokens whose sums one block makes.
constexpr int64_t PIECE = 64;

// Sums beside those of the experts: of lse^2, of entropies, and the largest logit.
constexpr int64_t TOTALS = 3;

// Numbers of a block of sums: choices, first choices and scores of each expert, then the totals.
GPU_HD int64_t num_sums(int64_t experts) { return 3 * experts + TOTALS; }

// --- forward ---

// The best expert behind (`value`, `id`) in the order of choice, the same in each lane; one of 0..E whatever the values
// are.
__device__ int64_t next_choice(const float* values, int64_t experts, float value, int64_t id, bool is_first) {
  float best = -INFINITY;
  int64_t best_id = experts - 1;
  for (int64_t e = lane_id(); e < experts; e += 32) {
    const bool is_behind = is_first || values[e] < value || (values[e] == value && e > id);
    if (is_behind && (values[e] > best || (values[e] == best && e < best_id))) {
      best = values[e];
      best_id = e;
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(FULL_WARP, best, step);
    const int64_t other_id = __shfl_xor_sync(FULL_WARP, best_id, step);
    if (other > best || (other == best && other_id < best_id)) {
      best = other;
      best_id = other_id;
    }
  }
  return best_id;
}

// Overwrites also `entropies` and `tops` (T): the entropy of the softmax, and the largest logit or NaN.
__global__ void forward_kernel(float* scores, float* lse, int32_t* ids, float* weights, float* entropies, float* tops,
                               const float* logits, int64_t t, Rule rule) {
  const int64_t experts = rule.experts, top_k = rule.top_k;
  for (int64_t token = first_row(); token < t; token += row_stride()) {
    const float* from = logits + token * experts;
    float* to = scores + token * experts;
    float max = -INFINITY, faults = 0.0f;
    for (int64_t e = lane_id(); e < experts; e += 32) {
      max = larger(max, from[e]);
      faults += from[e] * 0.0f;  // 0 for finite numbers alone
    }
    max = warp_max(max) + warp_sum(faults);
    float sum = 0.0f;
    for (int64_t e = lane_id(); e < experts; e += 32) {
      to[e] = expf(from[e] - max);
      sum += to[e];
    }
    sum = warp_sum(sum);
    // entropy = -sum p ln p with ln p = logit - lse
    float inner = 0.0f;
    for (int64_t e = lane_id(); e < experts; e += 32) {
      to[e] /= sum;
      inner += to[e] * from[e];
    }
    inner = warp_sum(inner);
    const float log_sum = max + logf(sum);
    __syncwarp();  // all lanes choose among all scores of the row

    const float* values = rule.chooses_first ? from : to;
    int64_t id = 0;
    float chosen = 0.0f;
    for (int64_t k = 0; k < top_k; k++) {
      id = next_choice(values, experts, k == 0 ? 0.0f : values[id], id, k == 0);
      const float weight = rule.chooses_first ? expf(from[id] - max) : to[id];
      chosen += weight;
      if (lane_id() == 0) {
        ids[token * top_k + k] = static_cast<int32_t>(id);
        weights[token * top_k + k] = weight;
      }
    }
    __syncwarp();  // lane 0 wrote the weights
    if (rule.chooses_first || rule.renormalizes) {
      for (int64_t k = lane_id(); k < top_k; k += 32) weights[token * top_k + k] /= chosen;
    }
    if (lane_id() == 0) {
      lse[token] = log_sum;
      entropies[token] = log_sum - inner;
      tops[token] = max;
    }
  }
}

// The larger of two, NaN when either is.
__device__ double max_or_nan(double a, double b) { return a >= b || a != a ? a : b; }

// Overwrites `sums` (pieces, 3E + 3): a thread to a number, tokens in ascending order.
__global__ void piece_sums_kernel(double* sums, const float* scores, const float* lse, const int32_t* ids,
                                  const float* entropies, const float* tops, int64_t t, int64_t pieces, Rule rule) {
  const int64_t experts = rule.experts, top_k = rule.top_k, width = num_sums(experts);
  for (int64_t i = first_element(); i < pieces * width; i += element_stride()) {
    const int64_t first = i / width * PIECE, end = min(t, first + PIECE), kind = i % width / experts,
                  e = i % width % experts;
    double sum = 0.0;
    for (int64_t token = first; token < end; token++) {
      if (kind == 0) {
        for (int64_t k = 0; k < top_k; k++) sum += ids[token * top_k + k] == e;
      } else if (kind == 1) {
        sum += ids[token * top_k] == e;
      } else if (kind == 2) {
        sum += scores[token * experts + e];
      } else if (i % width == 3 * experts) {
        sum += static_cast<double>(lse[token]) * static_cast<double>(lse[token]);
      } else if (i % width == 3 * experts + 1) {
        sum += entropies[token];
      } else {
        sum = token == first ? tops[token] : max_or_nan(sum, tops[token]);
      }
    }
    sums[i] = sum;
  }
}

// Folds the pieces into the first, in ascending order.
__global__ void total_sums_kernel(double* sums, int64_t pieces, int64_t width) {
  for (int64_t i = first_element(); i < width; i += element_stride()) {
    double sum = sums[i];
    for (int64_t piece = 1; piece < pieces; piece++) {
      const double next = sums[piece * width + i];
      sum = i == width - 1 ? max_or_nan(sum, next) : sum + next;
    }
    sums[i] = sum;
  }
}

// --- backward ---

// d_score = balance, plus for softmax-then-top-k the gradient that reaches the chosen scores;
// d_logit = score * (d_score - sum_j score_j d_score_j) + z lse score, plus for top-k-then-softmax that of the small
// softmax
__global__ void backward_kernel(float* d_logits, const float* scores, const float* lse, const int32_t* ids,
                                const float* weights, const float* d_weights, const float* balance, float z, int64_t t,
                                Rule rule) {
  const int64_t experts = rule.experts, top_k = rule.top_k;
  for (int64_t token = first_row(); token < t; token += row_stride()) {
    const float *score = scores + token * experts, *weight = weights + token * top_k,
                *d_weight = d_weights + token * top_k;
    const int32_t* id = ids + token * top_k;
    float* to = d_logits + token * experts;
    float inner = 0.0f, chosen = 0.0f;
    for (int64_t k = 0; k < top_k; k++) {
      inner += weight[k] * d_weight[k];
      chosen += score[id[k]];
    }
    float dot = 0.0f;
    for (int64_t e = lane_id(); e < experts; e += 32) {
      float d = balance[e];
      for (int64_t k = 0; k < top_k; k++) {
        if (id[k] == e && !rule.chooses_first) d += rule.renormalizes ? (d_weight[k] - inner) / chosen : d_weight[k];
      }
      to[e] = d;
      dot += score[e] * d;
    }
    const float shift = z * lse[token] - warp_sum(dot);
    for (int64_t e = lane_id(); e < experts; e += 32) {
      float d = score[e] * (to[e] + shift);
      for (int64_t k = 0; k < top_k; k++) {
        if (id[k] == e && rule.chooses_first) d += weight[k] * (d_weight[k] - inner);
      }
      to[e] = d;
    }
  }
}

Rule rule_of(size_t e, size_t k, int choose_first, int renormalize) {
  return {static_cast<int64_t>(e), static_cast<int64_t>(k), choose_first != 0, renormalize != 0};
}

}  // namespace

extern "C" int bowline_router_forward(bowline_device* device, float* scores, float* lse, int32_t* expert_ids,
                                      float* combine_weights, double* host_sums, const float* logits, size_t t,
                                      size_t e, size_t k, int choose_first, int renormalize) {
  const int64_t width = num_sums(e), pieces = (t + PIECE - 1) / PIECE;
  for (int64_t i = 0; i < width; i++) host_sums[i] = 0.0;
  host_sums[width - 1] = -INFINITY;
  if (t == 0) return BOWLINE_OK;
  Call call(device, "route");
  double* sums = call.scratch_of<double>(pieces * width + t);
  if (!sums) return call.end();
  float *entropies = reinterpret_cast<float*>(sums + pieces * width), *tops = entropies + t;
  const Rule rule = rule_of(e, k, choose_first, renormalize);
  GPU_LAUNCH(forward_kernel, call.grid(t, WARPS), BLOCK, 0, 0, scores, lse, expert_ids, combine_weights, entropies,
             tops, logits, t, rule);
  GPU_LAUNCH(piece_sums_kernel, call.grid(pieces * width, BLOCK), BLOCK, 0, 0, sums, scores, lse, expert_ids, entropies,
             tops, t, pieces, rule);
  GPU_LAUNCH(total_sums_kernel, call.grid(width, BLOCK), BLOCK, 0, 0, sums, pieces, width);
  call.copy(host_sums, sums, width * sizeof(double), cudaMemcpyDeviceToHost);
  return call.end();
}

extern "C" int bowline_router_backward(bowline_device* device, float* d_logits, const float* scores, const float* lse,
                                       const int32_t* expert_ids, const float* combine_weights,
                                       const float* d_combine_weights, const float* host_balance, float z, size_t t,
                                       size_t e, size_t k, int choose_first, int renormalize) {
  if (t == 0) return BOWLINE_OK;
  Call call(device, "differentiate routing");
  float* balance = call.scratch_of<float>(e);
  if (!balance || !call.copy(balance, host_balance, e * sizeof(float), cudaMemcpyHostToDevice)) return call.end();
  const Rule rule = rule_of(e, k, choose_first, renormalize);
  GPU_LAUNCH(backward_kernel, call.grid(t, WARPS), BLOCK, 0, 0, d_logits, scores, lse, expert_ids, combine_weights,
             d_combine_weights, balance, z, t, rule);
  return call.end();
}
