// The operations of Scalar64 (values/scalar.h) on four float64 lanes, for SSE2.
#pragma once

#include <emmintrin.h>

#include "values/scalar.h"

namespace winit_cuda {

// A sum or a product of doubles with what rounding took off.
struct Sse2Exact {
  using F = __m128d;
  F value, rest;

  // Knuth's TwoSum.
  static WINIT_HD_MEMBER Sse2Exact sum(F a, F b) {
    const F value = _mm_add_pd(a, b);
    const F of_b = _mm_sub_pd(value, a);
    const F of_a = _mm_sub_pd(value, of_b);
    return {value, _mm_add_pd(_mm_sub_pd(a, of_a), _mm_sub_pd(b, of_b))};
  }
  // Dekker's: the products of halves, which have 26 bits, are exact.
  static WINIT_HD_MEMBER Sse2Exact product(F a, F b) {
    const F a_high = upper_half(a), a_low = _mm_sub_pd(a, a_high);
    const F b_high = upper_half(b), b_low = _mm_sub_pd(b, b_high);
    const F value = _mm_mul_pd(a, b);
    F rest = _mm_sub_pd(_mm_mul_pd(a_high, b_high), value);
    rest = _mm_add_pd(rest, _mm_mul_pd(a_high, b_low));
    rest = _mm_add_pd(rest, _mm_mul_pd(a_low, b_high));
    return {value, _mm_add_pd(rest, _mm_mul_pd(a_low, b_low))};
  }
  // Rounded to 26 bits.
  static WINIT_HD_MEMBER F upper_half(F a) {
    const __m128i bits = _mm_add_epi64(_mm_castpd_si128(a), _mm_set1_epi64x(int64_t{1} << 26));
    return _mm_castsi128_pd(_mm_and_si128(bits, _mm_set1_epi64x(-(int64_t{1} << 27))));
  }
  // a + b, or where that is no double, the one beside it whose last bit is set: what is rounded
  // once more then goes where it would have gone at once.
  static WINIT_HD_MEMBER F sum_to_odd(F a, F b) {
    const Sse2Exact exact = sum(a, b);
    const __m128i bits = _mm_castpd_si128(exact.value), rest = _mm_castpd_si128(exact.rest);
    const __m128i inexact = _mm_and_si128(
        _mm_castpd_si128(_mm_cmpneq_pd(exact.rest, _mm_setzero_pd())), _mm_set1_epi64x(1));
    const __m128i is_beyond = _mm_and_si128(_mm_srli_epi64(_mm_xor_si128(bits, rest), 63), inexact);
    return _mm_castsi128_pd(_mm_or_si128(_mm_sub_epi64(bits, is_beyond), inexact));
  }
  // a * b + c, rounded once, after Boldo and Melquiond ("Emulation of a FMA and correctly rounded
  // sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008).
  // Their third sum is left out: where a * b + c is inexact, and else one of the rests is zero,
  // both are no more than a few last bits of the sum. Clears the lanes of `is_sure` where products
  // of halves may underflow; where they overflow, the value is NaN.
  static WINIT_HD_MEMBER F fma(F a, F b, F c, F& is_sure) {
    const Sse2Exact ab = product(a, b), upper = sum(ab.value, c);
    const F value = _mm_add_pd(upper.value, sum_to_odd(upper.rest, ab.rest));
    is_sure = _mm_and_pd(is_sure, _mm_and_pd(_mm_cmpeq_pd(value, value), is_fit(ab)));
    return value;
  }
  // The same in fewer steps. Clears also the lanes of `is_sure` where the rounding of the rests'
  // sum may turn the last one: in a polynomial hardly any, but where factors have few bits, many.
  static WINIT_HD_MEMBER F quick_fma(F a, F b, F c, F& is_sure) {
    const Sse2Exact ab = product(a, b), upper = sum(ab.value, c);
    const F rest = _mm_add_pd(upper.rest, ab.rest);
    const F least = _mm_mul_pd(rest, _mm_set1_pd(1 - 0x1p-51));
    const F most = _mm_mul_pd(rest, _mm_set1_pd(1 + 0x1p-51));
    const F is_clear = _mm_cmpeq_pd(_mm_add_pd(upper.value, least), _mm_add_pd(upper.value, most));
    is_sure = _mm_and_pd(is_sure, _mm_and_pd(is_clear, is_fit(ab)));
    return _mm_add_pd(upper.value, rest);
  }
  static WINIT_HD_MEMBER F is_fit(Sse2Exact product) {
    const F size = _mm_andnot_pd(_mm_set1_pd(-0.0), product.value);
    return _mm_cmpge_pd(size, _mm_set1_pd(0x1p-900));
  }
};

struct Sse2Double {
  struct U {  // the halves of four 64-bit words
    __m128i high, low;
  };
  struct F {  // two vectors: one waits for its sums while the other goes on
    __m128d first, second;
  };
  using Real = double;
  static constexpr int kLanes = 4;

