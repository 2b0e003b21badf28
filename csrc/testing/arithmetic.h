// What single instructions of PTX compute, written after the PTX manual and not after the product's
// own code, which they are to check.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace winit_cuda {
namespace emulation {

using U16 = uint16_t;
using U32 = uint32_t;
using U64 = uint64_t;
using S16 = int16_t;
using S32 = int32_t;
using S64 = int64_t;
using F32 = float;
using F64 = double;

// A format that a float is rounded to, to nearest even.
struct Format {
  int exponent_bits, mantissa_bits;
  double largest;
  uint32_t largest_bits;
  uint32_t above;  // the bits of what is larger
  uint32_t nan;
};
constexpr Format kFloat16{5, 10, 65504, 0x7BFF, 0x7C00, 0x7FFF};
constexpr Format kBFloat16{8, 7, 0x1.FEp127, 0x7F7F, 0x7F80, 0x7FFF};
constexpr Format kFloat8E4M3{4, 3, 448, 0x7E, 0x7E, 0x7F};    // saturates
constexpr Format kFloat8E5M2{5, 2, 57344, 0x7B, 0x7B, 0x7F};  // saturates

// In units of the last place, which doubles count exactly.
inline uint32_t rounded(const Format& format, float value) {
  if (std::isnan(value)) return format.nan;
  const int bits = format.exponent_bits + format.mantissa_bits;
  const uint32_t sign = std::signbit(value) ? 1u << bits : 0;
  const double magnitude = std::fabs(double{value});
  const int lowest = 2 - (1 << (format.exponent_bits - 1));  // of a normal number
  const int exponent = magnitude == 0 ? lowest : std::max(lowest, std::ilogb(magnitude));
  const double unit = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double units = std::isinf(magnitude) ? magnitude : std::nearbyint(magnitude / unit);
  if (!(units * unit <= format.largest)) return sign | format.above;
  // The bits of a binade follow those of the one below; the unit at the top of one is no exception.
  const uint32_t binades = static_cast<uint32_t>(exponent - lowest) << format.mantissa_bits;
  return sign | (binades + static_cast<uint32_t>(units));
}

// To 24 bits, by leaving out what is below.
inline float toward_zero(int32_t value) {
  const uint32_t magnitude = value < 0 ? 0u - static_cast<uint32_t>(value) : value;
  int left_out = 0;
  while (magnitude >> left_out >> 24 != 0) ++left_out;
  const float kept = static_cast<float>(magnitude >> left_out << left_out);
  return value < 0 ? -kept : kept;
}

// Of a NaN and a number the number, of the two zeros the negative one.
template <class F>
F smaller(F a, F b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == 0 && b == 0) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

// The lowest `length` bits of `inserted` in `whole`, from bit `position` on.
template <class U>
U inserted(U inserted, U whole, uint32_t position, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(U);
  position &= 0xFF;
  length &= 0xFF;
  for (uint32_t i = 0; i < length && position + i < kBits; ++i) {
    const U bit = U{1} << (position + i);
    whole = inserted >> i & 1 ? whole | bit : whole & ~bit;
  }
  return whole;
}

// Each nibble of the selector picks a byte of (b, a), or eight times its sign.
inline uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t pick = selector >> (4 * i) & 15;
    uint32_t byte = bytes >> (8 * (pick & 7)) & 0xFF;
    if (pick & 8) byte = byte & 0x80 ? 0xFF : 0;
    result |= byte << (8 * i);
  }
  return result;
}

// Bit by bit the value of a table of eight.
inline uint32_t combined(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (int row = 0; row < 8; ++row)
    if (table >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
  return result;
}

}  // namespace emulation
}  // namespace winit_cuda
