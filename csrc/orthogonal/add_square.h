// Sums of squares in float64.
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

// sum + x x, rounded once: the square of a float32 is exact in float64.
template <class Real>
WINIT_HD double add_square(Real x, double sum) {
  const double value = x;
  if constexpr (sizeof(Real) == 4)
    return value * value + sum;
  else
    return fused(value, value, sum);
}

}  // namespace winit_cuda
