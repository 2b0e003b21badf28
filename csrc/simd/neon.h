// The operations of values/scalar.h on four float32 lanes, for NEON on 64-bit ARM.
#pragma once

#if defined(__aarch64__)

#include <arm_neon.h>

#include "simd/halves.h"
#include "simd/neon_double.h"

namespace winit_cuda {

// Eight 64-bit lanes, their halves in vectors of their own: NEON multiplies and mixes words that
// lie side by side. Two times four lanes, so that one four's instructions fill the other's waiting.
struct WideNeon {
  struct W {
    uint32x4_t low[2], high[2];
  };
  static WINIT_HD_MEMBER W splat(uint32_t word) {
    const uint32x4_t words = vdupq_n_u32(word);
    return {{words, words}, {}};
  }
  static WINIT_HD_MEMBER W high(W a) { return {{a.high[0], a.high[1]}, {}}; }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) {
    W product;
    for (int i = 0; i < 2; ++i) {
      const uint32x4_t front =
          vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a.low[i]), vget_low_u32(multiplier.low[i])));
      const uint32x4_t back = vreinterpretq_u32_u64(vmull_high_u32(a.low[i], multiplier.low[i]));
      product.low[i] = vuzp1q_u32(front, back);
      product.high[i] = vuzp2q_u32(front, back);
    }
    return product;
  }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b) {
    return {{veorq_u32(a.low[0], b.low[0]), veorq_u32(a.low[1], b.low[1])}, {}};
  }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) {
    return exclusive_or(a, exclusive_or(b, c));
  }
};

struct Neon : simd::HalvesWithoutMasks<Neon> {
  using U = uint32x4_t;
  using F = float32x4_t;
  using Real = float;
  using Double = NeonDouble;
  static constexpr int kLanes = 4, kBlocks = 8, kTogether = 1;
  static constexpr bool kOverlapping = false;

