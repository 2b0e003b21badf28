// Plain vectors of reals for the products of orthogonal matrices (orthogonal/lanes.h), one element
// long: for processors without an fma instruction in vectors.
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

// A vectors type V has: Real, F, kLanes; load, store, splat; multiply_add a * b + c and
// multiply_subtract c - a * b, each rounded once; kRows and kWidth, how many rows by how many
// vectors of a product are held in registers at a time.
template <class Scalar>
struct ScalarVectors {
  using Real = Scalar;
  using F = Scalar;
  static constexpr int kLanes = 1, kRows = 4, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return *in; }
  static WINIT_HD_MEMBER void store(Real* out, F value) { *out = value; }
  static WINIT_HD_MEMBER F splat(Real value) { return value; }
  static WINIT_HD_MEMBER F add(F a, F b) { return a + b; }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return fused(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return fused(-a, b, c); }
};

}  // namespace winit_cuda
