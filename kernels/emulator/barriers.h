// The barriers and fences of a block.
#pragma once

#include "engine.h"

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
