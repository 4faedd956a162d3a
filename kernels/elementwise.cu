// Fill, copy, add and the sum of squares.
#include "include/vectors.cuh"

namespace {

template <class T>
__global__ void fill_kernel(T* out, float value, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) out[i] = filled<T>(value);
}

template <class T>
__global__ void add_kernel(T* out, const T* x, int64_t n) {
  for (int64_t i = first_element(); i < n; i += element_stride()) out[i] = plus(out[i], __ldg(x + i));
}

// Elements whose squares one block adds up.
constexpr int64_t PIECE = 16 * 1024;

// Overwrites `sums` (pieces).
__global__ void sum_squares_kernel(double* sums, const float* x, int64_t n, int64_t pieces) {
  for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
    const int64_t end = min(n, (piece + 1) * PIECE);
    double sum = 0.0;
    for (int64_t i = piece * PIECE + threadIdx.x; i < end; i += BLOCK)
      sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[piece] = sum;
  }
}

// Adds up the sums of the pieces in one block, into the first.
__global__ void total_kernel(double* sums, int64_t pieces) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < pieces; i += BLOCK) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[0] = sum;
}

}  // namespace

extern "C" int bowline_fill(bowline_device* device, float* out, float value, size_t n) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "fill");
  if (is_by_vectors(n, out)) {
    const size_t count = n / WIDTH<float4>;
    GPU_LAUNCH(fill_kernel<float4>, call.grid(count, BLOCK), BLOCK, 0, 0, vectors(out), value, count);
  } else {
    GPU_LAUNCH(fill_kernel<float>, call.grid(n, BLOCK), BLOCK, 0, 0, out, value, n);
  }
  return call.end();
}

extern "C" int bowline_copy(bowline_device* device, float* out, const float* x, size_t n) {
  Call call(device, "copy");
  call.copy(out, x, n * sizeof(float), cudaMemcpyDeviceToDevice);
  return call.end();
}

extern "C" int bowline_add(bowline_device* device, float* out, const float* x, size_t n) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "add");
  if (is_by_vectors(n, out, x)) {
    const size_t count = n / WIDTH<float4>;
    GPU_LAUNCH(add_kernel<float4>, call.grid(count, BLOCK), BLOCK, 0, 0, vectors(out), vectors(x), count);
  } else {
    GPU_LAUNCH(add_kernel<float>, call.grid(n, BLOCK), BLOCK, 0, 0, out, x, n);
  }
  return call.end();
}

extern "C" int bowline_sum_squares(bowline_device* device, double* host_sum, const float* x, size_t n) {
  *host_sum = 0.0;
  if (n == 0) return BOWLINE_OK;
  Call call(device, "sum squares");
  const int64_t pieces = (static_cast<int64_t>(n) + PIECE - 1) / PIECE;
  double* sums = call.scratch_of<double>(pieces);
  if (!sums) return call.end();
  GPU_LAUNCH(sum_squares_kernel, call.grid(pieces, 1), BLOCK, 0, 0, sums, x, n, pieces);
  GPU_LAUNCH(total_kernel, 1, BLOCK, 0, 0, sums, pieces);
  call.copy(host_sum, sums, sizeof(double), cudaMemcpyDeviceToHost);
  return call.end();
}
