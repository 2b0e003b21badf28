// The operations of values/scalar.h on four float32 lanes, for SSE2, which every x86-64 processor
// has. There is no fma instruction: a * b + c is exact to float32 by way of float64.
#pragma once

#if defined(__x86_64__)

#include <emmintrin.h>

#include <algorithm>
#include <cmath>

#include "simd/halves.h"
#include "simd/scalar_vectors.h"
#include "simd/sse2_double.h"
#include "values/maps.h"

namespace winit_cuda {

struct WideSse2 {
  using W = __m128i;
  static WINIT_HD_MEMBER W splat(uint32_t word) { return _mm_set1_epi32(static_cast<int>(word)); }
  static WINIT_HD_MEMBER W high(W a) { return _mm_srli_epi64(a, 32); }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) { return _mm_mul_epu32(a, multiplier); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b) { return _mm_xor_si128(a, b); }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return _mm_xor_si128(_mm_xor_si128(a, b), c);
  }
};

// Four floats as doubles. A product of floats is exact there, and a sum is rounded to 53 bits.
// Rounding that once more, to 24 bits, goes wrong only where it lies half way between two floats.
struct Sse2Doubles {
  __m128d low, high;

  static WINIT_HD_MEMBER Sse2Doubles of(__m128 a) {
    return {_mm_cvtps_pd(a), _mm_cvtps_pd(_mm_movehl_ps(a, a))};
  }
  static WINIT_HD_MEMBER Sse2Doubles splat(double a) { return {_mm_set1_pd(a), _mm_set1_pd(a)}; }
  static WINIT_HD_MEMBER Sse2Doubles product(Sse2Doubles a, Sse2Doubles b) {
    return {_mm_mul_pd(a.low, b.low), _mm_mul_pd(a.high, b.high)};
  }
  WINIT_HD_MEMBER __m128 floats() const {
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
  }
  WINIT_HD_MEMBER Sse2Doubles rounded_to_floats() const {
    return {_mm_cvtps_pd(_mm_cvtpd_ps(low)), _mm_cvtps_pd(_mm_cvtpd_ps(high))};
  }
  // a * b + c, to be rounded to floats. It is rounded to odd, which is never half way, but where
  // it is exact.
  static WINIT_HD_MEMBER Sse2Doubles to_odd(Sse2Doubles a, Sse2Doubles b, Sse2Doubles c) {
    const Sse2Doubles ab = product(a, b);
    return {Sse2Exact::sum_to_odd(ab.low, c.low), Sse2Exact::sum_to_odd(ab.high, c.high)};
  }
  // The same in fewer steps, for floats that are not below 2^-126. Sets the lanes of `half_way`
  // whose low 29 bits are `half`, 0x10000000: about one in 2^29 of a polynomial's.
  static WINIT_HD_MEMBER Sse2Doubles quick(Sse2Doubles a, Sse2Doubles b, Sse2Doubles c,
                                           __m128i half, __m128i& half_way) {
    const Sse2Doubles ab = product(a, b);
    const Sse2Doubles sum = {_mm_add_pd(ab.low, c.low), _mm_add_pd(ab.high, c.high)};
    const __m128i last = _mm_castps_si128(
        _mm_shuffle_ps(_mm_castpd_ps(sum.low), _mm_castpd_ps(sum.high), _MM_SHUFFLE(2, 0, 2, 0)));
    const __m128i dropped = _mm_and_si128(last, _mm_set1_epi32(0x1FFFFFFF));
    half_way = _mm_or_si128(half_way, _mm_cmpeq_epi32(dropped, half));
    return sum;
  }
};

struct Sse2 : simd::HalvesWithoutMasks<Sse2> {
  using U = __m128i;
  using F = __m128;
  using Real = float;
  using Double = Sse2Double;
  static constexpr int kLanes = 4, kBlocks = 8, kTogether = 1;
  static constexpr bool kOverlapping = false;