  template <class Operation>
  static WINIT_HD_MEMBER F each(const Operation& operation, F a, F b) {
    return {operation(a.first, b.first), operation(a.second, b.second)};
  }
  static WINIT_HD_MEMBER F splat(double value) { return {_mm_set1_pd(value), _mm_set1_pd(value)}; }
  static WINIT_HD_MEMBER F from_signed(__m128i words) {
    return {_mm_cvtepi32_pd(words), _mm_cvtepi32_pd(_mm_unpackhi_epi64(words, words))};
  }
  // 2^31 less, or more, as integers with a sign.
  static WINIT_HD_MEMBER __m128i turned(__m128i words) {
    return _mm_xor_si128(words, _mm_set1_epi32(INT32_MIN));
  }
  static WINIT_HD_MEMBER F from_unsigned(__m128i words) {
    return add(from_signed(turned(words)), splat(0x1p31));
  }
  static WINIT_HD_MEMBER F from_middle(U word) {
    // The product is exact.
    return add(multiply(from_unsigned(word.low), splat(0x1p-32)), from_signed(word.high));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    const F coarse = from_signed(turned(word.high));
    const F beyond_last = larger(subtract(absolute(coarse), splat(1)), splat(0));
    const F share = smaller(multiply(beyond_last, splat(0x1p-56)), splat(0x1p-32));
    const F low = from_unsigned(word.low);
    x = fma(low, share, from_signed(word.high));
    t = fma(low, share, coarse);
  }
  static WINIT_HD_MEMBER F absolute(F value) {
    return each([](__m128d a, __m128d sign) { return _mm_andnot_pd(sign, a); }, value, splat(-0.0));
  }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    const auto joined = [](__m128d a, __m128d b) {
      return _mm_or_pd(a, _mm_and_pd(_mm_set1_pd(-0.0), b));
    };
    return each(joined, value, other);
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    const __m128i sign = _mm_srai_epi32(word.high, 31);
    const auto chosen = [](__m128i mask, __m128d set, __m128d clear) {
      const __m128d bits = _mm_castsi128_pd(mask);
      return _mm_or_pd(_mm_and_pd(bits, set), _mm_andnot_pd(bits, clear));
    };
    return {chosen(_mm_unpacklo_epi32(sign, sign), when_negative.first, otherwise.first),
            chosen(_mm_unpackhi_epi32(sign, sign), when_negative.second, otherwise.second)};
  }
  // Intrinsics have no address where nothing is inlined, as with -O0.
  static WINIT_HD_MEMBER F add(F a, F b) {
    return each([](__m128d x, __m128d y) { return _mm_add_pd(x, y); }, a, b);
  }
  static WINIT_HD_MEMBER F multiply(F a, F b) {
    return each([](__m128d x, __m128d y) { return _mm_mul_pd(x, y); }, a, b);
  }
  static WINIT_HD_MEMBER F subtract(F a, F b) {
    return each([](__m128d x, __m128d y) { return _mm_sub_pd(x, y); }, a, b);
  }
  // As for float32.
  static WINIT_HD_MEMBER F smaller(F a, F b) {
    return each([](__m128d x, __m128d y) { return _mm_min_pd(x, y); }, b, a);
  }
  static WINIT_HD_MEMBER F larger(F a, F b) {
    return each([](__m128d x, __m128d y) { return _mm_max_pd(x, y); }, b, a);
  }

