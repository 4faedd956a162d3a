// Devices and their memory.
#include <algorithm>
#include <new>

#include "include/cublas.cuh"

// Blocks of one multiprocessor that a grid asks for.
static constexpr int64_t BLOCKS_PER_PROCESSOR = 8;

static int copy_text(char* out, size_t size, const char* text) {
  if (size > 0) {
    const size_t length = std::min(size - 1, std::strlen(text));
    std::memcpy(out, text, length);
    out[length] = 0;
  }
  return BOWLINE_OK;
}

extern "C" uint32_t bowline_kernels_abi(void) { return BOWLINE_KERNELS_ABI; }

extern "C" uint32_t bowline_device_count(void) {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? static_cast<uint32_t>(count) : 0;
}

extern "C" int bowline_open(bowline_device** device, uint32_t ordinal) {
  *device = new (std::nothrow) bowline_device{};
  if (!*device) return BOWLINE_OUT_OF_MEMORY;
  (*device)->ordinal = static_cast<int>(ordinal);
  (*device)->precision = BOWLINE_F32;
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess && found != cudaErrorNoDevice) {
    (*device)->error =
        std::string("Cannot use a CUDA driver: ") + cudaGetErrorString(found) + "; wanted a driver for CUDA 13";
    return BOWLINE_NO_DRIVER;
  }
  if ((*device)->ordinal >= count) {
    (*device)->error = "Cannot open CUDA device " + std::to_string(ordinal) + ": there are " + std::to_string(count);
    return BOWLINE_NO_DEVICE;
  }
  Call call(*device, "start");
  const auto ask = [&](cudaDeviceAttr attribute) {
    int value = 0;
    call.check(cudaDeviceGetAttribute(&value, attribute, (*device)->ordinal));
    return value;
  };
  (*device)->processors = ask(cudaDevAttrMultiProcessorCount);
  (*device)->max_blocks = BLOCKS_PER_PROCESSOR * (*device)->processors;
  const int major = ask(cudaDevAttrComputeCapabilityMajor), minor = ask(cudaDevAttrComputeCapabilityMinor);
  // the library's only code for it is that of sm_90a
  (*device)->has_wgmma = major == 9 && minor == 0;
  if (call.is_ok() && major != 8 && !(*device)->has_wgmma) {
    call.fail(BOWLINE_UNSUPPORTED, "its compute capability is " + std::to_string(major) + "." + std::to_string(minor) +
                                       "; wanted 8.x or 9.0");
  }
  return call.end();
}

extern "C" int bowline_set_precision(bowline_device* device, int precision) {
  Call call(device, "set the precision");
  if (precision != BOWLINE_F32 && precision != BOWLINE_BF16) {
    call.fail(BOWLINE_UNSUPPORTED, "there is no precision " + std::to_string(precision));
  } else {
    device->precision = precision;
  }
  return call.end();
}

extern "C" int bowline_close(bowline_device* device) {
  Call call(device, "close");
  call.free_scratch();
  close_cublas(call);
  const int status = call.end();
  delete device;
  return status;
}

extern "C" int bowline_error(bowline_device* device, char* host_text, size_t size) {
  return copy_text(host_text, size, device->error.c_str());
}

extern "C" int bowline_info(bowline_device* device, char* host_name, size_t size, uint64_t* host_total,
                            uint64_t* host_free, int32_t* host_driver) {
  Call call(device, "ask for the name and memory");
  cudaDeviceProp properties;
  size_t free_bytes = 0, total_bytes = 0;
  if (call.check(cudaGetDeviceProperties(&properties, device->ordinal)) &&
      call.check(cudaMemGetInfo(&free_bytes, &total_bytes)) && call.check(cudaDriverGetVersion(host_driver))) {
    copy_text(host_name, size, properties.name);
    *host_total = total_bytes;
    *host_free = free_bytes;
  }
  return call.end();
}

extern "C" int bowline_working(bowline_device* device, uint64_t* host_bytes) {
  *host_bytes = std::max(device->scratch_bytes, device->scratch_wanted);
  return BOWLINE_OK;
}

extern "C" int bowline_alloc(bowline_device* device, void** memory, size_t bytes) {
  *memory = nullptr;
  if (bytes == 0) return BOWLINE_OK;
  Call call(device, "allocate");
  if (call.check(cudaMalloc(memory, bytes))) call.check(cudaMemset(*memory, 0, bytes));
  return call.end();
}

extern "C" int bowline_release(bowline_device* device, void* memory) {
  Call call(device, "free memory");
  call.check(cudaFree(memory));
  return call.end();
}

extern "C" int bowline_upload(bowline_device* device, void* out, const void* host_x, size_t bytes) {
  Call call(device, "upload");
  call.copy(out, host_x, bytes, cudaMemcpyHostToDevice);
  return call.end();
}

extern "C" int bowline_download(bowline_device* device, void* host_out, const void* x, size_t bytes) {
  Call call(device, "download");
  call.copy(host_out, x, bytes, cudaMemcpyDeviceToHost);
  return call.end();
}
