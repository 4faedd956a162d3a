// Where threads meet: the barriers and fences of a block, the shuffles, votes and reductions of a warp.
#pragma once

#include "engine.h"

namespace emulator {

// What `lane` gave to the exchange, which must be one of its lanes.
template <class T>
T value_of(const uint64_t* values, const char* operation, unsigned mask, unsigned lane, Site site) {
  if (!(mask >> lane & 1)) fail(site, "%s reads lane %u, which is not in mask %08x", operation, lane, mask);
  return unpack<T>(values[lane]);
}

template <class T, class Combine>
T warp_reduce(const char* operation, unsigned mask, T value, Site site, Combine combine) {
  const uint64_t* values = warp_exchange(operation, mask, pack(value), site);
  const unsigned first = __builtin_ctz(mask);
  T result = unpack<T>(values[first]);
  for (unsigned lane = first + 1; lane < warp_threads; lane++) {
    if (mask >> lane & 1) result = combine(result, unpack<T>(values[lane]));
  }
  return result;
}

}  // namespace emulator

inline void __syncthreads(emulator::Site site = emulator::Site::current()) {
  emulator::block_barrier("__syncthreads", false, site);
}

inline int __syncthreads_count(int vote, emulator::Site site = emulator::Site::current()) {
  return int(emulator::block_barrier("__syncthreads_count", vote != 0, site).yes);
}

inline int __syncthreads_or(int vote, emulator::Site site = emulator::Site::current()) {
  return emulator::block_barrier("__syncthreads_or", vote != 0, site).yes > 0;
}

inline int __syncthreads_and(int vote, emulator::Site site = emulator::Site::current()) {
  const emulator::Votes votes = emulator::block_barrier("__syncthreads_and", vote != 0, site);
  return votes.yes == votes.threads;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, emulator::Site site = emulator::Site::current()) {
  emulator::warp_exchange("__syncwarp", mask, 0, site);
}

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __threadfence(); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, emulator::Site site = emulator::Site::current()) {
  const uint64_t* values = emulator::warp_exchange("__shfl_sync", mask, emulator::pack(value), site);
  const unsigned first = emulator::current->lane & ~(width - 1);
  return emulator::value_of<T>(values, "__shfl_sync", mask, first | (source & (width - 1)), site);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  emulator::Site site = emulator::Site::current()) {
  const uint64_t* values = emulator::warp_exchange("__shfl_xor_sync", mask, emulator::pack(value), site);
  const unsigned me = emulator::current->lane;
  const unsigned source = me ^ bits;
  // Lanes of an earlier segment may be read, those of a later one may not.
  if (source / width > me / width) return value;
  return emulator::value_of<T>(values, "__shfl_xor_sync", mask, source, site);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   emulator::Site site = emulator::Site::current()) {
  const uint64_t* values = emulator::warp_exchange("__shfl_down_sync", mask, emulator::pack(value), site);
  const unsigned me = emulator::current->lane;
  if ((me & (width - 1)) + distance >= unsigned(width)) return value;
  return emulator::value_of<T>(values, "__shfl_down_sync", mask, me + distance, site);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 emulator::Site site = emulator::Site::current()) {
  const uint64_t* values = emulator::warp_exchange("__shfl_up_sync", mask, emulator::pack(value), site);
  const unsigned me = emulator::current->lane;
  if ((me & (width - 1)) < distance) return value;
  return emulator::value_of<T>(values, "__shfl_up_sync", mask, me - distance, site);
}

inline unsigned __ballot_sync(unsigned mask, int vote, emulator::Site site = emulator::Site::current()) {
  const unsigned mine = vote != 0 ? 1u << emulator::current->lane : 0;
  return emulator::warp_reduce("__ballot_sync", mask, mine, site, [](unsigned a, unsigned b) { return a | b; });
}

inline int __any_sync(unsigned mask, int vote, emulator::Site site = emulator::Site::current()) {
  return __ballot_sync(mask, vote, site) != 0;
}

inline int __all_sync(unsigned mask, int vote, emulator::Site site = emulator::Site::current()) {
  return __ballot_sync(mask, vote, site) == (mask & emulator::current->warp->all);
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value, emulator::Site site = emulator::Site::current()) {
  const uint64_t mine = emulator::pack(value);
  const uint64_t* values = emulator::warp_exchange("__match_any_sync", mask, mine, site);
  unsigned equal = 0;
  for (unsigned lane = 0; lane < emulator::warp_threads; lane++) {
    if ((mask >> lane & 1) && values[lane] == mine) equal |= 1u << lane;
  }
  return equal;
}

#define EMULATOR_REDUCE(name, T, expression)                                                       \
  inline T name(unsigned mask, T value, emulator::Site site = emulator::Site::current()) {         \
    return emulator::warp_reduce(#name, mask, value, site, [](T a, T b) { return T(expression); }); \
  }

EMULATOR_REDUCE(__reduce_add_sync, unsigned, a + b)
EMULATOR_REDUCE(__reduce_add_sync, int, unsigned(a) + unsigned(b))
EMULATOR_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
EMULATOR_REDUCE(__reduce_max_sync, int, a > b ? a : b)
EMULATOR_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
EMULATOR_REDUCE(__reduce_min_sync, int, a < b ? a : b)
EMULATOR_REDUCE(__reduce_and_sync, unsigned, a& b)
EMULATOR_REDUCE(__reduce_or_sync, unsigned, a | b)
EMULATOR_REDUCE(__reduce_xor_sync, unsigned, a ^ b)

#undef EMULATOR_REDUCE

inline unsigned __activemask() { return emulator::current->warp->all & ~emulator::current->warp->exited; }