  // Called: it is long, and maps have several.
  WINIT_NO_INLINE static F fma(F a, F b, F c) {
    __m128d is_sure = all_set();
    const F value = fma(a, b, c, is_sure);
    return __builtin_expect(_mm_movemask_pd(is_sure) != 3, 0) ? one_by_one(a, b, c) : value;
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c, __m128d& is_sure) {
    return {Sse2Exact::fma(a.first, b.first, c.first, is_sure),
            Sse2Exact::fma(a.second, b.second, c.second, is_sure)};
  }
  static WINIT_HD_MEMBER F quick_fma(F a, F b, F c, __m128d& is_sure) {
    return {Sse2Exact::quick_fma(a.first, b.first, c.first, is_sure),
            Sse2Exact::quick_fma(a.second, b.second, c.second, is_sure)};
  }
  static WINIT_HD_MEMBER __m128d all_set() {
    return _mm_cmpeq_pd(_mm_setzero_pd(), _mm_setzero_pd());
  }
  WINIT_NO_INLINE static F one_by_one(F a, F b, F c) {
    double factors[kLanes], others[kLanes], values[kLanes];
    store(factors, a);
    store(others, b);
    store(values, c);
    for (int i = 0; i < kLanes; ++i) values[i] = fused(factors[i], others[i], values[i]);
    return {_mm_loadu_pd(values), _mm_loadu_pd(values + 2)};
  }

  struct Quantile {
    const double* table;
    F scale, base;

    WINIT_HD_MEMBER Quantile(const double* table_, double scale_, double base_)
        : table(table_), scale(splat(scale_)), base(splat(base_)) {}

    WINIT_NO_INLINE F operator()(F c, F p) const {
      const double* const columns[kLanes] = {column_of<3>(p.first), column_of<7>(p.first),
                                             column_of<3>(p.second), column_of<7>(p.second)};
      const auto entry = [&](int row) {
        const auto pair = [&](const double* first, const double* second) {
          return _mm_loadh_pd(_mm_load_sd(first + row * kSegments), second + row * kSegments);
        };
        return F{pair(columns[0], columns[1]), pair(columns[2], columns[3])};
      };
      const F u = subtract({mantissa_of(p.first), mantissa_of(p.second)}, entry(0));
      __m128d is_sure = all_set();
      F rest = entry(kDoubleDegree + 1);
#pragma GCC unroll 1
      for (int power = kDoubleDegree - 1; power >= 1; --power)
        rest = quick_fma(rest, u, entry(power + 1), is_sure);
      const F quantile = quick_fma(c, entry(1), multiply(multiply(c, u), rest), is_sure);
      const F value = fma(quantile, scale, base, is_sure);
      return __builtin_expect(_mm_movemask_pd(is_sure) != 3, 0) ? one_by_one(c, p) : value;
    }

   private:
    WINIT_NO_INLINE F one_by_one(F c, F p) const {
      double centers[kLanes], values[kLanes];
      store(centers, c);
      store(values, p);
      const double factor = _mm_cvtsd_f64(scale.first), start = _mm_cvtsd_f64(base.first);
      for (int i = 0; i < kLanes; ++i)
        values[i] = quantile_value(table, factor, start, centers[i], values[i]);
      return {_mm_loadu_pd(values), _mm_loadu_pd(values + 2)};
    }
    // By the upper 16 bits of a lane.
    template <int kSixteenth>
    WINIT_HD_MEMBER const double* column_of(__m128d p) const {
      return table + ((_mm_extract_epi16(_mm_castpd_si128(p), kSixteenth) >> 2) & (kSegments - 1));
    }
    static WINIT_HD_MEMBER __m128d mantissa_of(__m128d p) {
      const __m128i fraction = _mm_set1_epi64x(0x0003FFFFFFFFFFFF);
      const __m128i one = _mm_set1_epi64x(0x3FF0000000000000);
      return _mm_castsi128_pd(_mm_or_si128(_mm_and_si128(_mm_castpd_si128(p), fraction), one));
    }
  };

  static WINIT_HD_MEMBER void store(double* out, F value) {
    _mm_storeu_pd(out, value.first);
    _mm_storeu_pd(out + 2, value.second);
  }
  static WINIT_HD_MEMBER void stream(double* out, F value) {
    _mm_stream_pd(out, value.first);
    _mm_stream_pd(out + 2, value.second);
  }

  static WINIT_HD_MEMBER U join(const uint32_t* high, const uint32_t* low) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(high)),
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(low))};
  }
};

}  // namespace winit_cuda
