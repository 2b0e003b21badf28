#include "values/limits.h"

#include <cmath>
#include <limits>

namespace winit_cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The finite non-negative values of a short format are its bit patterns 0 ... largest, in order.
struct ShortFormat {
  int exponent_bits, mantissa_bits;
  uint32_t largest, infinity, nan;
};

ShortFormat short_format(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return {5, 10, 0x7BFF, 0x7C00, 0x7E00};
    case DType::kBFloat16:
      return {8, 7, 0x7F7F, 0x7F80, 0x7FC0};
    case DType::kFloat8E4M3FN:
      return {4, 3, 0x7E, 0x7F, 0x7F};
    default:
      return {5, 2, 0x7B, 0x7C, 0x7F};
  }
}

double decode(const ShortFormat& format, uint32_t bits) {
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> format.mantissa_bits);
  const double fraction = bits & ((1u << format.mantissa_bits) - 1);
  const double hidden = exponent ? static_cast<double>(1u << format.mantissa_bits) : 0.0;
  return std::ldexp(fraction + hidden, (exponent ? exponent : 1) - bias - format.mantissa_bits);
}

double short_largest_at_most(const ShortFormat& format, double x);

// For x >= 0, the smallest value >= x.
double short_smallest_at_least(const ShortFormat& format, double x) {
  if (x <= 0) return x == 0 ? 0.0 : -short_largest_at_most(format, -x);
  if (x > decode(format, format.largest)) return kInfinity;
  uint32_t low = 0, high = format.largest;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (decode(format, middle) >= x)
      high = middle;
    else
      low = middle + 1;
  }
  return decode(format, low);
}

double short_largest_at_most(const ShortFormat& format, double x) {
  if (x <= 0) return x == 0 ? 0.0 : -short_smallest_at_least(format, -x);
  uint32_t low = 0, high = format.largest;
  while (low < high) {
    const uint32_t middle = (low + high + 1) / 2;
    if (decode(format, middle) <= x)
      low = middle;
    else
      high = middle - 1;
  }
  return decode(format, low);
}

// -0 is 0 here: a bound of either sign stands for both.
double float_largest_at_most(double x) {
  if (x > std::numeric_limits<float>::max()) return std::numeric_limits<float>::max();
  if (x < -static_cast<double>(std::numeric_limits<float>::max())) return -kInfinity;
  float value = static_cast<float>(x);
  if (static_cast<double>(value) > x) value = std::nextafter(value, -HUGE_VALF);
  return static_cast<double>(value) + 0.0;
}

}  // namespace

double largest_at_most(DType dtype, double x) {
  if (dtype == DType::kFloat64) return x + 0.0;
  if (dtype == DType::kFloat32) return float_largest_at_most(x);
  return short_largest_at_most(short_format(dtype), x) + 0.0;
}

double smallest_at_least(DType dtype, double x) { return -largest_at_most(dtype, -x) + 0.0; }

double largest_below(DType dtype, double x) {
  return largest_at_most(dtype, std::nextafter(x, -kInfinity));
}

uint64_t encode(DType dtype, double x) {
  if (dtype == DType::kFloat64) return bits_of(x);
  const float value = static_cast<float>(x);
  if (dtype == DType::kFloat32) return bits_of(value);
  const ShortFormat format = short_format(dtype);
  const uint64_t sign = static_cast<uint64_t>(bits_of(value) >> 31)
                        << (format.exponent_bits + format.mantissa_bits);
  if (std::isnan(value)) return sign | format.nan;
  // Half a step above the largest value everything rounds away from it.
  const double largest = decode(format, format.largest);
  const double half_step = (largest - decode(format, format.largest - 1)) / 2;
  if (std::fabs(static_cast<double>(value)) >= largest + half_step) {
    const bool even = (format.largest & 1) == 0;  // a tie goes to the even pattern
    if (!(even && std::fabs(static_cast<double>(value)) == largest + half_step))
      return sign | format.infinity;
    return sign | format.largest;
  }
  switch (dtype) {
    case DType::kFloat16:
      return round_to<Half>(value).bits;
    case DType::kBFloat16:
      return round_to<BFloat16>(value).bits;
    case DType::kFloat8E4M3FN:
      return round_to<Float8E4M3FN>(value).bits;
    default:
      return round_to<Float8E5M2>(value).bits;
  }
}

int item_size(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return 8;
    case DType::kFloat32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    default:
      return 1;
  }
}

}  // namespace winit_cuda
