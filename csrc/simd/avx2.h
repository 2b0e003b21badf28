// The operations of values/scalar.h on eight float32 lanes, for AVX2 with FMA and F16C.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include "simd/avx2_double.h"
#include "simd/halves.h"

namespace winit_cuda {

// By eight bits: where the lanes with a bit are, and which of these a lane is, or -1.
struct Avx2Moves {
  alignas(64) int8_t set[256][8], rank[256][8];
  constexpr Avx2Moves() : set(), rank() {
    for (int bits = 0; bits < 256; ++bits)
      for (int lane = 0, count = 0; lane < 8; ++lane) {
        const bool is_set = bits >> lane & 1;
        rank[bits][lane] = static_cast<int8_t>(is_set ? count : -1);
        if (is_set) set[bits][count++] = static_cast<int8_t>(lane);
      }
  }
};
static constexpr Avx2Moves kAvx2Moves;

struct Avx2 {
  using U = __m256i;
  using F = __m256;
  using Real = float;
  using Double = Avx2Double;
  static constexpr int kLanes = 8, kBlocks = 16, kTogether = 2;
  static constexpr bool kOverlapping = false;

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

  // The entries of a segment lie side by side, with the scale multiplied in: the rows of eight
  // lanes are loaded whole, and transposed.
  struct Quantile {
    // center, a0, a1, a2, a3, a3, a4, a4: what is there twice saves a shuffle.
    static constexpr int kRow = 8;
    alignas(64) float rows[kSegments][kRow];
    F base;

    WINIT_HD_MEMBER Quantile(const float* table, float scale, float base_)
        : base(_mm256_set1_ps(base_)) {
      static_assert(kFloatDegree == 4);
      for (int segment = 0; segment < kSegments; ++segment)
        for (int i = 0; i < kRow; ++i) {
          const int entry = i < 4 ? i : 2 + i / 2;
          rows[segment][i] = scaled_entry(table, scale, entry * kSegments + segment);
        }
    }

    // Where the rows of the lanes begin, in bytes.
    struct Place {
      F p;
      alignas(32) uint32_t offset[kLanes];
      WINIT_HD_MEMBER void find(F p_) {
        p = p_;
        const U segment = _mm256_srli_epi32(_mm256_castps_si256(p), 16);
        _mm256_store_si256(reinterpret_cast<U*>(offset),
                           _mm256_and_si256(segment, _mm256_set1_epi32(0xFE0)));
      }
    };

