// ldmatrix and mma.sync. Products of bf16 are exact in float; the order of the sums is this model's own, and a tensor
// core's is not documented.
#include "sm_80.h"

#include "checker/check.h"

namespace emulator {

namespace {

constexpr uint32_t whole_warp = 0xffffffffu;

struct Fragments {
  unsigned a[4];
  unsigned b[2];
};

float low_bf16(unsigned pair) { return unpack<float>(uint64_t(pair) << 16 & 0xffffffffu); }
float high_bf16(unsigned pair) { return unpack<float>(pair & 0xffff0000u); }

// The sum of the products of two pairs.
float dot(unsigned a, unsigned b) { return low_bf16(a) * low_bf16(b) + high_bf16(a) * high_bf16(b); }

uint16_t element(const uint64_t* rows, unsigned matrix, unsigned row, unsigned column, Site site) {
  const uint16_t* address = reinterpret_cast<const uint16_t*>(rows[matrix * 8 + row]) + column;
  check::access(address, sizeof *address, check::Kind::read, site);
  return *address;
}

}  // namespace

// Lane 8 m + r gives the address of row r of matrix m, of eight 16-bit elements. Of each matrix a lane gets two
// elements: of row lane / 4 the columns 2 (lane % 4) and the next, or of the transposed matrix these.
void load_matrices(unsigned (&fragments)[4], const void* row, bool is_transposed, Site site) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) {
    fail(site, "ldmatrix: lane %u gives the row %p; wanted a multiple of 16", current->lane, row);
  }
  const char* operation = is_transposed ? "ldmatrix.trans" : "ldmatrix";
  const uint64_t* rows = warp_exchange(operation, whole_warp, reinterpret_cast<uint64_t>(row), site);
  const unsigned major = current->lane / 4;
  const unsigned minor = 2 * (current->lane % 4);
  for (unsigned matrix = 0; matrix < 4; matrix++) {
    const auto at = [&](unsigned second) {
      return is_transposed ? element(rows, matrix, minor + second, major, site)
                           : element(rows, matrix, major, minor + second, site);
    };
    fragments[matrix] = at(0) | unsigned(at(1)) << 16;
  }
}

// m16n8k16: with g = lane / 4 and t = lane % 4, a lane holds of a (16 x 16) the rows g and g + 8, columns 2t and 2t + 8
// with their neighbours; of b (16 x 8) the column g, rows 2t and 2t + 8 with theirs; of the sums (16 x 8) the rows g
// and g + 8, columns 2t and 2t + 1.
void multiply_add(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site) {
  Fragments mine;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  const uint64_t* lanes = warp_exchange("mma", whole_warp, reinterpret_cast<uint64_t>(&mine), site);
  const auto fragments_of = [&](unsigned lane) { return *reinterpret_cast<const Fragments*>(lanes[lane]); };
  const unsigned row = current->lane / 4;
  for (unsigned i = 0; i < 2; i++) {
    const unsigned column = 2 * (current->lane % 4) + i;
    float upper = 0;
    float lower = 0;
    for (unsigned t = 0; t < 4; t++) {
      const Fragments of_row = fragments_of(row * 4 + t);
      const Fragments of_column = fragments_of(column * 4 + t);
      for (unsigned half = 0; half < 2; half++) {
        upper += dot(of_row.a[2 * half], of_column.b[half]);
        lower += dot(of_row.a[2 * half + 1], of_column.b[half]);
      }
    }
    sums[i] += upper;
    sums[2 + i] += lower;
  }
  // Nobody may leave while others read its fragments.
  warp_exchange("mma", whole_warp, 0, site);
}

}  // namespace emulator
