// The inverse normal distribution function as a table of short polynomials.
//
// With p the probability of the nearer tail, z(p) = (1/2 - p) Q(p), and Q is smooth enough that a
// polynomial of low degree serves a quarter of an octave of p. There are 32 octaves, from 2^-33
// (half a 32-bit word) to 1/2, hence 128 segments, chosen by p's exponent and top two mantissa
// bits; the rest of the mantissa is the polynomial's variable, centred. quantile_table.h holds the
// coefficients and truncation.cpp makes tables of the same shape for one-sided truncated intervals.
#pragma once

#include "portable.h"
#include "quantile_table.h"

namespace winit_cuda {

// Rows of `coefficients` are the powers of the variable, columns the segments.
WINIT_HD float quantile_factor(const float* coefficients, float p) {
  const uint32_t bits = bits_of(p);
  const uint32_t segment = (bits >> 21) - ((127u - 33u) << 2);
  const float u = float_of((bits & 0x001FFFFFu) | 0x3F800000u) - 1.125f;
  float factor = coefficients[kFloatDegree * kSegments + segment];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kFloatDegree - 1; power >= 0; --power)
    factor = fused(factor, u, coefficients[power * kSegments + segment]);
  return factor;
}

WINIT_HD double quantile_factor(const double* coefficients, double p) {
  const uint64_t bits = bits_of(p);
  const uint64_t segment = (bits >> 50) - ((1023u - 33u) << 2);
  const double u = double_of((bits & 0x0003FFFFFFFFFFFFull) | 0x3FF0000000000000ull) - 1.125;
  double factor = coefficients[kDoubleDegree * kSegments + segment];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kDoubleDegree - 1; power >= 0; --power)
    factor = fused(factor, u, coefficients[power * kSegments + segment]);
  return factor;
}

}  // namespace winit_cuda
