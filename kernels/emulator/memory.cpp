// The memory that kernels see, and the slice of the CUDA runtime that hands it out.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "block.h"
#include "checker/check.h"
#include "runtime.h"

namespace emulator::memory {

void* allocate(size_t bytes, size_t alignment) {
#ifdef EMULATOR_CHECK
  void* memory = check::allocate(bytes, alignment);
#else
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* memory = aligned_alloc(alignment, whole > 0 ? whole : alignment);
#endif
  if (memory) spoil(memory, bytes);
  return memory;
}

void release(void* memory) {
#ifdef EMULATOR_CHECK
  check::release(memory);
#else
  free(memory);
#endif
}

void spoil(void* memory, size_t bytes) {
  memset(memory, 0xff, bytes);
  check::forget(memory, bytes);
}

namespace {

std::mutex mutex;
std::map<const char*, size_t> device_memory;  // bytes of what cudaMalloc gave, by address

// Whether a range lies within one allocation of the device.
bool is_on_device(const void* memory, size_t bytes) {
  const std::lock_guard lock(mutex);
  const char* start = static_cast<const char*>(memory);
  auto next = device_memory.upper_bound(start);
  if (next == device_memory.begin()) return false;
  const auto& [base, size] = *--next;
  return size_t(start - base) + bytes <= size;
}

cudaError_t refuse(const char* call, const char* reason, const void* memory, size_t bytes) {
  fprintf(stderr, "emulator: Cannot do %s: %s: %zu bytes at %p\n", call, reason, bytes, memory);
  set_last_error(cudaErrorInvalidValue);
  return cudaErrorInvalidValue;
}

}  // namespace

}  // namespace emulator::memory

using namespace emulator;

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  void* start = memory::allocate(bytes, 256);
  if (!start) {
    set_last_error(cudaErrorMemoryAllocation);
    return cudaErrorMemoryAllocation;
  }
  const std::lock_guard lock(memory::mutex);
  memory::device_memory[static_cast<char*>(start)] = bytes;
  *memory = start;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (!memory) return cudaSuccess;
  {
    const std::lock_guard lock(memory::mutex);
    if (memory::device_memory.erase(static_cast<char*>(memory)) == 0) {
      return memory::refuse("cudaFree", "cudaMalloc did not give it", memory, 0);
    }
  }
  memory::release(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return cudaSuccess;
  const bool is_to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool is_from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (is_to_device && !memory::is_on_device(to, bytes)) {
    return memory::refuse("cudaMemcpy", "the target is not within device memory", to, bytes);
  }
  if (is_from_device && !memory::is_on_device(from, bytes)) {
    return memory::refuse("cudaMemcpy", "the source is not within device memory", from, bytes);
  }
  memmove(to, from, bytes);
  check::host_wrote(to, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  if (!memory::is_on_device(memory, bytes)) {
    return memory::refuse("cudaMemset", "the target is not within device memory", memory, bytes);
  }
  memset(memory, value, bytes);
  check::host_wrote(memory, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  return cudaMemset(memory, value, bytes);
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) { return cudaMalloc(memory, bytes); }

cudaError_t cudaFreeAsync(void* memory, cudaStream_t) { return cudaFree(memory); }

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = malloc(bytes);
  return *memory || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void* memory) {
  free(memory);
  return cudaSuccess;
}
