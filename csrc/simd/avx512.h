// The operations of values/scalar.h on sixteen float32 lanes, for AVX-512 (F, BW, DQ, VL, CD).
#pragma once

#if defined(__x86_64__)

// GCC's own AVX-512 header trips these warnings (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <utility>

#include "simd/avx512_double.h"

namespace winit_cuda {

struct WideAvx512 {
  using W = __m512i;
  static WINIT_HD_MEMBER W splat(uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }
  static WINIT_HD_MEMBER W high(W a) { return _mm512_srli_epi64(a, 32); }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) { return _mm512_mul_epu32(a, multiplier); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b) { return _mm512_xor_si512(a, b); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
  }
};

struct Avx512 {
  using U = __m512i;
  using F = __m512;
  using Real = float;
  using Double = Avx512Double;
  static constexpr int kLanes = 16, kBlocks = 16, kTogether = 2;
  static constexpr bool kOverlapping = true;

  static WINIT_HD_MEMBER F splat(float value) { return _mm512_set1_ps(value); }
  static WINIT_HD_MEMBER F from_middle(U word) { return _mm512_cvtepi32_ps(word); }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    x = from_middle(word);
    t = _mm512_cvt_roundepi32_ps(_mm512_xor_si512(word, _mm512_set1_epi32(INT32_MIN)),
                                 _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  }
  static WINIT_HD_MEMBER F absolute(F value) { return _mm512_abs_ps(value); }
  // value | (other & sign)
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(value),
                                                         _mm512_castps_si512(other),
                                                         _mm512_set1_epi32(INT32_MIN), 0xF8));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(word), otherwise, when_negative);
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return _mm512_mul_ps(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm512_sub_ps(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm512_min_ps(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm512_max_ps(b, a); }

  // The octaves 23 ... 30 of p are 32 segments: one two-register permutation an entry. The one word
  // in 256 that lies further out is looked up on its own.
  struct Quantile {
    static constexpr int kWindow = 32;
    const float* table;
    F scale, base;
    F low[kFloatDegree + 2], high[kFloatDegree + 2];

    WINIT_HD_MEMBER Quantile(const float* table_, float scale_, float base_)
        : table(table_), scale(_mm512_set1_ps(scale_)), base(_mm512_set1_ps(base_)) {
      // A permutation reads the low five bits of the segment's number.
      constexpr int first = octave_column(23);
      static_assert(first % kWindow == 24, "two registers hold segments 8..31, 0..7 of the window");
      for (int row = 0; row < kFloatDegree + 2; ++row) {
        const float* window = table + row * kSegments + first;
        low[row] = _mm512_loadu_ps(window + 8);
        high[row] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(window + 24)),
                                       _mm256_loadu_ps(window), 1);
        if (row == 0) continue;
        low[row] = _mm512_mul_ps(low[row], scale);
        high[row] = _mm512_mul_ps(high[row], scale);
      }
    }

    // A p that is taken as if it were in those octaves.
    struct Inside {
      F p;
    };
    // The lanes that are not.
    static WINIT_HD_MEMBER __mmask16 outside(F p) {
      return _mm512_cmplt_ps_mask(absolute(p), _mm512_set1_ps(0x1p23f));
    }

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const F value = (*this)(c, Inside{p});
      const __mmask16 lanes = outside(p);
      return __builtin_expect(lanes != 0, 0) ? look_up_outside(value, c, p, lanes) : value;
    }
    WINIT_HD_MEMBER F operator()(F c, Inside inside) const {
      const U bits = _mm512_castps_si512(inside.p);
      const U segment = _mm512_srli_epi32(bits, 21);
      const auto entry = [&](int row) {
        return _mm512_permutex2var_ps(low[row], segment, high[row]);
      };
      const F u = _mm512_sub_ps(mantissa_of(bits), entry(0));
      F rest = entry(kFloatDegree + 1);
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = _mm512_fmadd_ps(rest, u, entry(power + 1));
      return _mm512_fmadd_ps(c, entry(1), _mm512_fmadd_ps(_mm512_mul_ps(c, u), rest, base));
    }

    static WINIT_HD_MEMBER F mantissa_of(U bits) {
      const U one = _mm512_set1_epi32(0x3F800000), fraction = _mm512_set1_epi32(0x001FFFFF);
      return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bits, fraction, one, 0xEA));
    }

    // Mostly one lane.
    __attribute__((noinline)) F look_up_outside(F value, F c, F p, __mmask16 outside) const {
      const float factor = _mm512_cvtss_f32(scale), start = _mm512_cvtss_f32(base);
      for (unsigned rest = outside; rest; rest &= rest - 1) {
        const __mmask16 lane = static_cast<__mmask16>(rest & (0u - rest));
        const float center = _mm512_cvtss_f32(_mm512_maskz_compress_ps(lane, c));
        const float tail = _mm512_cvtss_f32(_mm512_maskz_compress_ps(lane, p));
        float column[kFloatDegree + 2];
        const float* first = table + ((bits_of(tail) >> 21) & (kSegments - 1));
        for (int row = 0; row < kFloatDegree + 2; ++row)
          column[row] = row ? first[row * kSegments] * factor : first[0];
        const float found = polynomial_value(column, 1, start, center, tail);
        value = _mm512_mask_blend_ps(lane, value, _mm512_set1_ps(found));
      }
      return value;
    }
  };

  // Eight blocks are two vectors of words, in the order of the elements.
  using Pair = WidePair<WideAvx512>;
  static WINIT_HD_MEMBER void chunk(const RoundKeys& keys, const SharedRounds& shared,
                                    uint32_t block, U (&words)[4]) {
    Pair::W counter[4];
    all_but_last<Pair>(keys, shared, counters(block), counter, [](int) {});
    last_round(keys, counter, words);
  }
  // Two chunks: four chains of multiplications keep the processor busy where two do not. They wait
  // for each other all the same: between the rounds is time for other work, between(0 ... 7).
  template <class Between>
  static WINIT_HD_MEMBER void chunk_pair(const RoundKeys& keys, const SharedRounds& shared,
                                         uint32_t first, uint32_t second, U (&words)[2][4],
                                         const Between& between) {
    using Four = WidePair<Pair>;
    Four::W counter[4];
    all_but_last<Four>(keys, shared, {counters(first), counters(second)}, counter, between);
    const Pair::W one[4] = {counter[0].first, counter[1].first, counter[2].first, counter[3].first};
    const Pair::W other[4] = {counter[0].second, counter[1].second, counter[2].second,
                              counter[3].second};
    last_round(keys, one, words[0]);
    last_round(keys, other, words[1]);
  }

  // Even lanes count the first four blocks of eight and odd lanes the others: unpacking then
  // restores the order.
  static WINIT_HD_MEMBER Pair::W counters(uint32_t block) {
    const U lowest = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(block)),
                                      _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0));
    return {lowest, _mm512_add_epi32(lowest, _mm512_set1_epi32(8))};
  }
  template <class Wide, class Between>
  static WINIT_HD_MEMBER void all_but_last(const RoundKeys& keys, const SharedRounds& shared,
                                           typename Wide::W lowest, typename Wide::W (&counter)[4],
                                           const Between& between) {
    two_rounds<Wide>(shared, lowest, counter);
    between(0);
    middle_rounds<Wide>(keys, counter, between,
                        std::make_integer_sequence<int, kPhiloxRounds - 3>{});
  }
  template <class Wide, class Between, int... kRounds>
  static WINIT_HD_MEMBER void middle_rounds(const RoundKeys& keys, typename Wide::W (&counter)[4],
                                            const Between& between,
                                            std::integer_sequence<int, kRounds...>) {
    ((philox_rounds<Wide, 2 + kRounds, 3 + kRounds>(keys, counter), between(1 + kRounds)), ...);
  }
  // The last round leaves two words in a 64-bit lane, the first in its low half.
  static WINIT_HD_MEMBER void last_round(const RoundKeys& keys, const Pair::W (&counter)[4],
                                         U (&words)[4]) {
    constexpr int last = kPhiloxRounds - 1;
    const auto finish = [&](U first, U second, U third, U fourth, U* out) {
      const U front = last_words(third, kPhiloxMultiplier1, second, keys.first[last]);
      const U back = last_words(first, kPhiloxMultiplier0, fourth, keys.second[last]);
      out[0] = _mm512_unpacklo_epi64(front, back);
      out[1] = _mm512_unpackhi_epi64(front, back);
    };
    finish(counter[0].first, counter[1].first, counter[2].first, counter[3].first, words);
    finish(counter[0].second, counter[1].second, counter[2].second, counter[3].second, words + 2);
  }
  static WINIT_HD_MEMBER U last_words(U factor, uint32_t multiplier, U word, uint32_t key) {
    const U product = WideAvx512::multiply(factor, WideAvx512::splat(multiplier));
    return _mm512_mask_ternarylogic_epi32(_mm512_ror_epi64(product, 32), 0x5555, word,
                                          WideAvx512::splat(key), 0x96);
  }

  static WINIT_HD_MEMBER void store(float* out, F value) { _mm512_storeu_ps(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { _mm512_stream_ps(out, value); }
  static WINIT_HD_MEMBER U round_to_half(F first, F second) {
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtps_ph(first, nearest)),
                              _mm512_cvtps_ph(second, nearest), 1);
  }
  static WINIT_HD_MEMBER U rounded_high_half(F value) {
    const U bits = _mm512_castps_si512(value);
    const U odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
  }
  // The high 16 bits of each lane, side by side.
  static WINIT_HD_MEMBER U high_halves(U first, U second) {
    const U order = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33,
                                     31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(first, order, second);
  }
  static WINIT_HD_MEMBER U round_to_bfloat16(F first, F second) {
    return high_halves(rounded_high_half(first), rounded_high_half(second));
  }
  // Two vectors of 16-bit values.
  static WINIT_HD_MEMBER void store_pair(uint16_t* out, U values) {
    _mm512_storeu_si512(out, values);
  }
  static WINIT_HD_MEMBER void stream_pair(uint16_t* out, U values) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(out), values);
  }

  // What writes columns (fill/columns.h): four times 16 bytes.
  struct Lines {
    using V = __m512i;
    static constexpr int kParts = 4;
    static WINIT_HD_MEMBER V gather(const char* from, int64_t step) {
      const auto part = [&](int64_t i) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * step));
      };
      const __m256i front = _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
      const V most = _mm512_inserti32x4(_mm512_castsi256_si512(front), part(2), 2);
      return _mm512_inserti32x4(most, part(3), 3);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V low(V a, V b) {
      if constexpr (kBytes == 1) return _mm512_unpacklo_epi8(a, b);
      if constexpr (kBytes == 2) return _mm512_unpacklo_epi16(a, b);
      if constexpr (kBytes == 4) return _mm512_unpacklo_epi32(a, b);
      if constexpr (kBytes == 8) return _mm512_unpacklo_epi64(a, b);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V high(V a, V b) {
      if constexpr (kBytes == 1) return _mm512_unpackhi_epi8(a, b);
      if constexpr (kBytes == 2) return _mm512_unpackhi_epi16(a, b);
      if constexpr (kBytes == 4) return _mm512_unpackhi_epi32(a, b);
      if constexpr (kBytes == 8) return _mm512_unpackhi_epi64(a, b);
    }
    static WINIT_HD_MEMBER void store(char* out, V value) { _mm512_storeu_si512(out, value); }
    static WINIT_HD_MEMBER void stream(char* out, V value) {
      _mm512_stream_si512(reinterpret_cast<V*>(out), value);
    }
    // 32 bytes of elements to every second place of 64; what lies between stays.
    template <int kBytes>
    static WINIT_HD_MEMBER void store_every_second(const char* from, char* out) {
      const __m256i dense = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      if constexpr (kBytes == 1)
        _mm512_mask_storeu_epi8(out, 0x5555555555555555, _mm512_cvtepu8_epi16(dense));
      if constexpr (kBytes == 2)
        _mm512_mask_storeu_epi16(out, 0x55555555, _mm512_cvtepu16_epi32(dense));
      if constexpr (kBytes == 4)
        _mm512_mask_storeu_epi32(out, 0x5555, _mm512_cvtepu32_epi64(dense));
    }
  };

  // What the sparse passes take besides (sparse/lanes.h).
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const U least = _mm512_set1_epi32(static_cast<int>(first));
    const U word = _mm512_loadu_si512(words);
    const U count = _mm512_loadu_si512(below);
    _mm512_storeu_si512(below, _mm512_mask_add_epi32(count, _mm512_cmplt_epu32_mask(word, least),
                                                     count, _mm512_set1_epi32(1)));
    return _mm512_cmple_epu32_mask(_mm512_sub_epi32(word, least),
                                   _mm512_set1_epi32(static_cast<int>(width)));
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    return _mm512_maskz_mov_ps(_mm512_cmpgt_epu32_mask(order, _mm512_loadu_si512(limit)), value);
  }
  static WINIT_HD_MEMBER void pack(U word, uint32_t bits, uint32_t* out) {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), word));
  }
  static WINIT_HD_MEMBER void spread(uint32_t bits, const float* in, F& value) {
    value = _mm512_maskz_expand_ps(static_cast<__mmask16>(bits), _mm512_loadu_ps(in));
  }
  static WINIT_HD_MEMBER void keep(const U (*words)[4], uint16_t bound, uint16_t* upper,
                                   uint16_t* held) {
    const U bounds = _mm512_set1_epi16(static_cast<int16_t>(bound));
    for (int i = 0; i < 2; ++i) {
      const U halves = high_halves(words[0][2 * i], words[0][2 * i + 1]);
      _mm512_storeu_si512(upper + 32 * i, halves);
      const U count = _mm512_loadu_si512(held + 32 * i);
      const auto counted = _mm512_cmple_epu16_mask(halves, bounds);
      _mm512_storeu_si512(held + 32 * i,
                          _mm512_mask_add_epi16(count, counted, count, _mm512_set1_epi16(1)));
    }
  }
  static WINIT_HD_MEMBER uint64_t within(const uint16_t* halves, const uint16_t* first,
                                         const uint16_t* width) {
    const auto mask = [&](int lane) {
      const U distance =
          _mm512_sub_epi16(_mm512_loadu_si512(halves + lane), _mm512_loadu_si512(first + lane));
      return uint64_t{_mm512_cmple_epu16_mask(distance, _mm512_loadu_si512(width + lane))};
    };
    return mask(0) | mask(32) << 32;
  }
};

// Vectors of reals for the products of orthogonal matrices (orthogonal/lanes.h).
template <class Scalar>
struct Avx512Vectors;

template <>
struct Avx512Vectors<float> {
  using Real = float;
  using F = __m512;
  static constexpr int kLanes = 16, kRows = 14, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm512_loadu_ps(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm512_storeu_ps(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm512_set1_ps(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm512_add_ps(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
};

template <>
struct Avx512Vectors<double> {
  using Real = double;
  using F = __m512d;
  static constexpr int kLanes = 8, kRows = 14, kWidth = 2;

  static WINIT_HD_MEMBER F load(const Real* in) { return _mm512_loadu_pd(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { _mm512_storeu_pd(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return _mm512_set1_pd(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return _mm512_add_pd(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return _mm512_fmadd_pd(a, b, c); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return _mm512_fnmadd_pd(a, b, c); }
};

// What isa.cpp is compiled for.
#define WINIT_HAS_ISA
using IsaLanes = Avx512;
template <class Real>
using IsaVectors = Avx512Vectors<Real>;

}  // namespace winit_cuda

#endif