  static WINIT_HD_MEMBER F splat(float value) { return _mm_set1_ps(value); }
  static WINIT_HD_MEMBER F from_middle(U word) { return _mm_cvtepi32_ps(word); }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    x = from_middle(word);
    const U integer = _mm_xor_si128(word, _mm_set1_epi32(INT32_MIN));
    // toward_zero of values/scalar.h; 2^31 becomes -2^31, whose sign bit is set already.
    const U sign = _mm_srai_epi32(integer, 31);
    const U size = _mm_sub_epi32(_mm_xor_si128(integer, sign), sign);
    const F rounded = _mm_cvtepi32_ps(_mm_andnot_si128(_mm_srli_epi32(size, 24), size));
    t = _mm_or_ps(rounded, sign_of(_mm_castsi128_ps(integer)));
  }
  static WINIT_HD_MEMBER F sign_of(F value) { return _mm_and_ps(_mm_set1_ps(-0.0f), value); }
  static WINIT_HD_MEMBER F absolute(F value) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), value); }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return _mm_or_ps(value, sign_of(other));
  }
  static WINIT_HD_MEMBER F choose(U mask, F where_set, F otherwise) {
    const F set = _mm_castsi128_ps(mask);
    return _mm_or_ps(_mm_and_ps(set, where_set), _mm_andnot_ps(set, otherwise));
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return choose(_mm_srai_epi32(word, 31), when_negative, otherwise);
  }
  static WINIT_HD_MEMBER U half() { return _mm_set1_epi32(0x10000000); }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) {
    U half_way = _mm_setzero_si128();
    const F value = Sse2Doubles::quick(Sse2Doubles::of(a), Sse2Doubles::of(b), Sse2Doubles::of(c),
                                       half(), half_way)
                        .floats();
    return __builtin_expect(is_unsure(value, half_way), 0) ? exact_fma(a, b, c) : value;
  }
  static WINIT_HD_MEMBER bool is_unsure(F value, U half_way) {
    const F is_small = _mm_cmplt_ps(absolute(value), _mm_set1_ps(0x1p-126f));
    return _mm_movemask_ps(_mm_or_ps(_mm_castsi128_ps(half_way), is_small)) != 0;
  }
  WINIT_NO_INLINE static F exact_fma(F a, F b, F c) {
    return Sse2Doubles::to_odd(Sse2Doubles::of(a), Sse2Doubles::of(b), Sse2Doubles::of(c)).floats();
  }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return _mm_mul_ps(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return _mm_sub_ps(a, b); }
  // The operand order gives the scalar versions' choice between zeros of unlike sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return _mm_min_ps(b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return _mm_max_ps(b, a); }

  // The entries of a segment lie side by side, with the scale multiplied in, as doubles.
  //
  // Vectors with a lane half way are made again one by one, and those with a value below 2^-126:
  // floats have fewer bits there, and half way is elsewhere. On the way to the value it does not
  // matter. u is a multiple of 2^-23, and so a sum of rest * u below 2^-126 is exact, of 46 bits;
  // so is that of the base, which is zero or at least 2^-125 or has all vectors made again.
  struct Quantile {
    static constexpr int kRows = kFloatDegree + 2, kLine = 8;
    alignas(64) double lines[kSegments][kLine];
    double base;
    U always;  // all ones where every vector is made again

    WINIT_HD_MEMBER Quantile(const float* table, float scale, float base_)
        : base(base_), always(_mm_set1_epi32(base_ != 0 && magnitude(base_) < 0x1p-125f ? -1 : 0)) {
      const F factor = _mm_set1_ps(scale);
      for (int row = 0; row < kRows; row += 2)
        for (int segment = 0; segment < kSegments; segment += kLanes) {
          const float* const entries = table + row * kSegments + segment;
          const F first =
              row == 0 ? _mm_loadu_ps(entries) : _mm_mul_ps(_mm_loadu_ps(entries), factor);
          const F second = _mm_mul_ps(_mm_loadu_ps(entries + kSegments), factor);
          const Sse2Doubles front = Sse2Doubles::of(_mm_unpacklo_ps(first, second));
          const Sse2Doubles back = Sse2Doubles::of(_mm_unpackhi_ps(first, second));
          _mm_store_pd(lines[segment] + row, front.low);
          _mm_store_pd(lines[segment + 1] + row, front.high);
          _mm_store_pd(lines[segment + 2] + row, back.low);
          _mm_store_pd(lines[segment + 3] + row, back.high);
        }
    }

    // Where the lines of the lanes begin, in bytes.
    struct Place {
      F p;
      alignas(16) uint32_t offset[kLanes];
      WINIT_HD_MEMBER void find(F p_) {
        p = p_;
        const U segment = _mm_srli_epi32(_mm_castps_si128(p), 15);
        _mm_store_si128(reinterpret_cast<U*>(offset),
                        _mm_and_si128(segment, _mm_set1_epi32(0x1FC0)));
      }
    };

    WINIT_HD_MEMBER F operator()(F c, const Place& place) const {
      const F p = place.p;
      const U bits = _mm_castps_si128(p);
      Sse2Doubles entries[kRows];
      load(place.offset, entries);
      const F mantissa = _mm_castsi128_ps(_mm_or_si128(
          _mm_and_si128(bits, _mm_set1_epi32(0x001FFFFF)), _mm_set1_epi32(0x3F800000)));
      const Sse2Doubles whole = Sse2Doubles::of(mantissa), center = Sse2Doubles::of(c);
      const Sse2Doubles u = {_mm_sub_pd(whole.low, entries[0].low),
                             _mm_sub_pd(whole.high, entries[0].high)};
      U wrong = always;
      Sse2Doubles rest = entries[kRows - 1];
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = Sse2Doubles::quick(rest, u, entries[power + 1], half(), wrong).rounded_to_floats();
      const Sse2Doubles bent =
          Sse2Doubles::quick(Sse2Doubles::product(center, u).rounded_to_floats(), rest,
                             Sse2Doubles::splat(base), half(), wrong)
              .rounded_to_floats();
      const F value = Sse2Doubles::quick(center, entries[1], bent, half(), wrong).floats();
      return __builtin_expect(is_unsure(value, wrong), 0) ? one_by_one(c, p) : value;
    }

   private:
    WINIT_HD_MEMBER void load(const uint32_t (&offset)[kLanes],
                              Sse2Doubles (&entries)[kRows]) const {
      const auto line = [&](int lane) {
        return reinterpret_cast<const double*>(reinterpret_cast<const char*>(lines) + offset[lane]);
      };
      const double *const a = line(0), *const b = line(1), *const c = line(2), *const d = line(3);
#pragma GCC unroll 8
      for (int row = 0; row < kRows; row += 2) {
        const __m128d of_a = _mm_load_pd(a + row), of_b = _mm_load_pd(b + row);
        const __m128d of_c = _mm_load_pd(c + row), of_d = _mm_load_pd(d + row);
        entries[row] = {_mm_unpacklo_pd(of_a, of_b), _mm_unpacklo_pd(of_c, of_d)};
        entries[row + 1] = {_mm_unpackhi_pd(of_a, of_b), _mm_unpackhi_pd(of_c, of_d)};
      }
    }

    WINIT_NO_INLINE F one_by_one(F c, F p) const {
      alignas(16) float centers[kLanes], tails[kLanes], values[kLanes];
      _mm_store_ps(centers, c);
      _mm_store_ps(tails, p);
      for (int i = 0; i < kLanes; ++i) {
        float line[kRows];
        const double* const from = lines[(bits_of(tails[i]) >> 21) & (kSegments - 1)];
        for (int row = 0; row < kRows; ++row) line[row] = static_cast<float>(from[row]);
        values[i] = polynomial_value(line, 1, static_cast<float>(base), centers[i], tails[i]);
      }
      return _mm_load_ps(values);
    }
  };

  // Eight vectors of words, eight blocks, in the order of the elements. Four chains of
  // multiplications: of eight, too much has to leave the registers.
  static WINIT_HD_MEMBER void chunk(const RoundKeys& keys, const SharedRounds& shared,
                                    uint32_t block, U (&words)[8]) {
    constexpr int last = kPhiloxRounds - 1;
    using Pair = WidePair<WideSse2>;
    using Four = WidePair<Pair>;
    const auto counters = [&](uint32_t first) {
      return _mm_add_epi32(_mm_set1_epi32(static_cast<int>(first)), _mm_set_epi64x(1, 0));
    };
    Four::W counter[4];
    two_rounds<Four>(
        shared,
        {{counters(block), counters(block + 2)}, {counters(block + 4), counters(block + 6)}},
        counter);
    philox_rounds<Four, 2, last>(keys, counter);
    // The last round leaves two words in a 64-bit lane, the first in its low half.
    const auto finish = [&](U first, U second, U third, U fourth, U* out) {
      const U front = last_words(third, kPhiloxMultiplier1, second, keys.first[last]);
      const U back = last_words(first, kPhiloxMultiplier0, fourth, keys.second[last]);
      out[0] = _mm_unpacklo_epi64(front, back);
      out[1] = _mm_unpackhi_epi64(front, back);
    };
    const auto finish_pair = [&](Pair::W first, Pair::W second, Pair::W third, Pair::W fourth,
                                 U* out) {
      finish(first.first, second.first, third.first, fourth.first, out);
      finish(first.second, second.second, third.second, fourth.second, out + 2);
    };
    finish_pair(counter[0].first, counter[1].first, counter[2].first, counter[3].first, words);
    finish_pair(counter[0].second, counter[1].second, counter[2].second, counter[3].second,
                words + 4);
  }

  static WINIT_HD_MEMBER U last_words(U factor, uint32_t multiplier, U word, uint32_t key) {
    const U product = WideSse2::multiply(factor, WideSse2::splat(multiplier));
    const U mixed =
        _mm_and_si128(_mm_xor_si128(word, WideSse2::splat(key)), _mm_set1_epi64x(0xFFFFFFFF));
    return _mm_xor_si128(_mm_shuffle_epi32(product, 0xB1), mixed);
  }

  static WINIT_HD_MEMBER void store(float* out, F value) { _mm_storeu_ps(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { _mm_stream_ps(out, value); }
  // round_to_bits of values/dtype.h, with the sign in the upper half of a lane, too, as packing
  // with saturation wants it.
  static WINIT_HD_MEMBER U half_bits(F value) {
    const F size = absolute(value);
    const U bits = _mm_castps_si128(size);
    const U anchor = _mm_set1_epi32(0x3F000000);  // 1/2, whose last bit is float16's last
    const U subnormal =
        _mm_sub_epi32(_mm_castps_si128(_mm_add_ps(size, _mm_castsi128_ps(anchor))), anchor);
    const U odd = _mm_and_si128(_mm_srli_epi32(bits, 13), _mm_set1_epi32(1));
    const U carried = _mm_add_epi32(_mm_add_epi32(bits, odd), _mm_set1_epi32(0xFFF));
    const U normal = _mm_sub_epi32(_mm_srli_epi32(carried, 13), _mm_set1_epi32(112 << 10));
    const F rounded = choose(_mm_cmplt_epi32(bits, _mm_set1_epi32(113 << 23)),
                             _mm_castsi128_ps(subnormal), _mm_castsi128_ps(normal));
    return _mm_or_si128(_mm_castps_si128(rounded),
                        _mm_srai_epi32(_mm_castps_si128(sign_of(value)), 16));
  }
  static WINIT_HD_MEMBER U round_to_half(F first, F second) {
    return _mm_packs_epi32(half_bits(first), half_bits(second));
  }
  static WINIT_HD_MEMBER U rounded_high_half(F value) {
    const U bits = _mm_castps_si128(value);
    const U odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
    return _mm_srai_epi32(_mm_add_epi32(_mm_add_epi32(bits, odd), _mm_set1_epi32(0x7FFF)), 16);
  }
  static WINIT_HD_MEMBER U round_to_bfloat16(F first, F second) {
    return _mm_packs_epi32(rounded_high_half(first), rounded_high_half(second));
  }
  // Two vectors of 16-bit values.
  static WINIT_HD_MEMBER void store_pair(uint16_t* out, U values) {
    _mm_storeu_si128(reinterpret_cast<U*>(out), values);
  }
  static WINIT_HD_MEMBER void stream_pair(uint16_t* out, U values) {
    _mm_stream_si128(reinterpret_cast<U*>(out), values);
  }

  // What writes columns (fill/columns.h).
  struct Lines {
    using V = __m128i;
    static constexpr int kParts = 1;
    static WINIT_HD_MEMBER V gather(const char* from, int64_t) {
      return _mm_loadu_si128(reinterpret_cast<const V*>(from));
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V low(V a, V b) {
      if constexpr (kBytes == 1) return _mm_unpacklo_epi8(a, b);
      if constexpr (kBytes == 2) return _mm_unpacklo_epi16(a, b);
      if constexpr (kBytes == 4) return _mm_unpacklo_epi32(a, b);
      if constexpr (kBytes == 8) return _mm_unpacklo_epi64(a, b);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V high(V a, V b) {
      if constexpr (kBytes == 1) return _mm_unpackhi_epi8(a, b);
      if constexpr (kBytes == 2) return _mm_unpackhi_epi16(a, b);
      if constexpr (kBytes == 4) return _mm_unpackhi_epi32(a, b);
      if constexpr (kBytes == 8) return _mm_unpackhi_epi64(a, b);
    }
    static WINIT_HD_MEMBER void store(char* out, V value) {
      _mm_storeu_si128(reinterpret_cast<V*>(out), value);
    }
  };

  // What the sparse passes take besides (sparse/lanes.h).
  // All ones where a > b: only lanes with a sign can be compared.
  static WINIT_HD_MEMBER U above(U a, U b) {
    const U sign = _mm_set1_epi32(INT32_MIN);
    return _mm_cmpgt_epi32(_mm_xor_si128(a, sign), _mm_xor_si128(b, sign));
  }
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const U least = _mm_set1_epi32(static_cast<int>(first));
    const U most = _mm_set1_epi32(static_cast<int>(width));
    uint32_t outside = 0;
    for (int i = 0; i < simd::kGroup; i += kLanes) {
      const U word = _mm_loadu_si128(reinterpret_cast<const U*>(words + i));
      const U out = above(_mm_sub_epi32(word, least), most);
      outside |= static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(out))) << i;
      U* const count = reinterpret_cast<U*>(below + i);
      _mm_storeu_si128(count, _mm_sub_epi32(_mm_loadu_si128(count), above(least, word)));
    }
    return outside ^ 0xFFFF;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    const U most = _mm_loadu_si128(reinterpret_cast<const U*>(limit));
    return _mm_and_ps(_mm_castsi128_ps(above(order, most)), value);
  }
};

