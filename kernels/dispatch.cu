// The dispatch plan by a counting sort of the slots by expert, stable by slot, and moving rows by it.
//
// Story of the sort: slots go in pieces, one block each. 1. every piece counts its slots of each expert; 2. one block
// turns the counts into the first row of each (piece, expert); 3. every slot adds its rank among the slots before it in
// its piece.
#include "include/vectors.cuh"

namespace {

// Slots of a piece.
constexpr int PIECE = BLOCK;

// Overwrites `counts` (pieces, E).
__global__ void count_kernel(int32_t* counts, const int32_t* ids, int64_t n, int64_t e, int64_t pieces) {
  GPU_SHARED(int32_t, piece_ids, [PIECE]);
  for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
    const int64_t slot = piece * PIECE + threadIdx.x;
    piece_ids[threadIdx.x] = slot < n ? ids[slot] : -1;
    __syncthreads();
    for (int64_t expert = threadIdx.x; expert < e; expert += BLOCK) {
      int32_t count = 0;
      for (int i = 0; i < PIECE; i++) count += piece_ids[i] == expert;
      counts[piece * e + expert] = count;
    }
    __syncthreads();
  }
}

// Overwrites `offsets` (E+1), and `counts` with first rows. One block.
__global__ void scan_kernel(int32_t* offsets, int32_t* counts, int64_t e, int64_t pieces) {
  for (int64_t expert = threadIdx.x; expert < e; expert += BLOCK) {
    int32_t total = 0;
    for (int64_t piece = 0; piece < pieces; piece++) total += counts[piece * e + expert];
    offsets[expert + 1] = total;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    offsets[0] = 0;
    for (int64_t expert = 0; expert < e; expert++) offsets[expert + 1] += offsets[expert];
  }
  __syncthreads();
  for (int64_t expert = threadIdx.x; expert < e; expert += BLOCK) {
    int32_t next = offsets[expert];
    for (int64_t piece = 0; piece < pieces; piece++) {
      const int32_t count = counts[piece * e + expert];
      counts[piece * e + expert] = next;
      next += count;
    }
  }
}

__global__ void scatter_kernel(int32_t* slot_of_row, int32_t* row_of_slot, const int32_t* first_rows,
                               const int32_t* ids, int64_t n, int64_t e, int64_t pieces) {
  GPU_SHARED(int32_t, piece_ids, [PIECE]);
  for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
    const int64_t slot = piece * PIECE + threadIdx.x;
    const int32_t id = slot < n ? ids[slot] : -1;
    piece_ids[threadIdx.x] = id;
    __syncthreads();
    if (slot < n) {
      int32_t row = first_rows[piece * e + id];
      for (int i = 0; i < static_cast<int>(threadIdx.x); i++) row += piece_ids[i] == id;
      slot_of_row[row] = static_cast<int32_t>(slot);
      row_of_slot[slot] = row;
    }
    __syncthreads();
  }
}

// A warp copies a row of `d` Ts.
template <class T>
__global__ void permute_kernel(T* rows, const T* x, const int32_t* slot_of_row, int64_t n, int64_t k, int64_t d) {
  for (int64_t row = first_row(); row < n; row += row_stride()) {
    const T* from = x + slot_of_row[row] / k * d;
    for (int64_t c = lane_id(); c < d; c += 32) rows[row * d + c] = __ldg(from + c);
  }
}

// A warp adds up the rows of a token, of `d` Ts each.
template <class T>
__global__ void combine_kernel(T* out, const T* rows, const int32_t* row_of_slot, int64_t t, int64_t k, int64_t d) {
  for (int64_t token = first_row(); token < t; token += row_stride()) {
    for (int64_t c = lane_id(); c < d; c += 32) {
      T sum = filled<T>(0.0f);
      for (int64_t i = 0; i < k; i++) sum = plus(sum, __ldg(rows + row_of_slot[token * k + i] * d + c));
      out[token * d + c] = plus(out[token * d + c], sum);
    }
  }
}

}  // namespace

extern "C" int bowline_dispatch_plan(bowline_device* device, int32_t* offsets, int32_t* slot_of_row,
                                     int32_t* row_of_slot, const int32_t* expert_ids, size_t n, size_t e) {
  Call call(device, "sort choices");
  const int64_t pieces = (n + PIECE - 1) / PIECE;
  int32_t* counts = call.scratch_of<int32_t>(pieces * e);
  if (pieces > 0 && !counts) return call.end();
  if (pieces > 0) GPU_LAUNCH(count_kernel, call.grid(pieces, 1), BLOCK, 0, 0, counts, expert_ids, n, e, pieces);
  GPU_LAUNCH(scan_kernel, 1, BLOCK, 0, 0, offsets, counts, e, pieces);
  if (pieces > 0) {
    GPU_LAUNCH(scatter_kernel, call.grid(pieces, 1), BLOCK, 0, 0, slot_of_row, row_of_slot, counts, expert_ids, n, e,
               pieces);
  }
  return call.end();
}

extern "C" int bowline_permute(bowline_device* device, float* rows, const float* x, const int32_t* slot_of_row,
                               size_t n, size_t k, size_t d) {
  if (n == 0) return BOWLINE_OK;
  Call call(device, "permute");
  if (is_by_vectors(d, rows, x)) {
    GPU_LAUNCH(permute_kernel<float4>, call.grid(n, WARPS), BLOCK, 0, 0, vectors(rows), vectors(x), slot_of_row, n, k,
               d / WIDTH<float4>);
  } else {
    GPU_LAUNCH(permute_kernel<float>, call.grid(n, WARPS), BLOCK, 0, 0, rows, x, slot_of_row, n, k, d);
  }
  return call.end();
}

extern "C" int bowline_combine(bowline_device* device, float* out, const float* rows, const int32_t* row_of_slot,
                               size_t t, size_t k, size_t d) {
  if (t == 0) return BOWLINE_OK;
  Call call(device, "combine");
  if (is_by_vectors(d, out, rows)) {
    GPU_LAUNCH(combine_kernel<float4>, call.grid(t, WARPS), BLOCK, 0, 0, vectors(out), vectors(rows), row_of_slot, t, k,
               d / WIDTH<float4>);
  } else {
    GPU_LAUNCH(combine_kernel<float>, call.grid(t, WARPS), BLOCK, 0, 0, out, rows, row_of_slot, t, k, d);
  }
  return call.end();
}
