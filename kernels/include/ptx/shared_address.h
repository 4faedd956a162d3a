// Addresses of shared memory as PTX instructions take them.
#pragma once

__device__ __forceinline__ unsigned gpu_saddr(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}