// Where every sum is exact as a double, as that of uniform_(0, 1) is, half way is what it is.
template <>
struct Line<Sse2> {
  using F = __m128;
  float slope, start;
  __m128i half;  // 0x10000000, or what no low bits are

  WINIT_HD_MEMBER Line(float slope_, float start_)
      : slope(slope_), start(start_), half(Sse2::half()) {
    const double most = std::abs(static_cast<double>(start)) + 0x1p31 * std::abs(slope);
    if (most < 0x1p53 * std::min(last_bit(slope), last_bit(start))) half = _mm_set1_epi32(-1);
  }
  WINIT_HD_MEMBER F operator()(F x) const {
    __m128i half_way = _mm_setzero_si128();
    const F value = Sse2Doubles::quick(Sse2Doubles::of(x), Sse2Doubles::splat(slope),
                                       Sse2Doubles::splat(start), half, half_way)
                        .floats();
    if (__builtin_expect(Sse2::is_unsure(value, half_way), 0))
      return Sse2::exact_fma(x, _mm_set1_ps(slope), _mm_set1_ps(start));
    return value;
  }

 private:
  // Which all its multiples by integers are multiples of.
  static double last_bit(float value) {
    if (value == 0) return HUGE_VAL;
    int exponent;
    const double fraction = std::frexp(value, &exponent);
    const auto digits = static_cast<int64_t>(std::ldexp(fraction, 24));
    return std::ldexp(static_cast<double>(digits & -digits), exponent - 24);
  }
};

// What isa.cpp is compiled for.
#define WINIT_HAS_ISA
using IsaLanes = Sse2;
template <class Real>
using IsaVectors = ScalarVectors<Real>;

}  // namespace winit_cuda

#endif
