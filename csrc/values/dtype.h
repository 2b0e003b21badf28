// The floating-point types that can be filled, and rounding from float32 to the short ones: once,
// to nearest even, by integer operations, on host and device alike.
#pragma once

#include <type_traits>

#include "platform/host_device.h"

namespace winit_cuda {

enum class DType : int { kFloat32, kFloat64, kFloat16, kBFloat16, kFloat8E4M3FN, kFloat8E5M2 };
constexpr int kDTypeCount = 6;
inline constexpr const char* kDTypeNames[kDTypeCount] = {
    "float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"};

// Storage types, so that a fill can be a template on the element. The finite non-negative values of
// a short one are its bit patterns 0 ... kLargest, in order.
struct Half {
  static constexpr int kExponentBits = 5, kMantissaBits = 10;
  static constexpr uint32_t kLargest = 0x7BFF, kInfinity = 0x7C00, kNaN = 0x7E00;
  uint16_t bits;
};
struct BFloat16 {
  static constexpr int kExponentBits = 8, kMantissaBits = 7;
  static constexpr uint32_t kLargest = 0x7F7F, kInfinity = 0x7F80, kNaN = 0x7FC0;
  uint16_t bits;
};
struct Float8E4M3FN {  // has no infinity
  static constexpr int kExponentBits = 4, kMantissaBits = 3;
  static constexpr uint32_t kLargest = 0x7E, kInfinity = 0x7F, kNaN = 0x7F;
  uint8_t bits;
};
struct Float8E5M2 {
  static constexpr int kExponentBits = 5, kMantissaBits = 2;
  static constexpr uint32_t kLargest = 0x7B, kInfinity = 0x7C, kNaN = 0x7F;
  uint8_t bits;
};

template <class T>
struct Type {
  using type = T;
};

// Calls visit(Type<T>) with the storage type of the dtype.
WINIT_CALLS_EITHER
template <class Visit>
WINIT_HD auto with_element(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kFloat64:
      return visit(Type<double>{});
    case DType::kFloat16:
      return visit(Type<Half>{});
    case DType::kBFloat16:
      return visit(Type<BFloat16>{});
    case DType::kFloat8E4M3FN:
      return visit(Type<Float8E4M3FN>{});
    case DType::kFloat8E5M2:
      return visit(Type<Float8E5M2>{});
    default:
      return visit(Type<float>{});
  }
}

// Bytes of an element.
static inline int item_size(DType dtype) {
  return with_element(dtype, [](auto element) {
    return static_cast<int>(sizeof(typename decltype(element)::type));
  });
}

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
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const uint32_t bits = bits_of(value);
    return BFloat16{static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
  } else {
    return T{
        static_cast<decltype(T::bits)>(round_to_bits<T::kExponentBits, T::kMantissaBits>(value))};
  }
}

}  // namespace winit_cuda
