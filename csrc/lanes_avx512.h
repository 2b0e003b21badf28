// The operations of lanes_scalar.h on sixteen float32 lanes, for AVX-512 (F, BW, DQ, VL, CD).
#pragma once

#include <immintrin.h>

#include "lanes_scalar.h"

namespace winit_cuda {

struct WideAvx512 {
  using W = __m512i;
  static WINIT_HD_MEMBER W splat(uint32_t word) {
    return _mm512_set1_epi64(static_cast<long long>(word));
  }
  static WINIT_HD_MEMBER W high(W a) { return _mm512_srli_epi64(a, 32); }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) { return _mm512_mul_epu32(a, multiplier); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
  }
};

struct Avx512 {
  using U = __m512i;
  using F = __m512;
  using Real = float;
  static constexpr int kLanes = 16;
  static constexpr float kUnit = Scalar32::kUnit;
  static constexpr uint32_t kMagnitudeMask = Scalar32::kMagnitudeMask;

  static WINIT_HD_MEMBER F splat(float value) { return _mm512_set1_ps(value); }
  static WINIT_HD_MEMBER U splat_word(uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }
  static WINIT_HD_MEMBER U sign_mask(U word) { return _mm512_srai_epi32(word, 31); }
  static WINIT_HD_MEMBER U exclusive_or(U a, U b) { return _mm512_xor_si512(a, b); }
  static WINIT_HD_MEMBER U tail_distance(U distance) { return distance; }
  static WINIT_HD_MEMBER F to_real(U magnitude) { return _mm512_cvtepi32_ps(magnitude); }
  static WINIT_HD_MEMBER F with_sign_of(F value, U word) {
    const U sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
    // value ^ (word & sign)
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_castps_si512(value), word, sign, 0x78));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(word), otherwise, when_negative);
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm512_sub_ps(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm512_min_ps(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm512_max_ps(b, a); }

  // The top eight octaves of p are 32 segments: one two-register permutation a coefficient. The one
  // word in 256 that lies further out is looked up on its own.
  struct Quantile {
    static constexpr int kWindow = 32;
    const float* coefficients;
    F low[kFloatDegree + 1], high[kFloatDegree + 1];

    explicit WINIT_HD_MEMBER Quantile(const float* table) : coefficients(table) {
      // A permutation reads the low five bits of the segment's address: exponent and mantissa bits
      // whose value at the window's first segment is 24 modulo 32.
      constexpr int first = kSegments - kWindow, rotation = (((127 - 33) << 2) + first) % kWindow;
      static_assert(rotation == 24, "two registers hold segments 8..31 and 0..7 of the window");
      for (int power = 0; power <= kFloatDegree; ++power) {
        const float* window = table + power * kSegments + first;
        low[power] = _mm512_loadu_ps(window + 8);
        high[power] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(window + 24)),
                                         _mm256_loadu_ps(window), 1);
      }
    }

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const U bits = _mm512_castps_si512(p);
      const U segment = _mm512_srli_epi32(bits, 21);
      const U one = _mm512_set1_epi32(0x3F800000), fraction = _mm512_set1_epi32(0x001FFFFF);
      // (bits & fraction) | one
      const F u =
          _mm512_sub_ps(_mm512_castsi512_ps(_mm512_ternarylogic_epi32(bits, fraction, one, 0xEA)),
                        _mm512_set1_ps(1.125f));
      F rest = _mm512_permutex2var_ps(low[kFloatDegree], segment, high[kFloatDegree]);
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = _mm512_fmadd_ps(rest, u, _mm512_permutex2var_ps(low[power], segment, high[power]));
      F product = _mm512_fmadd_ps(c, _mm512_permutex2var_ps(low[0], segment, high[0]),
                                  _mm512_mul_ps(_mm512_mul_ps(c, u), rest));
      const __mmask16 outside = _mm512_cmplt_ps_mask(p, _mm512_set1_ps(0x1p-9f));
      if (__builtin_expect(outside != 0, 0)) product = look_up_outside(product, c, p, outside);
      return product;
    }

    __attribute__((noinline)) F look_up_outside(F product, F c, F p, unsigned outside) const {
      alignas(64) float centers[16], tails[16], products[16];
      _mm512_store_ps(centers, c);
      _mm512_store_ps(tails, p);
      _mm512_store_ps(products, product);
      for (; outside; outside &= outside - 1) {
        const int lane = __builtin_ctz(outside);
        products[lane] = quantile_product(coefficients, centers[lane], tails[lane]);
      }
      return _mm512_load_ps(products);
    }
  };

  // Four vectors of words, sixteen blocks, in the order of the elements.
  static WINIT_HD_MEMBER void chunk(const StreamKey& key, uint64_t block, U (&words)[4]) {
    // Even lanes count the first four blocks of eight and odd lanes the others: unpacking then
    // restores the order.
    const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512i blocks =
          _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(block + 8 * half)), order);
      __m512i counter[4] = {blocks, _mm512_srli_epi64(blocks, 32),
                            WideAvx512::splat(static_cast<uint32_t>(key.stream)),
                            WideAvx512::splat(static_cast<uint32_t>(key.stream >> 32))};
      philox_rounds<WideAvx512>(key.rounds, counter);
      const __m512i front =
          _mm512_mask_blend_epi32(0xAAAA, counter[0], _mm512_slli_epi64(counter[1], 32));
      const __m512i back =
          _mm512_mask_blend_epi32(0xAAAA, counter[2], _mm512_slli_epi64(counter[3], 32));
      words[2 * half] = _mm512_unpacklo_epi64(front, back);
      words[2 * half + 1] = _mm512_unpackhi_epi64(front, back);
    }
  }

  static WINIT_HD_MEMBER void store(float* out, F value) { _mm512_storeu_ps(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { _mm512_stream_ps(out, value); }
  static WINIT_HD_MEMBER void store_half(uint16_t* out, F value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static WINIT_HD_MEMBER void store_bfloat16(uint16_t* out, F value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(
        _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF)), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(rounded));
  }
};

}  // namespace winit_cuda
