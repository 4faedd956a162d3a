// A stand-in for cuBLAS on the host, as far as this project calls it, written from its documentation: column-major
// `C = alpha op(A) op(B) + beta C`, where element (i, j) of a matrix lies at `i + j * ld`. It refuses what cuBLAS
// refuses. CUBLAS_STAND_IN_STATUS is what every product answers instead of being computed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr int success = 0, not_initialized = 1, invalid_value = 7, not_supported = 15;
constexpr int r_32f = 0, r_16bf = 14, compute_32f = 68, gemm_default = -1;

// What a handle points to.
struct Context {
  uint32_t mark;
};
constexpr uint32_t open_mark = 0xb1a5;

struct Operand {
  const void* data;
  int type, ld;
  bool is_transposed;

  // Element of op(X).
  double at(int64_t row, int64_t column) const {
    const int64_t place = is_transposed ? column + row * ld : row + column * ld;
    if (type == r_32f) return static_cast<const float*>(data)[place];
    const uint32_t bits = uint32_t(static_cast<const uint16_t*>(data)[place]) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }

  // Whether op(X) of so many rows and columns can lie there.
  bool fits(int rows, int columns) const { return ld >= std::max(1, is_transposed ? columns : rows); }
};

}  // namespace

EXPORT int cublasCreate_v2(void** handle) {
  *handle = new Context{open_mark};
  return success;
}

EXPORT int cublasDestroy_v2(void* handle) {
  Context* context = static_cast<Context*>(handle);
  if (!context || context->mark != open_mark) return not_initialized;
  context->mark = 0;
  delete context;
  return success;
}

EXPORT const char* cublasGetStatusString(int status) {
  return status == invalid_value ? "an unsupported value or parameter was passed" : "the stand-in failed";
}

EXPORT int cublasGemmEx(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a,
                        int a_type, int a_ld, const void* b, int b_type, int b_ld, const void* beta, void* c,
                        int c_type, int c_ld, int compute_type, int algorithm) {
  const Context* context = static_cast<const Context*>(handle);
  if (!context || context->mark != open_mark) return not_initialized;
  if (const char* status = getenv("CUBLAS_STAND_IN_STATUS")) return atoi(status);
  const Operand left{a, a_type, a_ld, op_a == 1}, right{b, b_type, b_ld, op_b == 1};
  if (m < 0 || n < 0 || k < 0 || (op_a != 0 && op_a != 1) || (op_b != 0 && op_b != 1)) return invalid_value;
  if (!left.fits(m, k) || !right.fits(k, n) || c_ld < std::max(1, m) || algorithm != gemm_default) return invalid_value;
  if (a_type != b_type || (a_type != r_32f && a_type != r_16bf) || c_type != r_32f || compute_type != compute_32f)
    return not_supported;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  for (int64_t j = 0; j < n; j++) {
    for (int64_t i = 0; i < m; i++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) sum += left.at(i, l) * right.at(l, j);
      // what C was does not count when beta is 0, though it be NaN
      float* at = static_cast<float*>(c) + i + j * c_ld;
      *at = float(scale * sum) + (keep == 0 ? 0.0f : keep * *at);
    }
  }
  return success;
}
