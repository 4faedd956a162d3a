// One call of the C interface: the device it runs on, the shape of its launches, its working memory and its first
// error.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gpu.h"
#include "kernels.h"

struct Cublas;

struct bowline_device {
  int ordinal;
  // Multiprocessors.
  int64_t processors;
  // Blocks of the largest grid: enough to fill the device; kernels stride over the rest.
  int64_t max_blocks;
  // Whether the device runs code of sm_90a.
  bool has_wgmma;
  // Working memory of one call, kept for the next one; the most that a call wanted; pieces beyond, by their places.
  char* scratch;
  size_t scratch_bytes, scratch_wanted;
  std::vector<std::pair<size_t, void*>> beyond;
  // Of products.
  int precision;
  // Reason of the last failure.
  std::string error;
  // Null until the first product that asks for it.
  Cublas* cublas = nullptr;
  // The ranks that were joined, or null.
  struct bowline_comm* comm = nullptr;
};

// Threads of a block, unless a kernel says otherwise: 8 warps.
constexpr int BLOCK = 256;
constexpr int WARPS = BLOCK / 32;

// Records the first error of its statements; `end` is the status to answer.
class Call {
 public:
  Call(bowline_device* device, const char* action) : device_(device), action_(action) {
    check(cudaSetDevice(device->ordinal));
  }

  // False once anything failed.
  bool check(cudaError_t result) {
    if (result != cudaSuccess && status_ == BOWLINE_OK) {
      const bool is_memory = result == cudaErrorMemoryAllocation;
      fail(is_memory ? BOWLINE_OUT_OF_MEMORY : BOWLINE_FAILED, cudaGetErrorString(result));
    }
    return status_ == BOWLINE_OK;
  }

  void fail(bowline_status status, const std::string& reason) {
    status_ = status;
    device_->error =
        std::string("Cannot ") + action_ + " on device " + std::to_string(device_->ordinal) + ": " + reason;
  }

  // Status of the call, with the errors of its launches.
  int end() {
    check(cudaGetLastError());
    return status_;
  }

  // Blocks for `work` pieces, `per_block` of them in a block.
  unsigned grid(int64_t work, int64_t per_block) const {
    const int64_t blocks = (work + per_block - 1) / per_block;
    return static_cast<unsigned>(blocks < device_->max_blocks ? blocks : device_->max_blocks);
  }

  // Blocks of a launch whose work is known on the device only.
  unsigned full_grid() const { return static_cast<unsigned>(device_->max_blocks); }

  bool is_ok() const { return status_ == BOWLINE_OK; }
  bowline_device& device() { return *device_; }
  int64_t processors() const { return device_->processors; }
  bool is_bf16() const { return device_->precision == BOWLINE_BF16; }
  bool has_wgmma() const { return device_->has_wgmma; }

  // Lets a kernel be launched with so many bytes of dynamic shared memory.
  template <class Kernel>
  bool allow_shared(Kernel* kernel, size_t bytes) {
    return check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  }

  // A piece of working memory of unspecified content, until the call ends or gives it back; null after an error. What
  // the working memory does not hold is allocated apart; the next call finds it large enough.
  char* scratch(size_t bytes) {
    if (used_ == 0) grow();
    if (status_ != BOWLINE_OK) return nullptr;
    const size_t place = used_, end = place + (bytes + PIECE - 1) / PIECE * PIECE;
    void* memory = device_->scratch + place;
    if (end > device_->scratch_bytes) {
      if (!check(cudaMalloc(&memory, end - place))) return nullptr;
      device_->beyond.emplace_back(place, memory);
      if (end > device_->scratch_wanted) device_->scratch_wanted = end;
    }
    used_ = end;
    return static_cast<char*>(memory);
  }

  template <class T>
  T* scratch_of(size_t n) {
    return reinterpret_cast<T*>(scratch(n * sizeof(T)));
  }

  // How much of the working memory is taken, and giving back all that was taken since. Kernels may still use it: later
  // ones come after them, and cudaFree waits for them.
  size_t taken() const { return used_; }
  void give_back(size_t taken) {
    used_ = taken;
    while (!device_->beyond.empty() && device_->beyond.back().first >= taken) {
      check(cudaFree(device_->beyond.back().second));
      device_->beyond.pop_back();
    }
  }

  // Frees all working memory.
  void free_scratch() {
    give_back(0);
    check(cudaFree(device_->scratch));
    device_->scratch = nullptr;
    device_->scratch_bytes = 0;
  }

  // Copies between host and device memory and waits for it.
  bool copy(void* out, const void* x, size_t bytes, cudaMemcpyKind kind) {
    return bytes == 0 || check(cudaMemcpy(out, x, bytes, kind));
  }

 private:
  // Pieces start at multiples of it: what a GPU's own allocations are aligned to.
  static constexpr size_t PIECE = 256;

  // Makes the working memory as large as a call wanted it. Where there is no room for all of it any more, the pieces
  // are allocated apart.
  void grow() {
    give_back(0);
    if (device_->scratch_wanted <= device_->scratch_bytes) return;
    free_scratch();
    void* memory = nullptr;
    if (cudaMalloc(&memory, device_->scratch_wanted) == cudaSuccess) {
      device_->scratch = static_cast<char*>(memory);
      device_->scratch_bytes = device_->scratch_wanted;
    } else {
      cudaGetLastError();  // forgotten: it is no failure of the call
    }
    device_->scratch_wanted = device_->scratch_bytes;
  }

  bowline_device* device_;
  const char* action_;
  size_t used_ = 0;
  bowline_status status_ = BOWLINE_OK;
};

// Gives back at its end the working memory that was taken in its scope.
class Scope {
 public:
  explicit Scope(Call& call) : call_(call), taken_(call.taken()) {}
  ~Scope() { call_.give_back(taken_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Call& call_;
  size_t taken_;
};