  static WINIT_HD_MEMBER F splat(float value) { return vdupq_n_f32(value); }
  static WINIT_HD_MEMBER F from_middle(U word) {
    return vcvtq_f32_s32(vreinterpretq_s32_u32(word));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    x = from_middle(word);
    const U sign = vdupq_n_u32(0x80000000u);
    const U integer = veorq_u32(word, sign);
    // toward_zero of values/scalar.h.
    const U size = vreinterpretq_u32_s32(vabsq_s32(vreinterpretq_s32_u32(integer)));
    const F rounded = vcvtq_f32_u32(vbicq_u32(size, vshrq_n_u32(size, 24)));
    t = vbslq_f32(sign, vreinterpretq_f32_u32(integer), rounded);
  }
  static WINIT_HD_MEMBER F absolute(F value) { return vabsq_f32(value); }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), other, value);
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    return vbslq_f32(vcltzq_s32(vreinterpretq_s32_u32(word)), when_negative, otherwise);
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return vmulq_f32(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return vsubq_f32(a, b); }
  // Not vminq and vmaxq, which choose otherwise than the scalar versions between zeros of unlike
  // sign.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return vbslq_f32(vcltq_f32(b, a), b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return vbslq_f32(vcltq_f32(a, b), b, a); }

  // There is no gather: the entries of a segment lie side by side, with the scale multiplied in,
  // and those of four segments are transposed in registers.
  struct Quantile {
    static constexpr int kRows = kFloatDegree + 2, kFront = 4, kBack = 2;
    static_assert(kRows == kFront + kBack);
    alignas(64) float front[kSegments][kFront];
    alignas(64) float back[kSegments][kBack];
    F base;

    WINIT_HD_MEMBER Quantile(const float* table, float scale, float base_)
        : base(vdupq_n_f32(base_)) {
      for (int segment = 0; segment < kSegments; segment += 4) {
        const auto scaled = [&](int row) {
          return vmulq_n_f32(vld1q_f32(table + row * kSegments + segment), scale);
        };
        const float32x4x4_t front_rows = {
            {vld1q_f32(table + segment), scaled(1), scaled(2), scaled(3)}};
        const float32x4x2_t back_rows = {{scaled(4), scaled(5)}};
        vst4q_f32(front[segment], front_rows);
        vst2q_f32(back[segment], back_rows);
      }
    }

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const U bits = vreinterpretq_u32_f32(p);
      const uint64x2_t pairs = vreinterpretq_u64_u32(bits);
      const uint64_t pair0 = vgetq_lane_u64(pairs, 0), pair1 = vgetq_lane_u64(pairs, 1);
      const auto segment_at = [](uint64_t pair, int shift) {
        return (pair >> shift) & (kSegments - 1);
      };
      const uint64_t segments[4] = {segment_at(pair0, 21), segment_at(pair0, 53),
                                    segment_at(pair1, 21), segment_at(pair1, 53)};
      F entries[kRows];
      load_front(segments, entries);
      load_back(segments, entries);
      const F mantissa =
          vreinterpretq_f32_u32(vbslq_u32(vdupq_n_u32(0x001FFFFF), bits, vdupq_n_u32(0x3F800000)));
      const F u = vsubq_f32(mantissa, entries[0]);
      F rest = entries[kRows - 1];
#pragma GCC unroll 8
      for (int power = kFloatDegree - 1; power >= 1; --power)
        rest = vfmaq_f32(entries[power + 1], rest, u);
      return vfmaq_f32(vfmaq_f32(base, vmulq_f32(c, u), rest), c, entries[1]);
    }

   private:
    WINIT_HD_MEMBER void load_front(const uint64_t (&segments)[4], F (&entries)[kRows]) const {
      const F a = vld1q_f32(front[segments[0]]), b = vld1q_f32(front[segments[1]]);
      const F c = vld1q_f32(front[segments[2]]), d = vld1q_f32(front[segments[3]]);
      const F even_ab = vtrn1q_f32(a, b), odd_ab = vtrn2q_f32(a, b);
      const F even_cd = vtrn1q_f32(c, d), odd_cd = vtrn2q_f32(c, d);
      entries[0] = vcombine_f32(vget_low_f32(even_ab), vget_low_f32(even_cd));
      entries[1] = vcombine_f32(vget_low_f32(odd_ab), vget_low_f32(odd_cd));
      entries[2] = vcombine_f32(vget_high_f32(even_ab), vget_high_f32(even_cd));
      entries[3] = vcombine_f32(vget_high_f32(odd_ab), vget_high_f32(odd_cd));
    }

    WINIT_HD_MEMBER void load_back(const uint64_t (&segments)[4], F (&entries)[kRows]) const {
      const F ab = vcombine_f32(vld1_f32(back[segments[0]]), vld1_f32(back[segments[1]]));
      const F cd = vcombine_f32(vld1_f32(back[segments[2]]), vld1_f32(back[segments[3]]));
      entries[4] = vuzp1q_f32(ab, cd);
      entries[5] = vuzp2q_f32(ab, cd);
    }
  };

  static WINIT_HD_MEMBER U low_halves(U a, U b) {
    return vcombine_u32(vget_low_u32(a), vget_low_u32(b));
  }
  static WINIT_HD_MEMBER U high_halves(U a, U b) {
    return vcombine_u32(vget_high_u32(a), vget_high_u32(b));
  }

  // Eight vectors of words, eight blocks, in the order of the elements.
  static WINIT_HD_MEMBER void chunk(const RoundKeys& keys, const SharedRounds& shared,
                                    uint32_t block, U (&words)[8]) {
    const uint32_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const U first = vdupq_n_u32(block);
    WideNeon::W counter[4];
    two_rounds<WideNeon>(
        shared, {{vaddq_u32(first, vld1q_u32(order)), vaddq_u32(first, vld1q_u32(order + 4))}, {}},
        counter);
    philox_rounds<WideNeon, 2, kPhiloxRounds>(keys, counter);
    for (int half = 0; half < 2; ++half) {
      const U a = counter[0].low[half], b = counter[1].low[half];
      const U c = counter[2].low[half], d = counter[3].low[half];
      const U front01 = vzip1q_u32(a, b), front23 = vzip2q_u32(a, b);
      const U back01 = vzip1q_u32(c, d), back23 = vzip2q_u32(c, d);
      words[4 * half] = low_halves(front01, back01);
      words[4 * half + 1] = high_halves(front01, back01);
      words[4 * half + 2] = low_halves(front23, back23);
      words[4 * half + 3] = high_halves(front23, back23);
    }
  }

  // No intrinsic writes around the caches, and the processors notice long runs of stores.
  static WINIT_HD_MEMBER void store(float* out, F value) { vst1q_f32(out, value); }
  static WINIT_HD_MEMBER void stream(float* out, F value) { vst1q_f32(out, value); }
  static WINIT_HD_MEMBER uint16x8_t round_to_half(F first, F second) {
    return vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(first), second));
  }
  static WINIT_HD_MEMBER U with_odd(F value) {
    const U bits = vreinterpretq_u32_f32(value);
    return vsraq_n_u32(bits, vshlq_n_u32(bits, 15), 31);
  }
  static WINIT_HD_MEMBER uint16x8_t round_to_bfloat16(F first, F second) {
    const U half = vdupq_n_u32(0x7FFF);
    return vaddhn_high_u32(vaddhn_u32(with_odd(first), half), with_odd(second), half);
  }
  // Two vectors of 16-bit values.
  static WINIT_HD_MEMBER void store_pair(uint16_t* out, uint16x8_t values) {
    vst1q_u16(out, values);
  }
  static WINIT_HD_MEMBER void stream_pair(uint16_t* out, uint16x8_t values) {
    vst1q_u16(out, values);
  }

  // What writes columns (fill/columns.h).
  struct Lines {
    using V = uint8x16_t;
    static constexpr int kParts = 1;
    static WINIT_HD_MEMBER V gather(const char* from, int64_t) {
      return vld1q_u8(reinterpret_cast<const uint8_t*>(from));
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V low(V a, V b) {
      if constexpr (kBytes == 1) return vzip1q_u8(a, b);
      if constexpr (kBytes == 2)
        return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
      if constexpr (kBytes == 4)
        return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
      if constexpr (kBytes == 8)
        return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V high(V a, V b) {
      if constexpr (kBytes == 1) return vzip2q_u8(a, b);
      if constexpr (kBytes == 2)
        return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
      if constexpr (kBytes == 4)
        return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
      if constexpr (kBytes == 8)
        return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
    }
    static WINIT_HD_MEMBER void store(char* out, V value) {
      vst1q_u8(reinterpret_cast<uint8_t*>(out), value);
    }
  };

  // What the sparse passes take besides (sparse/lanes.h).
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    const uint32_t place[kLanes] = {1, 2, 4, 8};
    const U least = vdupq_n_u32(first), most = vdupq_n_u32(width), bit = vld1q_u32(place);
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; i += kLanes) {
      const U word = vld1q_u32(words + i);
      inside |= vaddvq_u32(vandq_u32(vcleq_u32(vsubq_u32(word, least), most), bit)) << i;
      vst1q_u32(below + i, vsubq_u32(vld1q_u32(below + i), vcltq_u32(word, least)));
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    const U above = vcgtq_u32(order, vld1q_u32(limit));
    return vreinterpretq_f32_u32(vandq_u32(above, vreinterpretq_u32_f32(value)));
  }
};

