// Muon: momentum, then each matrix orthogonalised by Newton-Schulz, all matrices of a group at once.
//
// With S the smaller side: X = U / |U|, then `steps` times G = X X^T (S, S), X = (a I + b G + c G^2) X. A tall matrix
// is used through its transpose.
#include <algorithm>
#include <cmath>

#include "include/gemm.cuh"

namespace {

// Coefficients of the Newton-Schulz polynomial x -> a x + b x^3 + c x^5.
constexpr float A = 3.4445f, B = -4.7750f, C = 2.0315f;
// Smallest norm divided by: a zero update stays zero.
constexpr double MIN_NORM = 1e-7;
// Elements of working memory of a group of matrices: 256 MiB of f32, or one matrix.
constexpr size_t MAX_SCRATCH = size_t{1} << 26;

// `m = mu m + (1-mu) g`, then overwrites `x` with `(1-mu) g + mu m`.
__global__ void momentum_kernel(float* x, float* m, const float* g, float mu, float grad_scale, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    const float d = (1.0f - mu) * (g[i] * grad_scale);
    m[i] = mu * m[i] + d;
    x[i] = d + mu * m[i];
  }
}

// Divides each of `count` matrices of `size` elements by its norm; a block to a matrix.
__global__ void normalize_kernel(float* x, int64_t count, int64_t size) {
  for (int64_t matrix = blockIdx.x; matrix < count; matrix += gridDim.x) {
    float* from = x + matrix * size;
    double squares = 0.0;
    for (int64_t i = threadIdx.x; i < size; i += BLOCK)
      squares += static_cast<double>(from[i]) * static_cast<double>(from[i]);
    const double norm = sqrt(block_sum(squares));
    const float factor = static_cast<float>(1.0 / (norm < MIN_NORM ? MIN_NORM : norm));
    for (int64_t i = threadIdx.x; i < size; i += BLOCK) from[i] *= factor;
  }
}

// Overwrites `poly` with `a I + b gram`, both (count, side, side).
__global__ void start_polynomial_kernel(float* poly, const float* gram, int64_t count, int64_t side) {
  for (int64_t i = first_element(); i < count * side * side; i += element_stride()) {
    poly[i] = B * gram[i] + (i / side % side == i % side ? A : 0.0f);
  }
}

// `w = keep w - rate x`.
__global__ void apply_kernel(float* w, const float* x, float keep, float rate, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) w[i] = keep * w[i] - rate * x[i];
}

// `count` matrices (rows, cols) of one group and their working memory.
struct Group {
  // (count, rows, cols) each
  float *x, *spare;
  // (count, side, side) each
  float *gram, *poly;
  int64_t count, rows, cols;

  int64_t size() const { return rows * cols; }
  int64_t side() const { return std::min(rows, cols); }
};

// Orthogonalises `group.x`; returns where the result lies, `x` or `spare`.
float* newton_schulz(Call& call, Group group, uint32_t steps) {
  const int64_t count = group.count, size = group.size(), side = group.side(), square = side * side,
                length = size / side;
  const bool is_tall = group.rows > group.cols;
  // element (i, j) of a wide matrix (side, length)
  const int64_t row = is_tall ? 1 : group.cols, col = is_tall ? group.cols : 1;
  for (uint32_t step = 0; step < steps; step++) {
    Products gram = {.out = {group.gram, side, 1},
                     .a = {group.x, row, col},
                     .b = {group.x, col, row},
                     .m = side,
                     .n = side,
                     .k = length};
    gram.count = count, gram.is_symmetric = true;
    multiply(call, gram);
    float* poly = group.poly;
    const float* from = group.gram;
    GPU_LAUNCH(start_polynomial_kernel, call.grid(count * square, BLOCK), BLOCK, 0, 0, poly, from, count, side);
    Products fourth = {
        .out = {poly, side, 1}, .a = {from, side, 1}, .b = {from, side, 1}, .m = side, .n = side, .k = side};
    fourth.alpha = C, fourth.is_added = true, fourth.count = count, fourth.is_symmetric = true;
    multiply(call, fourth);
    Products next = {.out = {group.spare, row, col},
                     .a = {poly, side, 1},
                     .b = {group.x, row, col},
                     .m = side,
                     .n = length,
                     .k = side};
    next.count = count;
    multiply(call, next);
    std::swap(group.x, group.spare);
  }
  return group.x;
}

}  // namespace

extern "C" int bowline_muon_step(bowline_device* device, float* w, float* m, const float* g, size_t count, size_t rows,
                                 size_t cols, float lr, float momentum, float weight_decay,
                                 uint32_t newton_schulz_steps, float grad_scale) {
  const size_t size = rows * cols, side = std::min(rows, cols), each = 2 * size + 2 * side * side;
  if (count * size == 0) return BOWLINE_OK;
  Call call(device, "update by Muon");
  const size_t at_once = std::clamp(MAX_SCRATCH / each, size_t{1}, count);
  float* scratch = call.scratch_of<float>(at_once * each);
  if (!scratch) return call.end();
  const double shape = std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(cols)));
  const float keep = static_cast<float>(1.0 - static_cast<double>(lr) * static_cast<double>(weight_decay));
  const float rate = static_cast<float>(static_cast<double>(lr) * shape);
  for (size_t first = 0; first < count; first += at_once) {
    const int64_t matrices = std::min(at_once, count - first), n = matrices * size;
    float *spare = scratch + n, *gram = spare + n, *poly = gram + matrices * side * side;
    float *w_group = w + first * size, *m_group = m + first * size;
    const float* g_group = g + first * size;
    GPU_LAUNCH(momentum_kernel, call.grid(n, BLOCK), BLOCK, 0, 0, scratch, m_group, g_group, momentum, grad_scale, n);
    GPU_LAUNCH(normalize_kernel, call.grid(matrices, 1), BLOCK, 0, 0, scratch, matrices, size);
    const Group group = {scratch, spare, gram, poly, matrices, static_cast<int64_t>(rows), static_cast<int64_t>(cols)};
    const float* x = newton_schulz(call, group, newton_schulz_steps);
    GPU_LAUNCH(apply_kernel, call.grid(n, BLOCK), BLOCK, 0, 0, w_group, x, keep, rate, n);
  }
  return call.end();
}
