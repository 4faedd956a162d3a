// Copies in bf16: eight elements, 16 bytes, at a time.
#include "include/cast.cuh"

#include "include/vectors.cuh"

namespace {

// Side of the tiles that are transposed, and their rows in shared memory: an odd number of elements, so that the reads
// of eight rows fall into different banks.
constexpr int SIDE = 64;
constexpr int PITCH = SIDE + 1;

// Overwrites `out` (rows, columns). `is_aligned`: rows of `x` have whole eights and start at multiples of 16 bytes.
__global__ void round_rows_kernel(uint4* __restrict__ out, const float* __restrict__ x,
                                  const int32_t* __restrict__ end, int64_t rows, int64_t k, int64_t columns,
                                  bool is_aligned) {
  const int64_t eights = columns / EIGHT, last = end ? *end : rows;
  for (int64_t i = first_element(); i < rows * eights; i += element_stride()) {
    const int64_t row = i / eights, first = i % eights * EIGHT;
    const float* from = x + row * k + first;
    float4 low = {0.0f, 0.0f, 0.0f, 0.0f}, high = low;
    if (row < last && is_aligned) {
      low = __ldg(vectors(from));
      high = __ldg(vectors(from) + 1);
    } else if (row < last) {
      const auto at = [&](int j) { return first + j < k ? from[j] : 0.0f; };
      low = {at(0), at(1), at(2), at(3)};
      high = {at(4), at(5), at(6), at(7)};
    }
    out[i] = {round_pair(low.x, low.y), round_pair(low.z, low.w), round_pair(high.x, high.y),
              round_pair(high.z, high.w)};
  }
}

// Where a tile comes from: `x` (.., width), rows `row..row_end`, columns from `column`.
struct Source {
  const float* x;
  int64_t width, row, row_end, column;
  // Rows start at multiples of 16 bytes.
  bool is_aligned;
};

// Writes a tile of SIDE x SIDE to `out`, transposed: its element (j, i) is element (i, j) of the source. Rows of `out`
// are `stride` apart; `room` columns of it are written, and rows up to the width of the source. All threads of the
// block call it.
__device__ void transpose_tile(Bf16* out, int64_t stride, int64_t room, const Source& source) {
  GPU_SHARED(Bf16, tile, [SIDE][PITCH]);
  for (int i = static_cast<int>(threadIdx.x); i < SIDE * SIDE / 4; i += BLOCK) {
    const int y = i / (SIDE / 4), x = i % (SIDE / 4) * 4;
    const int64_t left = source.width - source.column - x;
    const float* from = source.x + (source.row + y) * source.width + source.column + x;
    float4 values = {0.0f, 0.0f, 0.0f, 0.0f};
    if (source.row + y < source.row_end && left > 0) {
      if (source.is_aligned) {
        values = __ldg(vectors(from));
      } else {
        values = {from[0], left > 1 ? from[1] : 0.0f, left > 2 ? from[2] : 0.0f, left > 3 ? from[3] : 0.0f};
      }
    }
    tile[y][x] = __float2bfloat16_rn(values.x);
    tile[y][x + 1] = __float2bfloat16_rn(values.y);
    tile[y][x + 2] = __float2bfloat16_rn(values.z);
    tile[y][x + 3] = __float2bfloat16_rn(values.w);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < SIDE * SIDE / EIGHT; i += BLOCK) {
    const int x = i / (SIDE / EIGHT), y = i % (SIDE / EIGHT) * EIGHT;
    if (source.column + x >= source.width || y >= room) continue;
    const auto pair = [&](int j) { return pair_of(tile[y + j][x], tile[y + j + 1][x]); };
    *reinterpret_cast<uint4*>(out + x * stride + y) = {pair(0), pair(2), pair(4), pair(6)};
  }
  __syncthreads();  // the tile was read
}

// Overwrites `out` (count * rows, columns) with `count` matrices `x` (k, rows). A block to a tile.
__global__ void round_columns_kernel(Bf16* __restrict__ out, const float* __restrict__ x, int64_t count,
                                     int64_t k, int64_t rows, int64_t columns, bool is_aligned) {
  const int64_t across = (rows + SIDE - 1) / SIDE, each = (k + SIDE - 1) / SIDE * across;
  for (int64_t number = blockIdx.x; number < count * each; number += gridDim.x) {
    const int64_t matrix = number / each, row = number % each / across * SIDE, column = number % across * SIDE;
    transpose_tile(out + (matrix * rows + column) * columns + row, columns, columns - row,
                   {x + matrix * k * rows, rows, row, k, column, is_aligned});
  }
}

// Overwrites the columns of each expert in `out` (width, columns). A block to a tile.
__global__ void round_groups_kernel(Bf16* __restrict__ out, const float* __restrict__ x,
                                    const int32_t* __restrict__ offsets, int64_t e, int64_t width, int64_t columns,
                                    bool is_aligned) {
  const int64_t across = (width + SIDE - 1) / SIDE;
  for (int64_t number = blockIdx.x; number < columns / SIDE * across; number += gridDim.x) {
    const int64_t first = number / across * SIDE, column = number % across * SIDE;
    // the last expert that starts here or before
    int64_t expert = 0;
    for (int64_t above = e; above - expert > 1;) {
      const int64_t middle = (expert + above) / 2;
      (padded_start(offsets[middle], middle) <= first ? expert : above) = middle;
    }
    const int64_t row = offsets[expert] + first - padded_start(offsets[expert], expert), row_end = offsets[expert + 1];
    if (row >= row_end) continue;
    transpose_tile(out + column * columns + first, columns, SIDE, {x, width, row, row_end, column, is_aligned});
  }
}
static_assert(GROUP_PAD == SIDE, "a tile belongs to one expert");

}  // namespace

Factor round_rows(Call& call, const float* x, int64_t rows, int64_t k, const int32_t* end) {
  const int64_t columns = rounded_width(k);
  Bf16* out = call.scratch_of<Bf16>(rows * columns);
  if (out && rows * columns > 0) {
    const bool is_aligned = k % EIGHT == 0 && is_by_vectors(k, x);
    uint4* eights = reinterpret_cast<uint4*>(out);
    GPU_LAUNCH(round_rows_kernel, call.grid(rows * columns / EIGHT, BLOCK), BLOCK, 0, 0, eights, x, end, rows, k,
               columns, is_aligned);
  }
  return {out, rows, columns};
}

Factor round_columns(Call& call, const float* x, int64_t count, int64_t k, int64_t rows) {
  const int64_t columns = rounded_width(k), tiles = count * (padded(k, SIDE) / SIDE) * (padded(rows, SIDE) / SIDE);
  Bf16* out = call.scratch_of<Bf16>(count * rows * columns);
  if (out && tiles > 0) {
    const bool is_aligned = is_by_vectors(rows, x);
    GPU_LAUNCH(round_columns_kernel, call.grid(tiles, 1), BLOCK, 0, 0, out, x, count, k, rows, columns, is_aligned);
  }
  return {out, count * rows, columns};
}

Factor round_groups(Call& call, const float* x, const int32_t* offsets, int64_t e, int64_t most_rows, int64_t width) {
  const int64_t columns = padded_start(most_rows, e), tiles = columns / SIDE * (padded(width, SIDE) / SIDE);
  Bf16* out = call.scratch_of<Bf16>(width * columns);
  if (out && tiles > 0) {
    const bool is_aligned = is_by_vectors(width, x);
    GPU_LAUNCH(round_groups_kernel, call.grid(tiles, 1), BLOCK, 0, 0, out, x, offsets, e, width, columns, is_aligned);
  }
  return {out, width, columns};
}