// Vectors of reals for the products of orthogonal matrices (orthogonal/lanes.h).
template <class Scalar>
struct NeonVectors;

template <>
struct NeonVectors<float> {
  using Real = float;
  using F = float32x4_t;
  static constexpr int kLanes = 4, kRows = 4, kWidth = 4;

  static WINIT_HD_MEMBER F load(const Real* in) { return vld1q_f32(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { vst1q_f32(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return vdupq_n_f32(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return vaddq_f32(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return vfmsq_f32(c, a, b); }
};

template <>
struct NeonVectors<double> {
  using Real = double;
  using F = float64x2_t;
  static constexpr int kLanes = 2, kRows = 4, kWidth = 4;

  static WINIT_HD_MEMBER F load(const Real* in) { return vld1q_f64(in); }
  static WINIT_HD_MEMBER void store(Real* out, F value) { vst1q_f64(out, value); }
  static WINIT_HD_MEMBER F splat(Real value) { return vdupq_n_f64(value); }
  static WINIT_HD_MEMBER F add(F a, F b) { return vaddq_f64(a, b); }
  static WINIT_HD_MEMBER F multiply_add(F a, F b, F c) { return vfmaq_f64(c, a, b); }
  static WINIT_HD_MEMBER F multiply_subtract(F a, F b, F c) { return vfmsq_f64(c, a, b); }
};

// What isa.cpp is compiled for.
#define WINIT_HAS_ISA
using IsaLanes = Neon;
template <class Real>
using IsaVectors = NeonVectors<Real>;

}  // namespace winit_cuda

#endif
