// The inverse normal distribution function as a table of short polynomials.
//
// With p the probability of the nearer tail, z(p) = (1/2 - p) Q(p), and Q is smooth enough that a
// polynomial of low degree serves a quarter of an octave of p. Probabilities are counted in words,
// 2^-32, and so is c = 1/2 - p: f = 2^32 p. There are 32 octaves, 2^0 <= f < 2^32, hence 128
// segments, chosen by f's exponent and top two mantissa bits; the rest of the mantissa, less a
// center, is the polynomial's variable u. values/quantile_table.h holds the coefficients and
// values/distributions.cpp makes tables of the same shape for one-sided truncated intervals.
#pragma once

#include "platform/host_device.h"
#include "values/quantile_table.h"

namespace winit_cuda {

template <class Real>
inline constexpr int kDegree = sizeof(Real) == 4 ? kFloatDegree : kDoubleDegree;
template <class Real>
inline constexpr int kTableSize = (kDegree<Real> + 2) * kSegments;

// Where a table has the segment of octave e (2^e <= f) and quarter 0: the exponent bits of f alone
// say it, and neither the sign nor the rest of the exponent matters.
constexpr int octave_column(int e) { return 4 * ((e + 31) % kOctaves); }

// The mantissa of f without its top two bits, as a float from 1 to 1.25.
WINIT_HD float mantissa_below_quarter(float f) {
#if defined(__CUDA_ARCH__)
  uint32_t bits;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;"
      : "=r"(bits)
      : "r"(bits_of(f)), "r"(0x001FFFFFu), "r"(0x3F800000u));
  return float_of(bits);
#else
  return float_of((bits_of(f) & 0x001FFFFFu) | 0x3F800000u);
#endif
}

// fma(c, a0, fma(c u, R(u), base)) for the entries of one segment, `step` apart.
WINIT_HD float polynomial_value(const float* entries, int step, float base, float c, float f) {
  const float u = mantissa_below_quarter(f) - entries[0];
  float rest = entries[(kFloatDegree + 1) * step];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kFloatDegree - 1; power >= 1; --power)
    rest = fused(rest, u, entries[(power + 1) * step]);
  return fused(c, entries[step], fused(c * u, rest, base));
}

// base + scale c Q(f / 2^32), of f the magnitude alone. f = 0, which has no quantile, is taken for
// f = 2.
//
// Row 0 of a table holds the centers, row 1 + j the coefficients a_j of u^j. With Q = a0 + u R the
// float32 value is fma(c, a0, fma(c u, R, base)), with the scale multiplied into the coefficients
// beforehand (scale_table): Q itself is never rounded, and the centers of the normal table are such
// that a0 is not either. That keeps the standard normal value within 2 ulp of the true quantile;
// c * Q does not.
WINIT_HD float quantile_value(const float* scaled_table, float base, float c, float f) {
  return polynomial_value(scaled_table + ((bits_of(f) >> 21) & (kSegments - 1)), kSegments, base, c,
                          f);
}

// float64 has no cheaper way than the plain one.
WINIT_HD double quantile_value(const double* table, double scale, double base, double c, double f) {
  const uint64_t bits = bits_of(f);
  const double* column = table + ((bits >> 50) & (kSegments - 1));
  const double u = double_of((bits & 0x0003FFFFFFFFFFFFull) | 0x3FF0000000000000ull) - column[0];
  double rest = column[(kDoubleDegree + 1) * kSegments];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int power = kDoubleDegree - 1; power >= 1; --power)
    rest = fused(rest, u, column[(power + 1) * kSegments]);
  return fused(fused(c, column[kSegments], (c * u) * rest), scale, base);
}

// Entry i of the table that quantile_value takes.
WINIT_HD float scaled_entry(const float* table, float scale, int i) {
  return i < kSegments ? table[i] : table[i] * scale;
}
WINIT_HD double scaled_entry(const double* table, double, int i) { return table[i]; }

}  // namespace winit_cuda
