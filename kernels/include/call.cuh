// One call of the C interface: the device it runs on, the shape of its launches, its working memory and its first
// error.
#pragma once

#include <cstring>
#include <string>

#include "gpu.h"
#include "kernels.h"

struct bowline_device {
  int ordinal;
  // Blocks of the largest grid: enough to fill the device; kernels stride over the rest.
  int64_t max_blocks;
  // Working memory of one call, kept for the next one.
  char* scratch;
  size_t scratch_bytes;
  // Of products.
  int precision;
  // Reason of the last failure.
  std::string error;
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

  // Of this call.
  bowline_device* device() const { return device_; }

  // Working memory of `bytes` bytes of unspecified content until the next call, or null after an error.
  char* scratch(size_t bytes) {
    if (bytes > device_->scratch_bytes) {
      check(cudaFree(device_->scratch));
      device_->scratch = nullptr;
      device_->scratch_bytes = 0;
      void* memory = nullptr;
      if (!check(cudaMalloc(&memory, bytes))) return nullptr;
      device_->scratch = static_cast<char*>(memory);
      device_->scratch_bytes = bytes;
    }
    return status_ == BOWLINE_OK ? device_->scratch : nullptr;
  }

  template <class T>
  T* scratch_of(size_t n) {
    return reinterpret_cast<T*>(scratch(n * sizeof(T)));
  }

  // Copies between host and device memory and waits for it.
  bool copy(void* out, const void* x, size_t bytes, cudaMemcpyKind kind) {
    return bytes == 0 || check(cudaMemcpy(out, x, bytes, kind));
  }

 private:
  bowline_device* device_;
  const char* action_;
  bowline_status status_ = BOWLINE_OK;
};