    WINIT_HD_MEMBER F operator()(F c, const Place& place) const {
      const auto start = reinterpret_cast<const char*>(rows);
      const auto at = [&](int lane, int i) {
        return reinterpret_cast<const float*>(start + place.offset[lane]) + i;
      };
      // Lanes `lane` and `lane + 4`.
      const auto halves = [&](int lane, int i) {
        const F low = _mm256_castps128_ps256(_mm_load_ps(at(lane, i)));
        return _mm256_insertf128_ps(low, _mm_load_ps(at(lane + 4, i)), 1);
      };
      const F row0 = halves(0, 0), row1 = halves(1, 0), row2 = halves(2, 0), row3 = halves(3, 0);
      const F low01 = _mm256_unpacklo_ps(row0, row1), high01 = _mm256_unpackhi_ps(row0, row1);
      const F low23 = _mm256_unpacklo_ps(row2, row3), high23 = _mm256_unpackhi_ps(row2, row3);
      const F twice01 = _mm256_blend_ps(halves(0, 4), halves(1, 4), 0xAA);
      const F twice23 = _mm256_blend_ps(halves(2, 4), halves(3, 4), 0xAA);
      const U bits = _mm256_castps_si256(place.p);
      const U mantissa = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x001FFFFF)),
                                         _mm256_set1_epi32(0x3F800000));
      const F u = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), low_pairs(low01, low23));
      F rest = _mm256_fmadd_ps(high_pairs(twice01, twice23), u, low_pairs(twice01, twice23));
      rest = _mm256_fmadd_ps(rest, u, high_pairs(high01, high23));
      rest = _mm256_fmadd_ps(rest, u, low_pairs(high01, high23));
      return _mm256_fmadd_ps(c, high_pairs(low01, low23),
                             _mm256_fmadd_ps(_mm256_mul_ps(c, u), rest, base));
    }
  };
  static WINIT_HD_MEMBER F low_pairs(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  }
  static WINIT_HD_MEMBER F high_pairs(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  }

  static WINIT_HD_MEMBER void chunk(const RoundKeys& keys, const SharedRounds& shared,
                                    uint32_t block, U (&words)[8]) {
    make_words(keys, shared, block, words);
  }
  template <class Between>
  static WINIT_HD_MEMBER void chunk_pair(const RoundKeys& keys, const SharedRounds& shared,
                                         uint32_t first, uint32_t second, U (&words)[2][8],
                                         const Between&) {
    make_words(keys, shared, first, words[0]);
    make_words(keys, shared, second, words[1]);
  }

  // Eight vectors of words, sixteen blocks, in the order of the elements. Four chains of
  // multiplications keep the processor busy, and have as many words as it has registers: words 1
  // and 3, which a round only passes on, wait in memory with the next key in them, where the next
  // round's exclusive or reads them. Of more chains others would have to wait, too.
  static WINIT_NO_INLINE void make_words(const RoundKeys& keys, const SharedRounds& shared,
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
    const U bits = _mm256_castps_si256(value);
    const U odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF));
  }
  // The high 16 bits of each lane, side by side.
  static WINIT_HD_MEMBER U high_halves(U first, U second) {
    const U packed =
        _mm256_packus_epi32(_mm256_srli_epi32(first, 16), _mm256_srli_epi32(second, 16));
    return _mm256_permute4x64_epi64(packed, 0xD8);
  }
  static WINIT_HD_MEMBER U round_to_bfloat16(F first, F second) {
    return high_halves(rounded_high_half(first), rounded_high_half(second));
  }
  // Two vectors of 16-bit values.
  static WINIT_HD_MEMBER void store_pair(uint16_t* out, __m256i values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), values);
  }
  static WINIT_HD_MEMBER void stream_pair(uint16_t* out, __m256i values) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(out), values);
  }

  // What writes columns (fill/columns.h): two times 16 bytes.
  struct Lines {
    using V = __m256i;
    static constexpr int kParts = 2;
    static WINIT_HD_MEMBER V gather(const char* from, int64_t step) {
      const auto part = [&](int64_t i) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * step));
      };
      return _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V low(V a, V b) {
      if constexpr (kBytes == 1) return _mm256_unpacklo_epi8(a, b);
      if constexpr (kBytes == 2) return _mm256_unpacklo_epi16(a, b);
      if constexpr (kBytes == 4) return _mm256_unpacklo_epi32(a, b);
      if constexpr (kBytes == 8) return _mm256_unpacklo_epi64(a, b);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V high(V a, V b) {
      if constexpr (kBytes == 1) return _mm256_unpackhi_epi8(a, b);
      if constexpr (kBytes == 2) return _mm256_unpackhi_epi16(a, b);
      if constexpr (kBytes == 4) return _mm256_unpackhi_epi32(a, b);
      if constexpr (kBytes == 8) return _mm256_unpackhi_epi64(a, b);
    }
    static WINIT_HD_MEMBER void store(char* out, V value) {
      _mm256_storeu_si256(reinterpret_cast<V*>(out), value);
    }
  };

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
  static WINIT_HD_MEMBER U widened(const int8_t (&lanes)[kLanes]) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(lanes)));
  }
  static WINIT_HD_MEMBER void pack(U word, uint32_t bits, uint32_t* out) {
    const U packed = _mm256_permutevar8x32_epi32(word, widened(kAvx2Moves.set[bits]));
    _mm256_storeu_si256(reinterpret_cast<U*>(out), packed);
  }
  static WINIT_HD_MEMBER void spread(uint32_t bits, const float* in, F& value) {
    const U rank = widened(kAvx2Moves.rank[bits]);
    value = _mm256_permutevar8x32_ps(_mm256_loadu_ps(in), rank);
    value = _mm256_blendv_ps(value, _mm256_setzero_ps(), _mm256_castsi256_ps(rank));
  }
  static WINIT_HD_MEMBER U load(const void* words) {
    return _mm256_loadu_si256(static_cast<const U*>(words));
  }
  static WINIT_HD_MEMBER U halves_up_to(U a, U b) {
    return _mm256_cmpeq_epi16(_mm256_min_epu16(a, b), a);
  }
  static WINIT_HD_MEMBER void keep(const U (*words)[8], uint16_t bound, uint16_t* upper,
                                   uint16_t* held) {
    const U bounds = _mm256_set1_epi16(static_cast<int16_t>(bound));
    for (int i = 0; i < 4; ++i) {
      const U halves = high_halves(words[0][2 * i], words[0][2 * i + 1]);
      U* const count = reinterpret_cast<U*>(held + 16 * i);
      _mm256_storeu_si256(reinterpret_cast<U*>(upper + 16 * i), halves);
      _mm256_storeu_si256(count, _mm256_sub_epi16(load(count), halves_up_to(halves, bounds)));
    }
  }
  static WINIT_HD_MEMBER uint64_t within(const uint16_t* halves, const uint16_t* first,
                                         const uint16_t* width) {
    const auto inside = [&](int lane) {
      const U distance = _mm256_sub_epi16(load(halves + lane), load(first + lane));
      return halves_up_to(distance, load(width + lane));
    };
    const auto mask = [&](int lane) {
      const U bytes = _mm256_packs_epi16(inside(lane), inside(lane + 16));
      const U ordered = _mm256_permute4x64_epi64(bytes, 0xD8);
      return uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(ordered))};
    };
    return mask(0) | mask(32) << 32;
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
