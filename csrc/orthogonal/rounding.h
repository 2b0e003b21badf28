// How the entries of an orthogonal matrix are rounded, on host and device alike.
#pragma once

#include <cfloat>
#include <type_traits>

#include "values/dtype.h"

namespace winit_cuda {

// gain times an entry of Q, rounded to an element of T. An entry is at most 1 but for rounding:
// with the largest gain, an entry of 1 + 4e-16 would carry a float64 past the largest value. The
// short dtypes are too coarse for that: there it is rounded to the largest.
template <class T, class Real>
WINIT_HD T round_entry(Real value) {
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const Wide wide = static_cast<Wide>(value);
  if constexpr (std::is_same_v<T, Wide>) {
    constexpr Wide kLargest = static_cast<Wide>(sizeof(Wide) == 8 ? DBL_MAX : FLT_MAX);
    return wide > kLargest ? kLargest : wide < -kLargest ? -kLargest : wide;
  } else {
    return round_to<T>(wide);
  }
}

}  // namespace winit_cuda
