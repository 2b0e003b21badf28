// The operations of lanes_scalar.h on eight float32 lanes, for AVX2 with FMA and F16C.
#pragma once

#include <immintrin.h>

#include "lanes_scalar.h"

namespace winit_cuda {

struct WideAvx2 {
  using W = __m256i;
  static WINIT_HD_MEMBER W splat(uint32_t word) {
    return _mm256_set1_epi64x(static_cast<long long>(word));
  }
  static WINIT_HD_MEMBER W high(W a) { return _mm256_srli_epi64(a, 32); }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) { return _mm256_mul_epu32(a, multiplier); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
  }
};

struct Avx2 {
  using U = __m256i;
  using F = __m256;
  using Real = float;
  static constexpr int kLanes = 8;
  static constexpr float kUnit = Scalar32::kUnit;
  static constexpr uint32_t kMagnitudeMask = Scalar32::kMagnitudeMask;

  static WINIT_HD_MEMBER F splat(float value) { return _mm256_set1_ps(value); }
  static WINIT_HD_MEMBER U splat_word(uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
  }
  static WINIT_HD_MEMBER U sign_mask(U word) { return _mm256_srai_epi32(word, 31); }
  static WINIT_HD_MEMBER U exclusive_or(U a, U b) { return _mm256_xor_si256(a, b); }
  static WINIT_HD_MEMBER U tail_distance(U distance) { return distance; }
  static WINIT_HD_MEMBER F to_real(U magnitude) { return _mm256_cvtepi32_ps(magnitude); }
  static WINIT_HD_MEMBER F with_sign_of(F value, U word) {
    const F sign = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0x80000000u)));
    return _mm256_xor_ps(value, _mm256_and_ps(_mm256_castsi256_ps(word), sign));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return _mm256_blendv_ps(otherwise, when_negative, _mm256_castsi256_ps(word));
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm256_sub_ps(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm256_min_ps(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm256_max_ps(b, a); }

  struct Quantile {
    const float* coefficients;
    explicit WINIT_HD_MEMBER Quantile(const float* table) : coefficients(table) {}

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const U bits = _mm256_castps_si256(p);
      const U segment =
          _mm256_sub_epi32(_mm256_srli_epi32(bits, 21), _mm256_set1_epi32((127 - 33) << 2));
      const U mantissa = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x001FFFFF)),
                                         _mm256_set1_epi32(0x3F800000));
      const F u = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), _mm256_set1_ps(1.125f));
      const auto coefficient = [&](int power) {
        return _mm256_i32gather_ps(coefficients + power * kSegments, segment, 4);
      };
      F rest = coefficient(kFloatDegree);
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = _mm256_fmadd_ps(rest, u, coefficient(power));
      return _mm256_fmadd_ps(c, coefficient(0), _mm256_mul_ps(_mm256_mul_ps(c, u), rest));
    }
  };

  // Four vectors of words, eight blocks, in the order of the elements.
  static WINIT_HD_MEMBER void chunk(const StreamKey& key, uint64_t block, U (&words)[4]) {
    // Even lanes count the first two blocks of four and odd lanes the others: unpacking then
    // restores the order.
    const __m256i order = _mm256_set_epi64x(3, 1, 2, 0);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256i blocks =
          _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(block + 4 * half)), order);
      __m256i counter[4] = {blocks, _mm256_srli_epi64(blocks, 32),
                            WideAvx2::splat(static_cast<uint32_t>(key.stream)),
                            WideAvx2::splat(static_cast<uint32_t>(key.stream >> 32))};
      philox_rounds<WideAvx2>(key.rounds, counter);
      const __m256i front = _mm256_blend_epi32(counter[0], _mm256_slli_epi64(counter[1], 32), 0xAA);
      const __m256i back = _mm256_blend_epi32(counter[2], _mm256_slli_epi64(counter[3], 32), 0xAA);
      words[2 * half] = _mm256_unpacklo_epi64(front, back);
      words[2 * half + 1] = _mm256_unpackhi_epi64(front, back);
    }
  }

  static WINIT_HD_MEMBER void store(float* out, F value) { _mm256_storeu_ps(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { _mm256_stream_ps(out, value); }
  static WINIT_HD_MEMBER void store_half(uint16_t* out, F value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static WINIT_HD_MEMBER void store_bfloat16(uint16_t* out, F value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF)), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0x88);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(packed));
  }
};

}  // namespace winit_cuda
