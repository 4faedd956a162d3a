// wgmma m64nNk16 of bf16, both operands in dynamic shared memory, K-major, with the swizzle of 128 bytes.
#include "sm_90a.h"

#include "block.h"
#include "checker/check.h"
#include "sm_90.h"

namespace emulator {

namespace {

constexpr uint32_t whole_warp = 0xffffffffu;
constexpr int depth = 16;

// A descriptor of shared memory: the start and the distance of groups of eight rows, both in units of 16 bytes.
struct Operand {
  uint64_t start;
  uint64_t stride;
};

Operand operand_of(uint64_t descriptor, Site site) {
  const Operand operand{(descriptor & 0x3fff) << 4, (descriptor >> 32 & 0x3fff) << 4};
  if (descriptor >> 62 != 1) fail(site, "wgmma descriptor %016lx: only the swizzle of 128 bytes is modelled", descriptor);
  if (operand.stride % 1024 != 0) fail(site, "wgmma descriptor: stride %lu; wanted a multiple of 1024", operand.stride);
  if ((operand.start >> 7 & 7) != 0) {
    fail(site, "wgmma descriptor: start %lu; wanted a tile that is aligned to 1024 bytes", operand.start);
  }
  return operand;
}

float element(Operand operand, int row, int k, Site site) {
  const uint64_t place = operand.start + row / 8 * operand.stride + row % 8 * 128 + k * 2;
  const char* address = static_cast<const char*>(dynamic_shared()) + swizzle_128(place);
  check::fetched(address, 2, site);
  uint16_t bits;
  memcpy(&bits, address, sizeof bits);
  return unpack<float>(uint64_t(bits) << 16);
}

// A thread's sums: of each eight columns two, in two rows.
void carry_out(const PendingProduct& product) {
  const Operand a = operand_of(product.a, product.site);
  const Operand b = operand_of(product.b, product.site);
  const int warp = current->linear / warp_threads % 4;
  const int first_row = warp * 16 + current->lane / 4;
  float rows[2][depth];
  for (int half = 0; half < 2; half++) {
    for (int k = 0; k < depth; k++) rows[half][k] = element(a, first_row + 8 * half, k, product.site);
  }
  for (int eight = 0; eight < product.columns / 8; eight++) {
    for (int i = 0; i < 2; i++) {
      const int column = eight * 8 + 2 * (current->lane % 4) + i;
      float sums[2] = {0, 0};
      for (int k = 0; k < depth; k++) {
        const float value = element(b, column, k, product.site);
        for (int half = 0; half < 2; half++) sums[half] += rows[half][k] * value;
      }
      for (int half = 0; half < 2; half++) {
        float& sum = product.sums[eight * 4 + 2 * half + i];
        sum = (product.adds ? sum : 0.0f) + sums[half];
      }
    }
  }
}

}  // namespace

void multiply_async(float* sums, int columns, uint64_t a, uint64_t b, bool adds, Site site) {
  warp_exchange("wgmma", whole_warp, 0, site);
  Block& block = this_block();
  ThreadAsync& async = block.async[current->linear];
  const PendingProduct product{sums, columns, a, b, adds, async.product_group, site};
  if (block.is_early) {
    carry_out(product);
  } else {
    async.products.push_back(product);
  }
}

void commit_products() { this_block().async[current->linear].product_group++; }

void wait_for_products(unsigned groups, Site site) {
  ThreadAsync& async = this_block().async[current->linear];
  std::vector<PendingProduct> later;
  for (const PendingProduct& product : async.products) {
    if (product.group + groups < async.product_group) {
      carry_out(product);
    } else {
      later.push_back(product);
    }
  }
  async.products.swap(later);
  warp_exchange("wgmma.wait_group", whole_warp, 0, site);
}

void fence_products(Site site) { warp_exchange("wgmma.fence", whole_warp, 0, site); }

}  // namespace emulator
