// The memory that kernels see, filled with bytes of 0xff (a NaN in every float) until it is written.
#pragma once

#include <cstddef>

namespace emulator::memory {

void* allocate(size_t bytes, size_t alignment);
void release(void* memory);

// Makes the bytes as new.
void spoil(void* memory, size_t bytes);

}  // namespace emulator::memory
