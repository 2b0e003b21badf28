// The operations of values/scalar.h on eight float32 lanes, for AVX2 with FMA and F16C.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include "simd/halves.h"
#include "values/scalar.h"

namespace winit_cuda {

struct Avx2 : simd::HalvesWithoutMasks<Avx2> {
  using U = __m256i;
  using F = __m256;
  using Real = float;
  using Double = Scalar64;
  static constexpr int kLanes = 8, kBlocks = 16, kTogether = 1;

  static WINIT_HD_MEMBER F splat(float value) { return _mm256_set1_ps(value); }
  static WINIT_HD_MEMBER F from_middle(U word) { return _mm256_cvtepi32_ps(word); }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    x = from_middle(word);
    const U integer = _mm256_xor_si256(word, _mm256_set1_epi32(INT32_MIN));
    // toward_zero of values/scalar.h; 2^31 becomes -2^31, whose sign bit is set already.
    const U size = _mm256_abs_epi32(integer);
    const F rounded = _mm256_cvtepi32_ps(_mm256_andnot_si256(_mm256_srli_epi32(size, 24), size));
    t = _mm256_or_ps(rounded, _mm256_and_ps(_mm256_castsi256_ps(integer), _mm256_set1_ps(-0.0f)));
  }
  static WINIT_HD_MEMBER F absolute(F value) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value);
  }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return _mm256_or_ps(value, _mm256_and_ps(other, _mm256_set1_ps(-0.0f)));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return _mm256_blendv_ps(otherwise, when_negative, _mm256_castsi256_ps(word));
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return _mm256_mul_ps(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm256_sub_ps(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm256_min_ps(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm256_max_ps(b, a); }

  // The octaves 23 ... 30 of p are 32 segments: four permutations an entry, of which two bits of
  // the segment's number choose. Gathers take longer on most processors. The one word in 256 that
  // lies further out is looked up on its own.
  struct Quantile {
    alignas(32) float table[kTableSize<float>];  // that the scale has been multiplied into
    F base;

    WINIT_HD_MEMBER Quantile(const float* unscaled, float scale, float base_)
        : base(_mm256_set1_ps(base_)) {
      for (int i = 0; i < kTableSize<float>; ++i) table[i] = scaled_entry(unscaled, scale, i);
    }

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      constexpr int first = octave_column(23);
      static_assert(first % 32 == 24, "the last quarter of 32 segments comes first");
      const U bits = _mm256_castps_si256(p);
      const U segment = _mm256_srli_epi32(bits, 21);
      // Bits 3 and 4 of the segment's number, as signs.
      const F odd = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 7));
      const F late = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 6));
      const auto entry = [&](int row) {
        const auto quarter = [&](int number) {
          const float* entries = table + row * kSegments + first + 8 * ((number + 1) % 4);
          return _mm256_permutevar8x32_ps(_mm256_load_ps(entries), segment);
        };
        return _mm256_blendv_ps(_mm256_blendv_ps(quarter(0), quarter(1), odd),
                                _mm256_blendv_ps(quarter(2), quarter(3), odd), late);
      };
      const U mantissa = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x001FFFFF)),
                                         _mm256_set1_epi32(0x3F800000));
      const F u = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), entry(0));
      F rest = entry(kFloatDegree + 1);
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = _mm256_fmadd_ps(rest, u, entry(power + 1));
      const F value =
          _mm256_fmadd_ps(c, entry(1), _mm256_fmadd_ps(_mm256_mul_ps(c, u), rest, base));
      const int outside =
          _mm256_movemask_ps(_mm256_cmp_ps(absolute(p), _mm256_set1_ps(0x1p23f), _CMP_LT_OQ));
      return __builtin_expect(outside != 0, 0) ? look_up_outside(value, c, p, outside) : value;
    }

    // Mostly one lane.
    __attribute__((noinline)) F look_up_outside(F value, F c, F p, int outside) const {
      alignas(32) float values[kLanes], centers[kLanes], tails[kLanes];
      _mm256_store_ps(values, value);
      _mm256_store_ps(centers, c);
      _mm256_store_ps(tails, p);
      const float start = _mm256_cvtss_f32(base);
      for (; outside; outside &= outside - 1) {
        const int lane = __builtin_ctz(static_cast<unsigned>(outside));
        values[lane] = quantile_value(table, start, centers[lane], tails[lane]);
      }
      return _mm256_load_ps(values);
    }
  };

  // Eight vectors of words, sixteen blocks, in the order of the elements. Four chains of
  // multiplications keep the processor busy, and have more words than it has registers: words 1
  // and 3, which a round only passes on, wait in memory with the next key in them, where the next
  // round's exclusive or reads them.
  static WINIT_NO_INLINE void chunk(const RoundKeys& keys, const SharedRounds& shared,
                                    uint32_t block, U (&words)[8]) {
    constexpr int kChains = 4, kLast = kPhiloxRounds - 1;
    // Even lanes count the first two blocks of four and odd lanes the others: unpacking then
    // restores the order.
    const U order = _mm256_set_epi64x(3, 1, 2, 0);
    const U multiplier0 = splat_word(kPhiloxMultiplier0);
    const U multiplier1 = splat_word(kPhiloxMultiplier1);
    U word0[kChains], word1[kChains], word2[kChains], word3[kChains];
#pragma GCC unroll 4
    for (int i = 0; i < kChains; ++i) {
      const U lowest = _mm256_add_epi32(splat_word(block + static_cast<uint32_t>(4 * i)), order);
      const U product0 = _mm256_mul_epu32(lowest, multiplier0);
      const U mixed = _mm256_xor_si256(high(product0), splat_word(shared.round1));
      const U product1 = _mm256_mul_epu32(mixed, multiplier1);
      word0[i] = _mm256_xor_si256(high(product1), splat_word(shared.round2_0));
      wait(word1[i], product1, keys.first[2]);
      word2[i] = _mm256_xor_si256(product0, splat_word(shared.round2_2));
      word3[i] = splat_word(shared.word3 ^ keys.second[2]);
    }
#pragma GCC unroll 10
    for (int round = 2; round < kLast; ++round)
#pragma GCC unroll 4
      for (int i = 0; i < kChains; ++i) {
        const U product0 = _mm256_mul_epu32(word0[i], multiplier0);
        const U product1 = _mm256_mul_epu32(word2[i], multiplier1);
        word0[i] = _mm256_xor_si256(high(product1), word1[i]);
        wait(word1[i], product1, keys.first[round + 1]);
        word2[i] = _mm256_xor_si256(high(product0), word3[i]);
        wait(word3[i], product0, keys.second[round + 1]);
      }
    // The last round leaves two words in a 64-bit lane, the first in its low half.
#pragma GCC unroll 4
    for (int i = 0; i < kChains; ++i) {
      const U front = last_words(_mm256_mul_epu32(word2[i], multiplier1), word1[i]);
      const U back = last_words(_mm256_mul_epu32(word0[i], multiplier0), word3[i]);
      words[2 * i] = _mm256_unpacklo_epi64(front, back);
      words[2 * i + 1] = _mm256_unpackhi_epi64(front, back);
    }
  }
  static WINIT_HD_MEMBER U splat_word(uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
  }
  static WINIT_HD_MEMBER U high(U product) { return _mm256_srli_epi64(product, 32); }
  static WINIT_HD_MEMBER void wait(U& place, U product, uint32_t next_key) {
    place = _mm256_xor_si256(product, splat_word(next_key));
    __asm__("" : "+m"(place));
  }
  static WINIT_HD_MEMBER U last_words(U product, U word) {
    const U swapped = _mm256_shuffle_epi32(product, 0xB1);
    return _mm256_blend_epi32(_mm256_xor_si256(word, swapped), swapped, 0xAA);
  }

  static WINIT_HD_MEMBER void store(float* out, F value) { _mm256_storeu_ps(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { _mm256_stream_ps(out, value); }
  static WINIT_HD_MEMBER __m256i round_to_half(F first, F second) {
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return _mm256_set_m128i(_mm256_cvtps_ph(second, nearest), _mm256_cvtps_ph(first, nearest));
  }
  static WINIT_HD_MEMBER U rounded_high_half(F value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF)), 16);
  }
  static WINIT_HD_MEMBER __m256i round_to_bfloat16(F first, F second) {
    const U packed = _mm256_packus_epi32(rounded_high_half(first), rounded_high_half(second));
    return _mm256_permute4x64_epi64(packed, 0xD8);
  }
  // Two vectors of 16-bit values.
  static WINIT_HD_MEMBER void store_pair(uint16_t* out, __m256i values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), values);
  }
  static WINIT_HD_MEMBER void stream_pair(uint16_t* out, __m256i values) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(out), values);
  }

  // What the sparse passes take besides (sparse/lanes.h).
  // All ones where a <= b: there is no comparison of unsigned lanes.
  static WINIT_HD_MEMBER U up_to(U a, U b) { return _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a); }
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const U least = _mm256_set1_epi32(static_cast<int>(first));
    const U most = _mm256_set1_epi32(static_cast<int>(width));
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; i += kLanes) {
      const U word = _mm256_loadu_si256(reinterpret_cast<const U*>(words + i));
      const U in = up_to(_mm256_sub_epi32(word, least), most);
      inside |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(in))) << i;
      // Minus one where the word is not below, and one for each.
      U* const count = reinterpret_cast<U*>(below + i);
      const U one_or_zero = _mm256_add_epi32(up_to(least, word), _mm256_set1_epi32(1));
      _mm256_storeu_si256(count, _mm256_add_epi32(_mm256_loadu_si256(count), one_or_zero));
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    const U most = _mm256_loadu_si256(reinterpret_cast<const U*>(limit));
    return _mm256_andnot_ps(_mm256_castsi256_ps(up_to(order, most)), value);
  }
  static WINIT_HD_MEMBER F where_set(uint32_t bits, F value) {
    const U bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const U own = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), bit);
    return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(own, bit)), value);
  }
};

// Vectors of reals for the products of orthogonal matrices (orthogonal/lanes.h).
template <class Scalar>
struct Avx2Vectors;

template <>
struct Avx2Vectors<float> {
  using Real = float;
  using F = __m256;
  static constexpr int kLanes = 8, kRows = 4, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm256_loadu_ps(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm256_storeu_ps(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm256_set1_ps(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm256_add_ps(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
};

template <>
struct Avx2Vectors<double> {
  using Real = double;
  using F = __m256d;
  static constexpr int kLanes = 4, kRows = 4, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm256_loadu_pd(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm256_storeu_pd(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm256_set1_pd(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm256_add_pd(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm256_fmadd_pd(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm256_fnmadd_pd(a, b, c); }
};

// What isa.cpp is compiled for.
#define WINIT_HAS_ISA
using IsaLanes = Avx2;
template <class Real>
using IsaVectors = Avx2Vectors<Real>;

}  // namespace winit_cuda

#endif
