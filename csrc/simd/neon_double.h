// The operations of Scalar64 (values/scalar.h) on two float64 lanes, for NEON on 64-bit ARM.
#pragma once

#include <arm_neon.h>

#include "values/scalar.h"

namespace winit_cuda {

struct NeonDouble {
  struct U {  // the halves of two 64-bit words
    uint32x2_t high, low;
  };
  using F = float64x2_t;
  using Real = double;
  static constexpr int kLanes = 2;

  static WINIT_HD_MEMBER U join(const uint32_t* high, const uint32_t* low) {
    return {vld1_u32(high), vld1_u32(low)};
  }
  static WINIT_HD_MEMBER F splat(double value) { return vdupq_n_f64(value); }
  static WINIT_HD_MEMBER F from_signed(uint32x2_t integer) {
    return vcvtq_f64_s64(vmovl_s32(vreinterpret_s32_u32(integer)));
  }
  static WINIT_HD_MEMBER F from_unsigned(uint32x2_t integer) {
    return vcvtq_f64_u64(vmovl_u32(integer));
  }
  static WINIT_HD_MEMBER F from_middle(U word) {
    return fma(from_unsigned(word.low), splat(0x1p-32), from_signed(word.high));
  }
  static WINIT_HD_MEMBER void distances(U word, F& x, F& t) {
    const F coarse = from_signed(veor_u32(word.high, vdup_n_u32(0x80000000u)));
    const F beyond_last = larger(subtract(absolute(coarse), splat(1)), splat(0));
    const F share = smaller(multiply(beyond_last, splat(0x1p-56)), splat(0x1p-32));
    const F low = from_unsigned(word.low);
    x = fma(low, share, from_signed(word.high));
    t = fma(low, share, coarse);
  }
  static WINIT_HD_MEMBER F absolute(F value) { return vabsq_f64(value); }
  static WINIT_HD_MEMBER F with_sign_of(F value, F other) {
    return vbslq_f64(vdupq_n_u64(0x8000000000000000u), other, value);
  }
  static WINIT_HD_MEMBER F select(U word, F when_negative, F otherwise) {
    const uint64x2_t negative = vcltzq_s64(vmovl_s32(vreinterpret_s32_u32(word.high)));
    return vbslq_f64(negative, when_negative, otherwise);
  }
  static WINIT_HD_MEMBER F fma(F a, F b, F c) { return vfmaq_f64(c, a, b); }
  static WINIT_HD_MEMBER F multiply(F a, F b) { return vmulq_f64(a, b); }
  static WINIT_HD_MEMBER F subtract(F a, F b) { return vsubq_f64(a, b); }
  // As for float32.
  static WINIT_HD_MEMBER F smaller(F a, F b) { return vbslq_f64(vcltq_f64(b, a), b, a); }
  static WINIT_HD_MEMBER F larger(F a, F b) { return vbslq_f64(vcltq_f64(a, b), b, a); }

  struct Quantile {
    const double* table;
    F scale, base;

    WINIT_HD_MEMBER Quantile(const double* table_, double scale_, double base_)
        : table(table_), scale(splat(scale_)), base(splat(base_)) {}

    WINIT_HD_MEMBER F operator()(F c, F p) const {
      const uint64x2_t bits = vreinterpretq_u64_f64(p);
      const double* const first = column_of(vgetq_lane_u64(bits, 0));
      const double* const second = column_of(vgetq_lane_u64(bits, 1));
      const auto entry = [&](int row) {
        return vcombine_f64(vld1_f64(first + row * kSegments), vld1_f64(second + row * kSegments));
      };
      const F mantissa = vreinterpretq_f64_u64(
          vbslq_u64(vdupq_n_u64(0x0003FFFFFFFFFFFF), bits, vdupq_n_u64(0x3FF0000000000000)));
      const F u = subtract(mantissa, entry(0));
      F rest = entry(kDoubleDegree + 1);
#pragma GCC unroll 12
      for (int power = kDoubleDegree - 1; power >= 1; --power)
        rest = fma(rest, u, entry(power + 1));
      return fma(fma(c, entry(1), multiply(multiply(c, u), rest)), scale, base);
    }

   private:
    WINIT_HD_MEMBER const double* column_of(uint64_t bits) const {
      return table + ((bits >> 50) & (kSegments - 1));
    }
  };

  static WINIT_HD_MEMBER void store(double* out, F value) { vst1q_f64(out, value); }
  static WINIT_HD_MEMBER void stream(double* out, F value) { vst1q_f64(out, value); }
};

}  // namespace winit_cuda
