// The slice of the CUDA runtime: memory, launches that a GPU would refuse, errors.
#include "cases.h"

__global__ void fill_kernel(int* y, int value) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = value + int(gridDim.x);
}

TEST(a_grid_reaches_every_thread) {
  DeviceArray<int> y(5 * 33);
  GPU_LAUNCH(fill_kernel, 5, 33, 0, nullptr, y.get(), 2);
  for (int value : y.values()) expect(value == 7, "filled");
  expect(cudaGetLastError() == cudaSuccess, "no error");
}

__global__ void places_kernel(int* y) {
  const int thread = int((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
  const int block = int((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x);
  y[block * 30 + thread] = block * 30 + thread;
}

TEST(grids_and_blocks_have_three_dimensions) {
  DeviceArray<int> y(24 * 30);
  GPU_LAUNCH(places_kernel, dim3(2, 3, 4), dim3(5, 3, 2), 0, nullptr, y.get());
  const std::vector<int> values = y.values();
  for (int i = 0; i < 24 * 30; i++) expect(values[i] == i, "each place once");
}

static cudaError_t error_of(dim3 grid, dim3 block, size_t shared) {
  DeviceArray<int> y(4096);
  GPU_LAUNCH(fill_kernel, grid, block, shared, nullptr, y.get(), 0);
  const cudaError_t error = cudaGetLastError();
  expect(cudaGetLastError() == cudaSuccess, "an error is told once");
  return error;
}

TELLS(an_empty_grid, "Cannot launch fill_kernel: grid (0, 1, 1)") {
  expect(error_of(0, 32, 0) == cudaErrorInvalidConfiguration, "refused");
}

TELLS(a_block_that_is_too_large, "block (1025, 1, 1)") {
  expect(error_of(1, 1025, 0) == cudaErrorInvalidConfiguration, "refused");
}

TELLS(shared_memory_that_was_not_asked_for, "49153 bytes of dynamic shared memory") {
  expect(error_of(1, 32, 49153) == cudaErrorInvalidValue, "refused");
}

TEST(shared_memory_that_was_asked_for) {
  constexpr int most = 227 << 10;
  expect(cudaFuncSetAttribute(fill_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most + 1) ==
             cudaErrorInvalidValue,
         "too much");
  cudaGetLastError();
  expect(cudaFuncSetAttribute(fill_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most) == cudaSuccess, "all");
  expect(error_of(1, 32, most) == cudaSuccess, "launched");
}

TEST(new_memory_is_full_of_nan) {
  DeviceArray<float> x(100);
  for (float value : x.values()) expect(value != value, "NaN");
}

TELLS(a_copy_beyond_its_memory, "the target is not within device memory: 404 bytes") {
  DeviceArray<float> x(100);
  const std::vector<float> values(101);
  expect(cudaMemcpy(x.get(), values.data(), 404, cudaMemcpyHostToDevice) == cudaErrorInvalidValue, "refused");
}

TELLS(a_copy_from_the_wrong_side, "the source is not within device memory") {
  DeviceArray<float> x(100);
  float value = 0;
  expect(cudaMemcpy(x.get(), &value, 4, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue, "refused");
}

TELLS(memory_that_is_freed_twice, "cudaMalloc did not give it") {
  void* memory;
  cudaMalloc(&memory, 8);
  expect(cudaFree(memory) == cudaSuccess, "freed");
  expect(cudaFree(memory) == cudaErrorInvalidValue, "refused");
}

TEST(nothing_is_allocated_and_copied) {
  void* memory = &memory;
  expect(cudaMalloc(&memory, 0) == cudaSuccess && memory == nullptr, "no bytes are null");
  expect(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyHostToDevice) == cudaSuccess, "no bytes are copied");
  expect(cudaFree(nullptr) == cudaSuccess, "null is freed");
}
