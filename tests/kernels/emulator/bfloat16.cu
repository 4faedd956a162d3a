// bf16: rounding at ties, at the ends of the range, of NaN, and of every bf16 and its neighbours.
#include <cmath>
#include <limits>

#include "cases.h"

static unsigned short rounded(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }

static float from_bits(uint32_t bits) { return __uint_as_float(bits); }

TEST(ties_go_to_even) {
  expect(rounded(from_bits(0x3f808000)) == 0x3f80, "1 + half a place is 1");
  expect(rounded(from_bits(0x3f818000)) == 0x3f82, "1 + one and a half places is 1 + two places");
  expect(rounded(from_bits(0x3f808001)) == 0x3f81, "just above the tie is up");
  expect(rounded(from_bits(0x3f817fff)) == 0x3f81, "just below the tie is down");
  expect(rounded(from_bits(0xbf808000)) == 0xbf80, "the same below zero");
  expect(rounded(from_bits(0xbf818000)) == 0xbf82, "the same below zero");
}

TEST(the_range_ends_in_infinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  expect(rounded(infinity) == 0x7f80 && rounded(-infinity) == 0xff80, "infinities stay");
  expect(rounded(from_bits(0x7f7f7fff)) == 0x7f7f, "the largest bf16 from just below the tie");
  expect(rounded(from_bits(0x7f7f8000)) == 0x7f80, "a tie at the end of the range is infinity");
  expect(rounded(std::numeric_limits<float>::max()) == 0x7f80, "the largest float is infinity");
}

TEST(every_nan_is_one_nan) {
  for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffc00000u, 0xffffffffu}) {
    expect(rounded(from_bits(bits)) == 0x7fff, "0x7fff");
    expect(__bfloat16_as_ushort(__float2bfloat16_rz(from_bits(bits))) == 0x7fff, "0x7fff");
  }
}

TEST(subnormals_are_kept) {
  expect(rounded(from_bits(0x00010000)) == 0x0001, "the smallest bf16");
  expect(rounded(from_bits(0x00008000)) == 0x0000, "half of it is a tie, to zero");
  expect(rounded(from_bits(0x00008001)) == 0x0001, "more than half of it");
  expect(rounded(from_bits(0x00000001)) == 0x0000, "the smallest float");
  expect(rounded(from_bits(0x007f8000)) == 0x0080, "a tie becomes the smallest normal number");
  expect(rounded(-0.0f) == 0x8000, "minus zero");
}

// The nearest of two neighbours, by their distances in double.
static unsigned short nearest(float value, unsigned short below) {
  const double down = double(value) - from_bits(uint32_t(below) << 16);
  const double up = double(from_bits(uint32_t(below + 1) << 16)) - value;
  if (down == up) return below % 2 == 0 ? below : below + 1;
  return down < up ? below : below + 1;
}

TEST(every_number_and_its_neighbours) {
  // All positive finite bf16 but the last, whose neighbour is infinity.
  for (unsigned bits = 0; bits < 0x7f7f; bits++) {
    const uint32_t start = bits << 16;
    expect(rounded(from_bits(start)) == bits, "a bf16 is itself");
    for (uint32_t offset : {1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float value = from_bits(start + offset);
      const unsigned short wanted = nearest(value, static_cast<unsigned short>(bits));
      expect(rounded(value) == wanted, "the nearest");
      expect(rounded(-value) == (wanted | 0x8000), "the nearest below zero");
      expect(__bfloat16_as_ushort(__float2bfloat16_rz(value)) == bits, "toward zero");
    }
  }
}

TEST(pairs_keep_their_order) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(1.0f, -2.0f);
  expect(sizeof pair == 4 && alignof(__nv_bfloat162) == 4, "a pair has four bytes");
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  expect(bits == 0xc0003f80u, "the first is the lower half");
  const float2 floats = __bfloat1622float2(pair);
  expect(floats.x == 1.0f && floats.y == -2.0f, "and back");
}

TEST(arithmetic_rounds_once) {
  const __nv_bfloat16 one = __float2bfloat16_rn(1.0f);
  const __nv_bfloat16 half_place = __float2bfloat16_rn(1.0f / 256);
  expect(__bfloat16_as_ushort(one + half_place) == 0x3f80, "a tie");
  expect(__bfloat16_as_ushort(one - half_place) == 0x3f7f, "exact");
  const __nv_bfloat16 third = one / __float2bfloat16_rn(3.0f);
  expect(__bfloat16_as_ushort(third) == 0x3eab, "a third");
  expect(__bfloat16_as_ushort(third * third) == rounded(0.333984375f * 0.333984375f), "its square");
}
