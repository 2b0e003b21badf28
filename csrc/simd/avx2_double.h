// The operations of Scalar64 (values/scalar.h) on four float64 lanes, for AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include "values/scalar.h"

namespace winit_cuda {

// A quantile's table with the entries of a segment side by side.
struct Avx2DoubleRows {
  static constexpr int kEntries = kDoubleDegree + 2, kEntriesAndPadding = 16;
  alignas(64) double rows[kSegments][kEntriesAndPadding];

  Avx2DoubleRows() = default;
  template <class Entry>
  constexpr explicit Avx2DoubleRows(const Entry& entry) : rows() {
    for (int segment = 0; segment < kSegments; ++segment)
      for (int i = 0; i < kEntries; ++i) rows[segment][i] = entry(i, segment);
  }
};
inline constexpr Avx2DoubleRows kAvx2NormalRows([](int i, int segment) {
  return kQuantileDouble[i][segment];
});

struct Avx2Double {
  struct U {  // the halves of four 64-bit words
    __m128i high, low;
  };
  using F = __m256d;
  using Real = double;
  static constexpr int kLanes = 4;

  static WINIT_HD_MEMBER U join(const uint32_t* high, const uint32_t* low) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(high)),
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(low))};
  }
  static WINIT_HD_MEMBER F splat(double value) { return _mm256_set1_pd(value); }
  static WINIT_HD_MEMBER F from_signed(__m128i integer) { return _mm256_cvtepi32_pd(integer); }
  // There is no conversion: the integer becomes the last bits of 2^52 and more.
  static WINIT_HD_MEMBER F from_unsigned(__m128i integer) {
    const F above = _mm256_castsi256_pd(_mm256_cvtepu32_epi64(integer));
    return subtract(_mm256_or_pd(above, splat(0x1p52)), splat(0x1p52));
  }
  static WINIT_HD_MEMBER F from_middle(U word) {
    return fma(from_unsigned(word.low), splat(0x1p-32), from_signed(word.high));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    const F coarse = from_signed(_mm_xor_si128(word.high, _mm_set1_epi32(INT32_MIN)));
    const F beyond_last = larger(subtract(absolute(coarse), splat(1)), splat(0));
    const F share = smaller(multiply(beyond_last, splat(0x1p-56)), splat(0x1p-32));
    const F low = from_unsigned(word.low);
    x = fma(low, share, from_signed(word.high));
    t = fma(low, share, coarse);
  }
  static WINIT_HD_MEMBER F absolute(F value) { return _mm256_andnot_pd(splat(-0.0), value); }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return _mm256_or_pd(value, _mm256_and_pd(other, splat(-0.0)));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    const __m256i sign = _mm256_cvtepi32_epi64(word.high);
    return _mm256_blendv_pd(otherwise, when_negative, _mm256_castsi256_pd(sign));
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm256_fmadd_pd(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return _mm256_mul_pd(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm256_sub_pd(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm256_min_pd(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm256_max_pd(b, a); }

  struct Quantile {
    Avx2DoubleRows own;  // of another table than the normal one
    const Avx2DoubleRows& table;
    F scale, base;

    WINIT_HD_MEMBER Quantile(const double* table_, double scale_, double base_)
        : table(table_ == kQuantileDouble[0] ? kAvx2NormalRows : own),
          scale(splat(scale_)),
          base(splat(base_)) {
      if (&table == &own)
        own = Avx2DoubleRows([&](int i, int segment) { return table_[i * kSegments + segment]; });
    }
    Quantile(const Quantile&) = delete;

    // Where the rows of the lanes begin, in bytes.
    struct Place {
      F p;
      alignas(32) uint64_t offset[kLanes];
      WINIT_HD_MEMBER void find(F p_) {
        p = p_;
        const __m256i segment = _mm256_srli_epi64(_mm256_castpd_si256(p), 43);
        _mm256_store_si256(reinterpret_cast<__m256i*>(offset),
                           _mm256_and_si256(segment, _mm256_set1_epi64x(0x3F80)));
      }
    };

    WINIT_HD_MEMBER F operator()(F c, const Place& place) const {
      // Two neighboring entries of lanes `lane` and `lane + 2`.
      const auto halves = [&](int lane, int entry) {
        const auto at = [&](int one) {
          const char* const row = reinterpret_cast<const char*>(table.rows) + place.offset[one];
          return _mm_load_pd(reinterpret_cast<const double*>(row) + entry);
        };
        return _mm256_insertf128_pd(_mm256_castpd128_pd256(at(lane)), at(lane + 2), 1);
      };
      const auto even = [&](int i) { return _mm256_unpacklo_pd(halves(0, i), halves(1, i)); };
      const auto odd = [&](int i) { return _mm256_unpackhi_pd(halves(0, i), halves(1, i)); };
      const F fraction = _mm256_castsi256_pd(_mm256_set1_epi64x(0x0003FFFFFFFFFFFF));
      const F mantissa = _mm256_or_pd(_mm256_and_pd(place.p, fraction), splat(1));
      const F u = subtract(mantissa, even(0));
      F rest = even(kDoubleDegree + 1);
#pragma GCC unroll 8
      for (int entry = kDoubleDegree - 1; entry >= 2; entry -= 2)
        rest = fma(fma(rest, u, odd(entry)), u, even(entry));
      return fma(fma(c, odd(0), multiply(multiply(c, u), rest)), scale, base);
    }
  };

  static WINIT_HD_MEMBER void store(double* out, F value) { _mm256_storeu_pd(out, value); }
  static WINIT_HD_MEMBER void stream(double* out, F value) { _mm256_stream_pd(out, value); }
};

}  // namespace winit_cuda
