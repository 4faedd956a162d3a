// The functions that a compiler calls before each access to memory under -fsanitize=thread. The sanitizer's own
// library is not linked: these tell the checker instead.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "report.h"

using emulator::check::Kind;

#define CHECK(address, bytes, kind)                                                                             \
  emulator::check::access_at(const_cast<const void*>(static_cast<const volatile void*>(address)), bytes, kind, \
                             {__builtin_return_address(0), nullptr})

#define PLAIN_HOOKS(bytes)                                                                  \
  void __tsan_read##bytes(void* address) { CHECK(address, bytes, Kind::read); }             \
  void __tsan_write##bytes(void* address) { CHECK(address, bytes, Kind::write); }           \
  void __tsan_unaligned_read##bytes(void* address) { CHECK(address, bytes, Kind::read); }   \
  void __tsan_unaligned_write##bytes(void* address) { CHECK(address, bytes, Kind::write); } \
  void __tsan_read_write##bytes(void* address) {                                            \
    CHECK(address, bytes, Kind::read);                                                      \
    CHECK(address, bytes, Kind::write);                                                     \
  }

#define UPDATE_HOOK(bits, T, name, operation)                                 \
  T __tsan_atomic##bits##_##name(volatile T* address, T value, int) {         \
    CHECK(address, sizeof(T), Kind::atomic_update);                            \
    return operation(address, value, __ATOMIC_SEQ_CST);                       \
  }

#define COMPARE_HOOK(bits, T, name)                                                                         \
  int __tsan_atomic##bits##_##name(volatile T* address, T* expected, T value, int, int) {                   \
    CHECK(address, sizeof(T), Kind::atomic_update);                                                          \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }

#define ATOMIC_HOOKS(bits, T)                                                                            \
  T __tsan_atomic##bits##_load(const volatile T* address, int) {                                         \
    CHECK(address, sizeof(T), Kind::atomic_read);                                                        \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                      \
  void __tsan_atomic##bits##_store(volatile T* address, T value, int) {                                  \
    CHECK(address, sizeof(T), Kind::atomic_store);                                                       \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                                  \
  }                                                                                                      \
  T __tsan_atomic##bits##_compare_exchange_val(volatile T* address, T expected, T value, int, int) {     \
    CHECK(address, sizeof(T), Kind::atomic_update);                                                       \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
    return expected;                                                                                     \
  }                                                                                                      \
  COMPARE_HOOK(bits, T, compare_exchange_strong)                                                         \
  COMPARE_HOOK(bits, T, compare_exchange_weak)                                                           \
  UPDATE_HOOK(bits, T, exchange, __atomic_exchange_n)                                                    \
  UPDATE_HOOK(bits, T, fetch_add, __atomic_fetch_add)                                                    \
  UPDATE_HOOK(bits, T, fetch_sub, __atomic_fetch_sub)                                                    \
  UPDATE_HOOK(bits, T, fetch_and, __atomic_fetch_and)                                                    \
  UPDATE_HOOK(bits, T, fetch_or, __atomic_fetch_or)                                                      \
  UPDATE_HOOK(bits, T, fetch_xor, __atomic_fetch_xor)

extern "C" {

PLAIN_HOOKS(1)
PLAIN_HOOKS(2)
PLAIN_HOOKS(4)
PLAIN_HOOKS(8)
PLAIN_HOOKS(16)
ATOMIC_HOOKS(8, uint8_t)
ATOMIC_HOOKS(16, uint16_t)
ATOMIC_HOOKS(32, uint32_t)
ATOMIC_HOOKS(64, uint64_t)

void __tsan_read_range(void* address, size_t bytes) { CHECK(address, bytes, Kind::read); }
void __tsan_write_range(void* address, size_t bytes) { CHECK(address, bytes, Kind::write); }

void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  CHECK(from, bytes, Kind::read);
  CHECK(to, bytes, Kind::write);
  return memcpy(to, from, bytes);
}

void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  CHECK(from, bytes, Kind::read);
  CHECK(to, bytes, Kind::write);
  return memmove(to, from, bytes);
}

void* __tsan_memset(void* memory, int value, size_t bytes) {
  CHECK(memory, bytes, Kind::write);
  return memset(memory, value, bytes);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}
}
