// The inverse normal distribution function as a table of short polynomials.
//
// With p the probability of the nearer tail, z(p) = (1/2 - p) Q(p), and Q is smooth enough that a
// polynomial of low degree serves a quarter of an octave of p. There are 32 octaves, from 2^-33
// (half a 32-bit word) to 1/2, hence 128 segments, chosen by p's exponent and top two mantissa
// bits; the rest of the mantissa is the polynomial's variable, centred. quantile_table.h holds the
// coefficients and distributions.cpp makes tables of the same shape for one-sided truncated
// intervals.
#pragma once

#include "portable.h"
#include "quantile_table.h"

namespace winit_cuda {

// c Q(p) for |c| = 1/2 - p. Rows of `coefficients` are the powers of the variable, columns the
// segments.
//
// With Q = a0 + u R the product is fma(c, a0, (c u) R): Q itself is never rounded. That keeps the
// normal value within 2 ulp of the true quantile for every word (1.97 at the worst, over all 2^32);
// c * Q does not.
WINIT_HD float quantile_product(const float* coefficients, float c, float p) {
  const uint32_t bits = bits_of(p);
  const float* column = coefficients + ((bits >> 21) - ((127u - 33u) << 2));
  const float u = float_of((bits & 0x001FFFFFu) | 0x3F800000u) - 1.125f;
  float rest = column[kFloatDegree * kSegments];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kFloatDegree - 1; power >= 1; --power)
    rest = fused(rest, u, column[power * kSegments]);
  return fused(c, column[0], (c * u) * rest);
}

WINIT_HD double quantile_product(const double* coefficients, double c, double p) {
  const uint64_t bits = bits_of(p);
  const double* column = coefficients + ((bits >> 50) - ((1023u - 33u) << 2));
  const double u = double_of((bits & 0x0003FFFFFFFFFFFFull) | 0x3FF0000000000000ull) - 1.125;
  double rest = column[kDoubleDegree * kSegments];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kDoubleDegree - 1; power >= 1; --power)
    rest = fused(rest, u, column[power * kSegments]);
  return fused(c, column[0], (c * u) * rest);
}

}  // namespace winit_cuda
