// The CUDA runtime's errors, devices, streams and events, as far as one device that never runs behind has them.
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace emulator {

namespace {

thread_local cudaError_t last_error = cudaSuccess;

// As sm_90 has them.
constexpr size_t default_dynamic_shared = 48 << 10;
constexpr int most_shared = 227 << 10;
constexpr int multiprocessors = 3;  // few, so that persistent kernels go round

int first_capability() {
  const char* text = getenv("BOWLINE_EMULATOR_CC");
  return text ? int(strtol(text, nullptr, 10)) : 90;
}

int capability = first_capability();

std::mutex mutex;
std::map<const void*, int> dynamic_shared_limits;

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

void set_last_error(cudaError_t error) { last_error = error; }

cudaError_t set_kernel_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || value > most_shared) return remember(cudaErrorInvalidValue);
  const std::lock_guard lock(mutex);
  dynamic_shared_limits[kernel] = value;
  return cudaSuccess;
}

size_t most_dynamic_shared(const void* kernel) {
  const std::lock_guard lock(mutex);
  const auto found = dynamic_shared_limits.find(kernel);
  return found == dynamic_shared_limits.end() ? default_dynamic_shared : size_t(found->second);
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = size_t(8) << 30;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new char);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete reinterpret_cast<char*>(stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new char);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<char*>(event);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

// BOWLINE_EMULATOR_MISSING is a part that is not there: `driver` or `device`.
cudaError_t cudaGetDeviceCount(int* count) {
  const char* missing = getenv("BOWLINE_EMULATOR_MISSING");
  *count = missing ? 0 : 1;
  if (!missing) return cudaSuccess;
  return remember(strcmp(missing, "driver") == 0 ? cudaErrorInsufficientDriver : cudaErrorNoDevice);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return remember(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return remember(cudaErrorInvalidDevice);
  *properties = {"emulator"};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return remember(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
    case cudaDevAttrComputeCapabilityMajor: *value = capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = capability % 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = most_shared; break;
  }
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorUnknown: break;
  }
  return "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

void emulator_set_capability(unsigned value) { capability = int(value); }
