// The operations of simd/vectors_scalar.h for AVX-512.
#pragma once

#include <immintrin.h>

#include "platform/host_device.h"

namespace winit_cuda {

template <class Scalar>
struct Avx512Vectors;

template <>
struct Avx512Vectors<float> {
  using Real = float;
  using F = __m512;
  static constexpr int kLanes = 16, kRows = 14, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm512_loadu_ps(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm512_storeu_ps(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm512_set1_ps(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm512_add_ps(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
};

template <>
struct Avx512Vectors<double> {
  using Real = double;
  using F = __m512d;
  static constexpr int kLanes = 8, kRows = 14, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm512_loadu_pd(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm512_storeu_pd(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm512_set1_pd(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm512_add_pd(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm512_fmadd_pd(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm512_fnmadd_pd(a, b, c); }
};

}  // namespace winit_cuda
