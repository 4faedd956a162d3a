// TMA loads: chunks of 16 bytes at swizzled places, zeros outside the matrix.
#include "sm_90.h"

#include "block.h"
#include "checker/check.h"

namespace emulator {

namespace {

constexpr unsigned chunk_bytes = 16;
constexpr unsigned chunk_columns = chunk_bytes / 2;

void carry_out(const TensorLoad& load) {
  const TensorMap& map = load.map;
  char* shared = static_cast<char*>(dynamic_shared());
  for (unsigned row = 0; row < map.box_rows; row++) {
    for (unsigned column = 0; column < map.box_columns; column += chunk_columns) {
      const uint64_t place = uint64_t(load.to - shared) + row * map.box_columns * 2 + column * 2;
      char* to = shared + swizzle_128(place);
      const int64_t x = int64_t(load.x) + column;
      const int64_t y = int64_t(load.y) + row;
      check::delivered(to, chunk_bytes, load.site);
      if (x >= 0 && y >= 0 && uint64_t(x) < map.columns && uint64_t(y) < map.rows) {
        const char* from = map.base + (y * map.columns + x) * 2;
        check::access(from, chunk_bytes, check::Kind::read, load.site);
        memcpy(to, from, chunk_bytes);
      } else {
        memset(to, 0, chunk_bytes);
      }
    }
  }
  mbarrier_complete(load.barrier, map.box_columns * map.box_rows * 2, load.site);
}

}  // namespace

int make_tensor_map(CUtensorMap* map, const void* base, uint64_t columns, uint64_t rows, unsigned box_columns,
                    unsigned box_rows) {
  const bool is_aligned = reinterpret_cast<uintptr_t>(base) % 16 == 0 && columns * 2 % 16 == 0;
  const bool has_size = columns > 0 && rows > 0 && box_rows > 0 && box_columns > 0;
  const bool fits_swizzle = box_columns * 2 % chunk_bytes == 0 && box_columns * 2 <= 128;
  if (!is_aligned || !has_size || !fits_swizzle || box_rows > 256) return 1;
  const TensorMap content{static_cast<const char*>(base), columns, rows, box_columns, box_rows};
  *map = CUtensorMap{};
  memcpy(map->opaque, &content, sizeof content);
  return 0;
}

void load_tensor(void* shared, const CUtensorMap* map, unsigned long long* barrier, int x, int y, Site site) {
  if (gpu_saddr(shared) % 128 != 0) {
    fail(site, "TMA load to byte %u of shared memory; wanted a multiple of 128", gpu_saddr(shared));
  }
  TensorLoad load{static_cast<char*>(shared), {}, barrier, x, y, site};
  memcpy(&load.map, map->opaque, sizeof load.map);
  if (x % int(chunk_columns) != 0) fail(site, "TMA load from column %d; the model wants a multiple of 8", x);
  Block& block = this_block();
  if (block.is_early) {
    carry_out(load);
  } else {
    block.tensor_loads.push_back(load);
  }
}

void deliver_loads(unsigned long long* barrier) {
  std::vector<TensorLoad>& loads = this_block().tensor_loads;
  std::vector<TensorLoad> later;
  std::vector<TensorLoad> now;
  for (const TensorLoad& load : loads) (load.barrier == barrier ? now : later).push_back(load);
  loads.swap(later);
  for (const TensorLoad& load : now) carry_out(load);
}

}  // namespace emulator
