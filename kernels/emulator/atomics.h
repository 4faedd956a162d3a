// Atomic operations, relaxed as CUDA's are. They are inlined, so that the checker finds the line that calls them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#define EMULATOR_INLINE inline __attribute__((always_inline))

namespace emulator {

template <size_t bytes>
using Bits = std::conditional_t<bytes == 8, uint64_t, std::conditional_t<bytes == 4, uint32_t, uint16_t>>;

// Replaces a value by a function of it and returns what was there.
template <class T, class Change>
EMULATOR_INLINE T replace_atomically(T* address, Change change) {
  using Word = Bits<sizeof(T)>;
  static_assert(sizeof(T) == sizeof(Word));
  Word* word = reinterpret_cast<Word*>(address);
  Word old_bits = __atomic_load_n(word, __ATOMIC_RELAXED);
  Word new_bits;
  T old_value;
  do {
    memcpy(&old_value, &old_bits, sizeof(T));
    const T new_value = change(old_value);
    memcpy(&new_bits, &new_value, sizeof(T));
  } while (!__atomic_compare_exchange_n(word, &old_bits, new_bits, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old_value;
}

}  // namespace emulator

template <class T>
EMULATOR_INLINE T atomicAdd(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return T(old + value); });
}

template <class T>
EMULATOR_INLINE T atomicSub(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return T(old - value); });
}

template <class T>
EMULATOR_INLINE T atomicMax(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return old > value ? old : value; });
}

template <class T>
EMULATOR_INLINE T atomicMin(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return old < value ? old : value; });
}

template <class T>
EMULATOR_INLINE T atomicAnd(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return T(old & value); });
}

template <class T>
EMULATOR_INLINE T atomicOr(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return T(old | value); });
}

template <class T>
EMULATOR_INLINE T atomicExch(T* address, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T) { return value; });
}

template <class T>
EMULATOR_INLINE T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return emulator::replace_atomically(address, [=](T old) { return old == expected ? value : old; });
}

#undef EMULATOR_INLINE
