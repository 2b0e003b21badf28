// The operations a map is written in (values/maps.h), one element at a time: the CUDA kernels, the
// portable CPU fill, and the reference that every SIMD version (simd/) must equal bit for bit.
//
// A "lanes" type L has: U, lanes of words; F, lanes of reals; and the static functions below.
// Scalar32 makes float32 from 32-bit words, Scalar64 float64 from 64-bit words whose high half is
// the element's 32-bit word.
#pragma once

#include <type_traits>

#include "values/philox.h"
#include "values/quantile.h"

namespace winit_cuda {

// The float nearest to an integer among those not further from zero.
WINIT_HD float toward_zero(int32_t integer) {
#if defined(__CUDA_ARCH__)
  return __int2float_rz(integer);
#else
  // With the first bit that rounding drops cleared, to nearest is toward zero.
  const uint32_t sign = static_cast<uint32_t>(integer) & 0x80000000u;
  const uint32_t size = sign ? 0u - static_cast<uint32_t>(integer) : static_cast<uint32_t>(integer);
  return float_of(bits_of(static_cast<float>(size & ~(size >> 24))) | sign);
#endif
}

WINIT_HD float magnitude(float value) {
#if defined(__CUDA_ARCH__)
  return fabsf(value);
#else
  return float_of(bits_of(value) & 0x7FFFFFFFu);
#endif
}

// No value is NaN, and zeros of both signs do not meet (scale_for in values/distributions.cpp).
WINIT_HD float lesser(float a, float b) {
#if defined(__CUDA_ARCH__)
  return fminf(a, b);
#else
  return b < a ? b : a;
#endif
}
WINIT_HD float greater(float a, float b) {
#if defined(__CUDA_ARCH__)
  return fmaxf(a, b);
#else
  return a < b ? b : a;
#endif
}

// Two of the vectors that Philox's rounds are made of, side by side in the program: one waits for
// its multiplications while the other goes on.
template <class Wide>
struct WidePair {
  struct W {
    typename Wide::W first, second;
  };
  static WINIT_HD_MEMBER W splat(uint32_t word) { return {Wide::splat(word), Wide::splat(word)}; }
  static WINIT_HD_MEMBER W high(W a) { return {Wide::high(a.first), Wide::high(a.second)}; }
  static WINIT_HD_MEMBER W multiply(W a, W b) {
    return {Wide::multiply(a.first, b.first), Wide::multiply(a.second, b.second)};
  }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b) {
    return {Wide::exclusive_or(a.first, b.first), Wide::exclusive_or(a.second, b.second)};
  }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return {Wide::exclusive_or(a.first, b.first, c.first),
            Wide::exclusive_or(a.second, b.second, c.second)};
  }
};

struct Scalar32 {
  using U = uint32_t;
  using F = float;
  using Real = float;
  static constexpr int kLanes = 1;

  static WINIT_HD_MEMBER F splat(float value) { return value; }
  static WINIT_HD_MEMBER F from_middle(U word) {
    return static_cast<float>(static_cast<int32_t>(word));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    x = from_middle(word);
    // Never rounded up to 2^31, where the table ends.
    t = toward_zero(static_cast<int32_t>(word ^ 0x80000000u));
  }
  static WINIT_HD_MEMBER F absolute(F value) { return magnitude(value); }
  // `value`, which is not negative, with the sign of another.
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return float_of(bits_of(value) | (bits_of(other) & 0x80000000u));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return (word >> 31) ? when_negative : otherwise;
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return fused(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return a * b; }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return a - b; }
  static WINIT_HD_MEMBER F smaller(F a, F b) { return lesser(a, b); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return greater(a, b); }

  // Of a table that the scale has been multiplied into, as the threads of a block share it.
  struct Quantile {
    const float* table;
    float base;
    WINIT_HD_MEMBER Quantile(const float* table_, float, float base_)
        : table(table_), base(base_) {}
    WINIT_HD_MEMBER F operator()(F c, F p) const { return quantile_value(table, base, c, p); }
  };
};

struct Scalar64 {
  using U = uint64_t;
  using F = double;
  using Real = double;
  static constexpr int kLanes = 1;

  // The lanes' words from their halves.
  static WINIT_HD_MEMBER U join(const uint32_t* high, const uint32_t* low) {
    return static_cast<uint64_t>(*high) << 32 | *low;
  }
  static WINIT_HD_MEMBER F splat(double value) { return value; }
  static WINIT_HD_MEMBER F from_middle(U word) {
    const double coarse = static_cast<int32_t>(static_cast<uint32_t>(word >> 32));
    return fused(static_cast<double>(static_cast<uint32_t>(word)), 0x1p-32, coarse);
  }
  // Less of the refining low half counts the nearer the end: never more than 2^-24 of the distance,
  // so that the float64 value of a word agrees with its float32 value to float32 precision out
  // there too. Of the last word none does: quantile tables end there.
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    const uint32_t high = static_cast<uint32_t>(word >> 32);
    const double coarse = static_cast<int32_t>(high ^ 0x80000000u);
    const double share = smaller(larger(absolute(coarse) - 1, 0) * 0x1p-56, 0x1p-32);
    const double low = static_cast<double>(static_cast<uint32_t>(word));
    x = fused(low, share, static_cast<double>(static_cast<int32_t>(high)));
    t = fused(low, share, coarse);
  }
  static WINIT_HD_MEMBER F absolute(F value) {
    return double_of(bits_of(value) & 0x7FFFFFFFFFFFFFFFull);
  }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return double_of(bits_of(value) | (bits_of(other) & 0x8000000000000000ull));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return (word >> 63) ? when_negative : otherwise;
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return fused(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return a * b; }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return a - b; }
  static WINIT_HD_MEMBER F smaller(F a, F b) { return b < a ? b : a; }
  static WINIT_HD_MEMBER F larger(F a, F b) { return a < b ? b : a; }

  struct Quantile {
    const double* table;
    double scale, base;
    WINIT_HD_MEMBER Quantile(const double* table_, double scale_, double base_)
        : table(table_), scale(scale_), base(base_) {}
    WINIT_HD_MEMBER F operator()(F c, F p) const {
      return quantile_value(table, scale, base, c, p);
    }
  };

  static WINIT_HD_MEMBER void store(double* out, F value) { *out = value; }
  static WINIT_HD_MEMBER void stream(double* out, F value) { *out = value; }
};

// The lanes that make elements of the storage type T.
template <class T>
using ScalarLanes = std::conditional_t<std::is_same_v<T, double>, Scalar64, Scalar32>;

}  // namespace winit_cuda
