// The operations of Scalar64 (values/scalar.h) on eight float64 lanes, for AVX-512 (F, DQ, VL).
#pragma once

#include <immintrin.h>

#include "values/scalar.h"

namespace winit_cuda {

struct Avx512Double {
  struct U {  // the halves of eight 64-bit words
    __m256i high, low;
  };
  using F = __m512d;
  using Real = double;
  static constexpr int kLanes = 8;

  static WINIT_HD_MEMBER U join(const uint32_t* high, const uint32_t* low) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low))};
  }
  static WINIT_HD_MEMBER F splat(double value) { return _mm512_set1_pd(value); }
  static WINIT_HD_MEMBER F from_middle(U word) {
    return _mm512_fmadd_pd(_mm512_cvtepu32_pd(word.low), splat(0x1p-32),
                           _mm512_cvtepi32_pd(word.high));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    const F coarse = _mm512_cvtepi32_pd(_mm256_xor_si256(word.high, _mm256_set1_epi32(INT32_MIN)));
    const F beyond_last = larger(subtract(absolute(coarse), splat(1)), splat(0));
    const F share = smaller(multiply(beyond_last, splat(0x1p-56)), splat(0x1p-32));
    const F low = _mm512_cvtepu32_pd(word.low);
    x = fma(low, share, _mm512_cvtepi32_pd(word.high));
    t = fma(low, share, coarse);
  }
  static WINIT_HD_MEMBER F absolute(F value) { return _mm512_abs_pd(value); }
  // value | (other & sign)
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(value),
                                                         _mm512_castpd_si512(other),
                                                         _mm512_set1_epi64(INT64_MIN), 0xF8));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return _mm512_mask_blend_pd(_mm256_movepi32_mask(word.high), otherwise, when_negative);
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm512_fmadd_pd(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return _mm512_mul_pd(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm512_sub_pd(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm512_min_pd(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm512_max_pd(b, a); }

  // As for float32, but the 32 segments of the top eight octaves take two permutations an entry.
  struct Quantile {
    static constexpr int kWindow = 32, kRows = kDoubleDegree + 2;
    const double* table;
    double scale_of_one, base_of_one;
    F scale, base;
    alignas(64) double window[kRows][kWindow];  // segment s of the table at s modulo 32

    WINIT_HD_MEMBER Quantile(const double* table_, double scale_, double base_)
        : table(table_),
          scale_of_one(scale_),
          base_of_one(base_),
          scale(splat(scale_)),
          base(splat(base_)) {
      constexpr int first = octave_column(23);
      for (int row = 0; row < kRows; ++row)
        for (int i = 0; i < kWindow; ++i)
          window[row][(first + i) % kWindow] = table[row * kSegments + first + i];
    }

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const __m512i bits = _mm512_castpd_si512(p);
      const __m512i segment = _mm512_srli_epi64(bits, 50);
      const __mmask8 upper = _mm512_test_epi64_mask(segment, _mm512_set1_epi64(16));
      const auto entry = [&](int row) {
        const double* quarter = window[row];
        const F lower_half =
            _mm512_permutex2var_pd(_mm512_load_pd(quarter), segment, _mm512_load_pd(quarter + 8));
        const F upper_half = _mm512_permutex2var_pd(_mm512_load_pd(quarter + 16), segment,
                                                    _mm512_load_pd(quarter + 24));
        return _mm512_mask_blend_pd(upper, lower_half, upper_half);
      };
      const __m512i fraction = _mm512_set1_epi64(0x0003FFFFFFFFFFFF);
      const __m512i one = _mm512_set1_epi64(0x3FF0000000000000);
      const F mantissa = _mm512_castsi512_pd(_mm512_ternarylogic_epi64(bits, fraction, one, 0xEA));
      const F u = subtract(mantissa, entry(0));
      F rest = entry(kDoubleDegree + 1);
#pragma GCC unroll 12
      for (int power = kDoubleDegree - 1; power >= 1; --power)
        rest = fma(rest, u, entry(power + 1));
      const F product = fma(c, entry(1), multiply(multiply(c, u), rest));
      F value = fma(product, scale, base);
      const F size = absolute(p);
      const __mmask8 outside =
          static_cast<__mmask8>(_mm512_cmp_pd_mask(size, splat(0x1p23), _CMP_LT_OQ) |
                                _mm512_cmp_pd_mask(size, splat(0x1p31), _CMP_GE_OQ));
      if (__builtin_expect(outside != 0, 0)) value = look_up_outside(value, c, p, outside);
      return value;
    }

    // Mostly one lane.
    __attribute__((noinline)) F look_up_outside(F value, F c, F p, __mmask8 outside) const {
      for (unsigned rest = outside; rest; rest &= rest - 1) {
        const __mmask8 lane = static_cast<__mmask8>(rest & (0u - rest));
        const double center = _mm512_cvtsd_f64(_mm512_maskz_compress_pd(lane, c));
        const double tail = _mm512_cvtsd_f64(_mm512_maskz_compress_pd(lane, p));
        const double found = quantile_value(table, scale_of_one, base_of_one, center, tail);
        value = _mm512_mask_blend_pd(lane, value, splat(found));
      }
      return value;
    }
  };

  static WINIT_HD_MEMBER void store(double* out, F value) { _mm512_storeu_pd(out, value); }
  static WINIT_HD_MEMBER void stream(double* out, F value) { _mm512_stream_pd(out, value); }
};

}  // namespace winit_cuda
