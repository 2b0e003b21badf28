// The operations of simd/vectors_scalar.h for NEON on 64-bit ARM.
#pragma once

#include <arm_neon.h>

#include "platform/host_device.h"

namespace winit_cuda {

template <class Scalar>
struct NeonVectors;

template <>
struct NeonVectors<float> {
  using Real = float;
  using F = float32x4_t;
  static constexpr int kLanes = 4, kRows = 4, kWidth = 4;

  static WINIT_HD_MEMBER F load(const Real* in) { return vld1q_f32(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { vst1q_f32(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return vdupq_n_f32(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return vaddq_f32(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return vfmsq_f32(c, a, b); }
};

template <>
struct NeonVectors<double> {
  using Real = double;
  using F = float64x2_t;
  static constexpr int kLanes = 2, kRows = 4, kWidth = 4;

  static WINIT_HD_MEMBER F load(const Real* in) { return vld1q_f64(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { vst1q_f64(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return vdupq_n_f64(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return vaddq_f64(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return vfmaq_f64(c, a, b); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return vfmsq_f64(c, a, b); }
};

}  // namespace winit_cuda
