// The floating-point types that can be filled, and rounding from float32 to the short ones: once,
// to nearest even, by integer operations, on host and device alike.
#pragma once

#include <type_traits>

#include "platform/host_device.h"

namespace winit_cuda {

enum class DType : int { kFloat32, kFloat64, kFloat16, kBFloat16, kFloat8E4M3FN, kFloat8E5M2 };
constexpr int kDTypeCount = 6;

// Storage types, so that a fill can be a template on the element.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};
struct Float8E4M3FN {
  uint8_t bits;
};
struct Float8E5M2 {
  uint8_t bits;
};

// The bits of the nearest value of a format with the given exponent and mantissa widths. The
// argument is finite and within the format's range (the fills see to that).
template <int kExponentBits, int kMantissaBits>
WINIT_HD uint32_t round_to_bits(float value) {
  constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  constexpr int kDropped = 23 - kMantissaBits;
  const uint32_t bits = bits_of(value);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  uint32_t rounded;
  if (magnitude < (static_cast<uint32_t>(128 - kBias) << 23)) {
    // Subnormal in the format: adding this power of two makes the float's own rounding do it.
    const uint32_t anchor = static_cast<uint32_t>(128 - kBias - kMantissaBits + 23) << 23;
    rounded = bits_of(float_of(magnitude) + float_of(anchor)) - anchor;
  } else {
    const uint32_t carry = ((1u << (kDropped - 1)) - 1) + ((magnitude >> kDropped) & 1u);
    rounded =
        ((magnitude + carry) >> kDropped) - (static_cast<uint32_t>(127 - kBias) << kMantissaBits);
  }
  return ((bits >> 31) << (kExponentBits + kMantissaBits)) | rounded;
}

template <class T>
WINIT_HD T round_to(float value) {
  if constexpr (std::is_same_v<T, Half>) {
    return Half{static_cast<uint16_t>(round_to_bits<5, 10>(value))};
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const uint32_t bits = bits_of(value);
    return BFloat16{static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
  } else if constexpr (std::is_same_v<T, Float8E4M3FN>) {
    return Float8E4M3FN{static_cast<uint8_t>(round_to_bits<4, 3>(value))};
  } else if constexpr (std::is_same_v<T, Float8E5M2>) {
    return Float8E5M2{static_cast<uint8_t>(round_to_bits<5, 2>(value))};
  } else {
    static_assert(std::is_same_v<T, float>);
    return value;
  }
}

}  // namespace winit_cuda
