#include "values/limits.h"

#include <cmath>
#include <limits>

namespace winit_cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The non-negative value of a short type that has these bits.
template <class T>
double decode(uint32_t bits) {
  constexpr int kBias = (1 << (T::kExponentBits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> T::kMantissaBits);
  const double fraction = bits & ((1u << T::kMantissaBits) - 1);
  const double hidden = exponent ? static_cast<double>(1u << T::kMantissaBits) : 0.0;
  return std::ldexp(fraction + hidden, (exponent ? exponent : 1) - kBias - T::kMantissaBits);
}

template <class T>
double nearest_at_most(double x, Type<T>);

// The smallest value of a short type that is at least x.
template <class T>
double nearest_at_least(double x) {
  if (x <= 0) return x == 0 ? 0.0 : -nearest_at_most(-x, Type<T>{});
  if (x > decode<T>(T::kLargest)) return kInfinity;
  uint32_t low = 0, high = T::kLargest;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (decode<T>(middle) >= x)
      high = middle;
    else
      low = middle + 1;
  }
  return decode<T>(low);
}

template <class T>
double nearest_at_most(double x, Type<T>) {
  if (x <= 0) return x == 0 ? 0.0 : -nearest_at_least<T>(-x);
  uint32_t low = 0, high = T::kLargest;
  while (low < high) {
    const uint32_t middle = (low + high + 1) / 2;
    if (decode<T>(middle) <= x)
      low = middle;
    else
      high = middle - 1;
  }
  return decode<T>(low);
}

double nearest_at_most(double x, Type<double>) { return x; }

double nearest_at_most(double x, Type<float>) {
  if (x > std::numeric_limits<float>::max()) return std::numeric_limits<float>::max();
  if (x < -static_cast<double>(std::numeric_limits<float>::max())) return -kInfinity;
  float value = static_cast<float>(x);
  if (static_cast<double>(value) > x) value = std::nextafter(value, -HUGE_VALF);
  return value;
}

// x rounded once. What would round to the step above the largest value becomes infinity; a tie goes
// to the even pattern.
template <class T>
uint64_t encode_short(float x) {
  const uint64_t sign = static_cast<uint64_t>(bits_of(x) >> 31)
                        << (T::kExponentBits + T::kMantissaBits);
  if (std::isnan(x)) return sign | T::kNaN;
  const double largest = decode<T>(T::kLargest);
  const double middle = largest + (largest - decode<T>(T::kLargest - 1)) / 2;
  const double size = std::fabs(static_cast<double>(x));
  if (size < middle) return round_to<T>(x).bits;
  constexpr bool kTieGoesDown = T::kLargest % 2 == 0;
  return sign | (kTieGoesDown && size == middle ? T::kLargest : T::kInfinity);
}

}  // namespace

double largest_value(DType dtype) {
  return with_element(dtype, [](auto element) -> double {
    using T = typename decltype(element)::type;
    if constexpr (sizeof(T) >= sizeof(float))
      return std::numeric_limits<T>::max();
    else
      return decode<T>(T::kLargest);
  });
}

// -0 is 0 here: a bound of either sign stands for both.
double largest_at_most(DType dtype, double x) {
  return with_element(dtype, [&](auto element) { return nearest_at_most(x, element); }) + 0.0;
}

double smallest_at_least(DType dtype, double x) { return -largest_at_most(dtype, -x) + 0.0; }

double largest_below(DType dtype, double x) {
  return largest_at_most(dtype, std::nextafter(x, -kInfinity));
}

uint64_t encode(DType dtype, double x) {
  return with_element(dtype, [&](auto element) -> uint64_t {
    using T = typename decltype(element)::type;
    if constexpr (std::is_same_v<T, double>)
      return bits_of(x);
    else if constexpr (std::is_same_v<T, float>)
      return bits_of(static_cast<float>(x));
    else
      return encode_short<T>(static_cast<float>(x));
  });
}

}  // namespace winit_cuda
