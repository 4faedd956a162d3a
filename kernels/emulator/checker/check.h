// The checker's hooks: what the emulator tells it. Nothing at all where the checker is not built in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

namespace emulator::check {

enum class Kind { read, write, atomic_read, atomic_store, atomic_update };

#ifdef EMULATOR_CHECK

// Memory of kernels, from a range of addresses that has shadow cells.
void* allocate(size_t bytes, size_t alignment);
void release(void* memory);

// The host wrote these bytes: from now on they may be read.
void host_wrote(const void* memory, size_t bytes);
// These bytes have no value yet, as shared memory when a block starts.
void forget(const void* memory, size_t bytes);

void launch_started();
void block_started(uint64_t number);
void barrier_passed();
void warp_synchronised(unsigned warp);

// An access that the emulator makes on behalf of the running thread, at a line of the kernel.
void access(const void* memory, size_t bytes, Kind kind, std::source_location site);

// Accesses of the copy engine and the tensor cores, which an mbarrier orders: looked at for bounds and values only.
void delivered(const void* memory, size_t bytes, std::source_location site);
void fetched(const void* memory, size_t bytes, std::source_location site);

#else

inline void host_wrote(const void*, size_t) {}
inline void forget(const void*, size_t) {}
inline void launch_started() {}
inline void block_started(uint64_t) {}
inline void barrier_passed() {}
inline void warp_synchronised(unsigned) {}
inline void delivered(const void*, size_t, std::source_location) {}
inline void fetched(const void*, size_t, std::source_location) {}
inline void access(const void*, size_t, Kind, std::source_location) {}

#endif

}  // namespace emulator::check
