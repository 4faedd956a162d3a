// Copies in bf16, eight elements, 16 bytes, at a time.
#include "include/round.cuh"

#include "include/threads.cuh"

namespace {

// `is_aligned`: rows of `x` are read by 16 bytes.
__global__ void round_rows_kernel(uint4* __restrict__ out, const float* __restrict__ x, int64_t rows, int64_t k,
                                  bool is_aligned) {
  const int64_t eights = rounded_width(k) / 8;
  for (int64_t i = first_element(); i < rows * eights; i += element_stride()) {
    const int64_t first = i % eights * 8;
    const float* from = x + i / eights * k + first;
    float4 low, high;
    if (is_aligned) {
      low = __ldg(reinterpret_cast<const float4*>(from));
      high = __ldg(reinterpret_cast<const float4*>(from) + 1);
    } else {
      const auto at = [&](int j) { return first + j < k ? from[j] : 0.0f; };
      low = {at(0), at(1), at(2), at(3)};
      high = {at(4), at(5), at(6), at(7)};
    }
    out[i] = {round_pair(low.x, low.y), round_pair(low.z, low.w), round_pair(high.x, high.y),
              round_pair(high.z, high.w)};
  }
}

}  // namespace

void round_rows(Call& call, Bf16* out, const float* x, int64_t rows, int64_t k) {
  const int64_t eights = rows * rounded_width(k) / 8;
  if (eights == 0) return;
  const bool is_aligned = k % 8 == 0 && reinterpret_cast<uintptr_t>(x) % sizeof(float4) == 0;
  GPU_LAUNCH(round_rows_kernel, call.grid(eights, BLOCK), BLOCK, 0, 0, reinterpret_cast<uint4*>(out), x, rows, k,
             is_aligned);
}
