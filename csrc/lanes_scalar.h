// The operations a map is written in (maps.h), one element at a time: the CUDA kernels, the
// portable CPU fill, and the reference that every SIMD version (lanes_avx2.h, lanes_avx512.h) must
// equal bit for bit.
//
// A "lanes" type L has: U, lanes of words; F, lanes of reals; constants of the word; and the static
// functions below. Scalar32 makes float32 from 32-bit words, Scalar64 float64 from 64-bit words
// whose high half is the element's 32-bit word.
#pragma once

#include "philox.h"
#include "quantile.h"

namespace winit_cuda {

struct Scalar32 {
  using U = uint32_t;
  using F = float;
  using Real = float;
  static constexpr int kLanes = 1;
  static constexpr float kUnit = 0x1p-32f;  // the width of one word in probability

  static WINIT_HD_MEMBER F splat(float value) { return value; }
  static WINIT_HD_MEMBER U sign_mask(U word) { return (word >> 31) ? 0xFFFFFFFFu : 0u; }
  static WINIT_HD_MEMBER U exclusive_or(U a, U b) { return a ^ b; }
  static WINIT_HD_MEMBER U splat_word(uint32_t word) { return word; }
  static constexpr uint32_t kMagnitudeMask = 0x7FFFFFFFu;
  static WINIT_HD_MEMBER U tail_distance(U distance) { return distance; }
  static WINIT_HD_MEMBER F to_real(U magnitude) {
    return static_cast<float>(static_cast<int32_t>(magnitude));
  }
  static WINIT_HD_MEMBER F with_sign_of(F value, U word) {
    return float_of(bits_of(value) ^ (word & 0x80000000u));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return (word >> 31) ? when_negative : otherwise;
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return fused(a, b, c); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return a - b; }
  static WINIT_HD_MEMBER F smaller(F a, F b) { return b < a ? b : a; }
  static WINIT_HD_MEMBER F larger(F a, F b) { return a < b ? b : a; }

  struct Quantile {
    const float* coefficients;
    explicit WINIT_HD_MEMBER Quantile(const float* table) : coefficients(table) {}
    WINIT_HD_MEMBER F operator()(F c, F p) const { return quantile_product(coefficients, c, p); }
  };

  static WINIT_HD_MEMBER void chunk(const StreamKey& key, uint64_t block, U (&words)[4]) {
    philox_block(key, block, words);
  }
};

struct Scalar64 {
  using U = uint64_t;
  using F = double;
  using Real = double;
  static constexpr int kLanes = 1;
  static constexpr double kUnit = 0x1p-64;

  static WINIT_HD_MEMBER F splat(double value) { return value; }
  static WINIT_HD_MEMBER U sign_mask(U word) { return (word >> 63) ? ~0ull : 0ull; }
  static WINIT_HD_MEMBER U exclusive_or(U a, U b) { return a ^ b; }
  static WINIT_HD_MEMBER U splat_word(uint64_t word) { return word; }
  static constexpr uint64_t kMagnitudeMask = 0x7FFFFFFFFFFFFFFFull;

  // Less of the refining low half counts the nearer the tail: never more than 2^-24 of the
  // distance, so that the float64 value of a word agrees with its float32 value to float32
  // precision out there too.
  static WINIT_HD_MEMBER U tail_distance(U distance) {
    uint32_t coarse = static_cast<uint32_t>(distance >> 32);
    int shift = 0;  // the zeros in front of a 24-bit number
    for (uint32_t top = 0x00800000u; shift < 24 && coarse < top; top >>= 1) ++shift;
    const int32_t offset = static_cast<int32_t>(static_cast<uint32_t>(distance) ^ 0x80000000u);
    const uint32_t fine = static_cast<uint32_t>(offset >> shift) ^ 0x80000000u;
    return (static_cast<uint64_t>(coarse) << 32) | fine;
  }
  static WINIT_HD_MEMBER F to_real(U magnitude) {
    return static_cast<double>(static_cast<int64_t>(magnitude));
  }
  static WINIT_HD_MEMBER F with_sign_of(F value, U word) {
    return double_of(bits_of(value) ^ (word & 0x8000000000000000ull));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return (word >> 63) ? when_negative : otherwise;
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return fused(a, b, c); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return a - b; }
  static WINIT_HD_MEMBER F smaller(F a, F b) { return b < a ? b : a; }
  static WINIT_HD_MEMBER F larger(F a, F b) { return a < b ? b : a; }

  struct Quantile {
    const double* coefficients;
    explicit WINIT_HD_MEMBER Quantile(const double* table) : coefficients(table) {}
    WINIT_HD_MEMBER F operator()(F c, F p) const { return quantile_product(coefficients, c, p); }
  };
};

}  // namespace winit_cuda
