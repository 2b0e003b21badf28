// From words to values: one struct a distribution, written once over lanes (lanes_*.h) for float32
// and float64, host and device. Everything is + - * fma and integer operations in a fixed order, so
// every platform gives the same bits.
//
// A word w is read as a two's-complement integer v: the middle of the distribution is between v =
// -1 and v = 0, and u = 1/2 + (v + 1/2) / 2^32 is the word's probability. Two magnitudes, both
// exact, keep precision where it is needed: n, the distance of the word from the middle, and m,
// from the nearer end. ~w mirrors w: same n and m, opposite sign.
#pragma once

#include "portable.h"

namespace winit_cuda {

// Uniform on [a, b): middle + half_width * s with s = (v + 1/2) / 2^31, then kept in [lowest,
// highest], the smallest and largest value in the tensor's dtype that lies in [a, b).
template <class Real>
struct UniformNumbers {
  Real middle, half_width, lowest, highest;
};

template <class L>
struct UniformMap {
  using F = typename L::F;
  F middle, half_width, lowest, highest;

  explicit WINIT_HD_MEMBER UniformMap(const UniformNumbers<typename L::Real>& numbers)
      : middle(L::splat(numbers.middle)),
        half_width(L::splat(numbers.half_width)),
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)) {}

  WINIT_HD_MEMBER F operator()(typename L::U word) const {
    const auto n = L::exclusive_or(word, L::sign_mask(word));
    const F size = L::fma(L::to_real(n), L::splat(2 * L::kUnit), L::splat(L::kUnit));
    const F value = L::fma(L::with_sign_of(size, word), half_width, middle);
    return L::smaller(L::larger(value, lowest), highest);
  }
};

// Normal: mean + std * z, z = c Q(p) with p = (m + 1/2) / 2^32 and c = 1/2 - p signed like v.
template <class Real>
struct NormalNumbers {
  Real mean, std;
  const Real* quantile;  // the table of quantile.h
};

template <class L>
struct NormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  F mean, std;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER NormalMap(const NormalNumbers<Real>& numbers)
      : mean(L::splat(numbers.mean)), std(L::splat(numbers.std)), quantile(numbers.quantile) {}

  WINIT_HD_MEMBER F operator()(typename L::U word) const {
    // The last factor below 1 keeps p under 1/2 where m rounds up; the table does not notice.
    constexpr Real below_one = sizeof(Real) == 4 ? Real(0x1.fffffep-1) : Real(0x1.fffffffffffffp-1);
    const auto all = L::splat_word(L::kMagnitudeMask);
    const auto n0 = L::exclusive_or(word, L::sign_mask(word));
    const auto m = L::tail_distance(L::exclusive_or(n0, all));
    const auto n = L::exclusive_or(m, all);
    F p = L::fma(L::to_real(m), L::splat(below_one * L::kUnit), L::splat(L::kUnit / 2));
    if (sizeof(Real) == 8) p = L::larger(p, L::splat(Real(0x1p-33)));
    const F c = L::fma(L::to_real(n), L::splat(L::kUnit), L::splat(L::kUnit / 2));
    return L::fma(quantile(L::with_sign_of(c, word), p), std, mean);
  }
};

// Normal truncated to [a, b]: base + scale * c Q(p), where p and c are affine in the magnitudes of
// the word, with one pair of numbers for each half of the words ([0] the lower, v < 0). See
// distributions.cpp. A p below 2^-33, where the table ends, is taken for 2^-33: of all words the
// outermost alone.
template <class Real>
struct TruncNormalNumbers {
  Real tail_slope[2], tail_start[2];      // p = tail_start + tail_slope * m, folded at `fold` / 2
  Real center_slope[2], center_start[2];  // c = center_start + center_slope * (n or m)
  Real fold;
  uint32_t center_from_middle;  // 1: c is affine in n, 0: in m
  Real scale, base, lowest, highest;
  const Real* quantile;
};

template <class L>
struct TruncNormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  F tail_slope[2], tail_start[2], center_slope[2], center_start[2], fold, scale, base, lowest,
      highest;
  typename L::U center_mask;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER TruncNormalMap(const TruncNormalNumbers<Real>& numbers)
      : fold(L::splat(numbers.fold)),
        scale(L::splat(numbers.scale)),
        base(L::splat(numbers.base)),
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)),
        center_mask(L::splat_word(numbers.center_from_middle ? L::kMagnitudeMask : 0)),
        quantile(numbers.quantile) {
    for (int half = 0; half < 2; ++half) {
      tail_slope[half] = L::splat(numbers.tail_slope[half]);
      tail_start[half] = L::splat(numbers.tail_start[half]);
      center_slope[half] = L::splat(numbers.center_slope[half]);
      center_start[half] = L::splat(numbers.center_start[half]);
    }
  }

  WINIT_HD_MEMBER F operator()(typename L::U word) const {
    constexpr Real largest_tail =
        sizeof(Real) == 4 ? Real(0x1.fffffep-2) : Real(0x1.fffffffffffffp-2);
    const auto n = L::exclusive_or(word, L::sign_mask(word));
    const auto m = L::tail_distance(L::exclusive_or(n, L::splat_word(L::kMagnitudeMask)));
    const F g = L::fma(L::to_real(m), L::select(word, tail_slope[0], tail_slope[1]),
                       L::select(word, tail_start[0], tail_start[1]));
    const F c = L::fma(L::to_real(L::exclusive_or(m, center_mask)),
                       L::select(word, center_slope[0], center_slope[1]),
                       L::select(word, center_start[0], center_start[1]));
    F p = L::smaller(g, L::subtract(fold, g));
    p = L::smaller(L::larger(p, L::splat(Real(0x1p-33))), L::splat(largest_tail));
    const F value = L::fma(quantile(c, p), scale, base);
    return L::smaller(L::larger(value, lowest), highest);
  }
};

}  // namespace winit_cuda
