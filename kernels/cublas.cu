// cuBLAS, without its headers: what is used of its C interface is written down here and compared with the headers where
// the compiler finds them.
#include "include/cublas.cuh"

#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <new>

#include "include/cast.cuh"

#if defined(__CUDACC__) && __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define HAS_CUBLAS_HEADER
#endif

namespace {

// Names and values of cublas_api.h and library_types.h.
enum Operation { OP_N = 0, OP_T = 1 };
enum Type { R_32F = 0, R_16BF = 14 };
constexpr int COMPUTE_32F = 68, GEMM_DEFAULT = -1, STATUS_SUCCESS = 0;
using Create = int(void** handle);
using Destroy = int(void* handle);
using StatusString = const char*(int status);
// Column-major, `c = alpha op(a) op(b) + beta c` with c (m, n): leading dimensions are those of a, b and c as they lie.
using GemmEx = int(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int a_type,
                   int a_ld, const void* b, int b_type, int b_ld, const void* beta, void* c, int c_type, int c_ld,
                   int compute_type, int algorithm);

#ifdef HAS_CUBLAS_HEADER
static_assert(OP_N == int(CUBLAS_OP_N) && OP_T == int(CUBLAS_OP_T));
static_assert(R_32F == int(CUDA_R_32F) && R_16BF == int(CUDA_R_16BF));
static_assert(COMPUTE_32F == int(CUBLAS_COMPUTE_32F) && GEMM_DEFAULT == int(CUBLAS_GEMM_DEFAULT));
static_assert(STATUS_SUCCESS == int(CUBLAS_STATUS_SUCCESS));
static_assert(sizeof(cublasHandle_t) == sizeof(void*) && sizeof(cublasStatus_t) == sizeof(int));
using HeaderGemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                                    const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                                    cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);
// does not compile when the header has another function
[[maybe_unused]] constexpr HeaderGemmEx* of_header = &cublasGemmEx;
static_assert(sizeof(cublasOperation_t) == sizeof(int) && sizeof(cudaDataType) == sizeof(int) &&
              sizeof(cublasComputeType_t) == sizeof(int) && sizeof(cublasGemmAlgo_t) == sizeof(int));
#endif

#if defined(__CUDACC__)
constexpr const char* DEFAULT = "auto";
#else
constexpr const char* DEFAULT = "off";
#endif
constexpr const char* NAMES[] = {"libcublas.so.13", "libcublas.so.12"};

// A factor or result as it lies, column-major.
struct Stored {
  Operation op;
  int64_t rows, columns, ld;
};

// Row-major `x` (rows, columns) lies as its transpose.
template <class T>
Stored transpose_of(const Matrix<T>& x, int64_t rows, int64_t columns) {
  return x.col == 1 ? Stored{OP_N, columns, rows, std::max(x.row, columns)}
                    : Stored{OP_T, rows, columns, std::max(x.col, rows)};
}

}  // namespace

// Null functions where there is no cuBLAS.
struct Cublas {
  void* handle = nullptr;
  Create* create = nullptr;
  Destroy* destroy = nullptr;
  GemmEx* gemm = nullptr;
  StatusString* status_string = nullptr;
};

namespace {

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

// Loads one of the names; false when none is there, with the reason of the last.
bool load(Cublas& cublas, const char* const* names, size_t count, std::string& reason) {
  for (size_t i = 0; i < count; i++) {
    void* library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library && find(library, "cublasCreate_v2", cublas.create) &&
        find(library, "cublasDestroy_v2", cublas.destroy) && find(library, "cublasGemmEx", cublas.gemm) &&
        find(library, "cublasGetStatusString", cublas.status_string))
      return true;
    reason = dlerror();
  }
  return false;
}

bool succeeds(Call& call, const Cublas& cublas, int status) {
  if (status == STATUS_SUCCESS) return true;
  call.fail(BOWLINE_FAILED, std::string("cuBLAS: ") + cublas.status_string(status) + " (status " +
                                std::to_string(status) + "); BOWLINE_CUBLAS=off does without it");
  return false;
}

// The device's cuBLAS, loaded and started at the first call, or null where it is not to be used.
const Cublas* cublas_of(Call& call) {
  Cublas*& known = call.device().cublas;
  if (known) return known->handle ? known : nullptr;
  const char* named = getenv("BOWLINE_CUBLAS");
  const std::string choice = named && *named ? named : DEFAULT;
  Cublas cublas;
  if (choice != "off") {
    const bool is_auto = choice == "auto";
    const char* const file = choice.c_str();
    std::string reason;
    const bool is_there = is_auto ? load(cublas, NAMES, std::size(NAMES), reason) : load(cublas, &file, 1, reason);
    if (!is_there && !is_auto) {
      call.fail(BOWLINE_UNSUPPORTED, "cuBLAS cannot be loaded from BOWLINE_CUBLAS: " + reason +
                                         "; wanted its file, auto or off");
      return nullptr;
    }
    if (is_there && !succeeds(call, cublas, cublas.create(&cublas.handle))) return nullptr;
  }
  known = new (std::nothrow) Cublas(cublas);
  return known && known->handle ? known : nullptr;
}

// A copy of a stored factor in bf16, whose columns are padded.
const Bf16* rounded(Call& call, const float* x, Stored& stored) {
  const Factor copy = round_rows(call, x, stored.columns, stored.rows);
  stored.ld = copy.columns;
  return copy.data;
}

}  // namespace

bool multiply_by_cublas(Call& call, const Products& p) {
  if (p.count != 1 || p.out.col != 1 || std::max({p.m, p.n, p.k}) > INT_MAX - 8 || std::min({p.m, p.n, p.k}) == 0)
    return false;
  const Cublas* cublas = cublas_of(call);
  // an error of loading it is one of the call, which has nothing left to do
  if (!cublas) return !call.is_ok();
  // out^T = b^T a^T
  Stored left = transpose_of(p.b, p.k, p.n), right = transpose_of(p.a, p.m, p.k);
  const void *left_data = p.b.data, *right_data = p.a.data;
  int type = R_32F;
  if (call.is_bf16() && !p.is_f32) {
    left_data = rounded(call, p.b.data, left);
    right_data = rounded(call, p.a.data, right);
    if (!call.is_ok()) return true;
    type = R_16BF;
  }
  const float beta = p.is_added ? 1.0f : 0.0f;
  const auto narrow = [](int64_t x) { return static_cast<int>(x); };
  succeeds(call, *cublas,
           cublas->gemm(cublas->handle, left.op, right.op, narrow(p.n), narrow(p.m), narrow(p.k), &p.alpha, left_data,
                        type, narrow(left.ld), right_data, type, narrow(right.ld), &beta, p.out.data, R_32F,
                        narrow(p.out.row), COMPUTE_32F, GEMM_DEFAULT));
  return true;
}

void close_cublas(Call& call) {
  const Cublas* cublas = call.device().cublas;
  if (cublas && cublas->handle) succeeds(call, *cublas, cublas->destroy(cublas->handle));
  delete cublas;
}
