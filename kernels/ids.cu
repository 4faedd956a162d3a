// The check of ids from outside: the first one that is out of range.
#include "include/ids.cuh"

#include "include/threads.cuh"

namespace {

// Overwrites `*bad` with the first place of an id outside `low..high`, or with `n`. One block.
__global__ void first_bad_kernel(int64_t* bad, const int32_t* ids, int64_t n, int64_t low, int64_t high) {
  int64_t first = n;
  for (int64_t i = threadIdx.x; i < n; i += BLOCK) {
    if (first == n && (ids[i] < low || ids[i] >= high)) first = i;
  }
  first = block_fold(first, [](int64_t a, int64_t b) { return a < b ? a : b; });
  if (threadIdx.x == 0) *bad = first;
}

}  // namespace

bool are_within(Call& call, size_t* host_bad, const int32_t* ids, size_t n, int64_t low, int64_t high) {
  *host_bad = n;
  if (n == 0) return true;
  int64_t* bad = call.scratch_of<int64_t>(1);
  if (!bad) return false;
  GPU_LAUNCH(first_bad_kernel, 1, BLOCK, 0, 0, bad, ids, n, low, high);
  int64_t first = 0;
  if (!call.copy(&first, bad, sizeof first, cudaMemcpyDeviceToHost)) return false;
  *host_bad = static_cast<size_t>(first);
  return *host_bad == n;
}
