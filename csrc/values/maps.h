// From words to values: one struct a distribution, written once over lanes (values/scalar.h, simd/)
// for float32 and float64, host and device. Everything is + - * fma, conversions and integer
// operations in a fixed order, so every platform gives the same bits.
//
// A word is read as a two's-complement integer v, and u = 1/2 + v / 2^32 is its probability: 0 <= u
// < 1, and -v mirrors v. Two distances, counted in words, keep precision where it is needed: x = v
// from the middle, and t from the nearer end, 2^31 - |v|, positive below the middle (v < 0) and
// negative above. float64 refines both with 32 more bits.
//
// A map with a quantile has two steps: tail(word) is the p that is looked up, and value(word, p)
// the value. Lanes that look up in memory take the first step of several vectors before the second,
// p as the place of its entries.
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

// start + slope * x, of integers x. SSE2, which has no fma instruction, has one of its own.
template <class L>
struct Line {
  using F = typename L::F;
  using Real = typename L::Real;
  F slope, start;

  WINIT_HD_MEMBER Line(Real slope_, Real start_)
      : slope(L::splat(slope_)), start(L::splat(start_)) {}
  WINIT_HD_MEMBER F operator()(F x) const { return L::fma(x, slope, start); }
};

// Uniform on [a, b): middle + step * x with step = (b - a) / 2^32, then kept in [lowest, highest],
// the smallest and largest value in the tensor's dtype that lies in [a, b).
template <class Real>
struct UniformNumbers {
  Real middle, step, lowest, highest;
};

template <class L>
struct UniformMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = UniformNumbers<Real>;
  Line<L> line;
  F lowest, highest;

  explicit WINIT_HD_MEMBER UniformMap(const Numbers& numbers)
      : line(numbers.step, numbers.middle),
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)) {}

  WINIT_HD_MEMBER F operator()(typename L::U word) const {
    const F value = line(L::from_middle(word));
    return L::smaller(L::larger(value, lowest), highest);
  }
};

// Both distances; of one that is not used nothing is computed.
template <class L>
struct Distances {
  typename L::F x, t;
};
template <class L>
WINIT_HD Distances<L> distances_of(typename L::U word) {
  Distances<L> distances;
  L::distances(word, distances.x, distances.t);
  return distances;
}

// Normal: mean + std * z, z = c Q(p) with p = |t| and c = x (values/quantile.h). The word of u = 0
// gets the value of u = 2^-31.
template <class Real>
struct NormalNumbers {
  Real base, scale;      // mean and std
  const Real* quantile;  // the table of values/quantile.h
};

template <class L>
struct NormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = NormalNumbers<Real>;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER NormalMap(const Numbers& numbers)
      : quantile(numbers.quantile, numbers.scale, numbers.base) {}

  WINIT_HD_MEMBER F tail(typename L::U word) const { return distances_of<L>(word).t; }
  template <class Tail>
  WINIT_HD_MEMBER F value(typename L::U word, const Tail& p) const {
    return quantile(distances_of<L>(word).x, p);
  }
  WINIT_HD_MEMBER F operator()(typename L::U word) const { return value(word, tail(word)); }
};

// The largest p, in words, that is below 1/2, and below 1.
template <class Real>
inline constexpr Real kBelowHalf =
    sizeof(Real) == 4 ? Real(0x1.fffffep30) : Real(0x1.fffffffffffffp30);
template <class Real>
inline constexpr Real kBelowOne = 2 * kBelowHalf<Real>;

// Normal truncated to [a, b] around the mean: base + scale * c Q(p), with c affine in x, and p in
// |t| with a start for each half of the words ([0] the lower, v < 0). In one of the halves p may go
// beyond 1/2 and is folded back. A p below one word, where the table ends, is taken for one word:
// of all words the outermost alone. See values/distributions.cpp.
template <class Real>
struct TruncNormalNumbers {
  Real slope, center_start, tail_start[2];
  Real scale, base, lowest, highest;
  const Real* quantile;
};

template <class L>
struct TruncNormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = TruncNormalNumbers<Real>;
  F slope, center_start, tail_start[2], lowest, highest;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER TruncNormalMap(const Numbers& numbers)
      : slope(L::splat(numbers.slope)),
        center_start(L::splat(numbers.center_start)),
        tail_start{L::splat(numbers.tail_start[0]), L::splat(-numbers.tail_start[1])},
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)),
        quantile(numbers.quantile, numbers.scale, numbers.base) {}

  WINIT_HD_MEMBER F tail(typename L::U word) const {
    const F t = distances_of<L>(word).t;
    const F unfolded = L::absolute(L::fma(t, slope, L::select(word, tail_start[0], tail_start[1])));
    const F p = L::smaller(unfolded, L::subtract(L::splat(kBelowOne<Real>), unfolded));
    return L::larger(p, L::splat(Real(1)));
  }
  template <class Tail>
  WINIT_HD_MEMBER F value(typename L::U word, const Tail& p) const {
    const F value = quantile(L::fma(distances_of<L>(word).x, slope, center_start), p);
    return L::smaller(L::larger(value, lowest), highest);
  }
  WINIT_HD_MEMBER F operator()(typename L::U word) const { return value(word, tail(word)); }
};

// Normal truncated to [a, b] with the mean in the middle: both halves start alike, and the slope of
// p is rounded such that p stays below 1/2. For intervals with 2^-10 of the law in them, or more,
// and one word or more on either side.
template <class Real>
struct SymmetricTruncNormalNumbers {
  Real slope, tail_slope, tail_start;
  Real scale, base, lowest, highest;
  const Real* quantile;
};

template <class L>
struct SymmetricTruncNormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = SymmetricTruncNormalNumbers<Real>;
  F slope, tail_slope, tail_start, lowest, highest;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER SymmetricTruncNormalMap(const Numbers& numbers)
      : slope(L::splat(numbers.slope)),
        tail_slope(L::splat(numbers.tail_slope)),
        tail_start(L::splat(numbers.tail_start)),
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)),
        quantile(numbers.quantile, numbers.scale, numbers.base) {}

  WINIT_HD_MEMBER F tail(typename L::U word) const {
    const F t = distances_of<L>(word).t;
    return L::fma(t, tail_slope, L::with_sign_of(tail_start, t));  // signed like t
  }
  template <class Tail>
  WINIT_HD_MEMBER F value(typename L::U word, const Tail& p) const {
    const F value = quantile(L::multiply(distances_of<L>(word).x, slope), p);
    return L::smaller(L::larger(value, lowest), highest);
  }
  WINIT_HD_MEMBER F operator()(typename L::U word) const { return value(word, tail(word)); }
};

// Normal truncated to an interval on one side of the mean: the same with a table of the
// interval's own, c and p affine in t with a start for each half.
template <class Real>
struct TailNormalNumbers {
  static constexpr bool kOwnTable = true;      // and no other law's
  Real slope, center_start[2], tail_start[2];  // p falls by as much as c grows
  Real scale, base, lowest, highest;
  const Real* quantile;
};

template <class L>
struct TailNormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = TailNormalNumbers<Real>;
  F slope, falling, center_start[2], tail_start[2], lowest, highest;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER TailNormalMap(const Numbers& numbers)
      : slope(L::splat(numbers.slope)),
        falling(L::splat(-numbers.slope)),
        center_start{L::splat(numbers.center_start[0]), L::splat(numbers.center_start[1])},
        tail_start{L::splat(numbers.tail_start[0]), L::splat(numbers.tail_start[1])},
        lowest(L::splat(numbers.lowest)),
        highest(L::splat(numbers.highest)),
        quantile(numbers.quantile, numbers.scale, numbers.base) {}

  WINIT_HD_MEMBER F tail(typename L::U word) const {
    const F t = distances_of<L>(word).t;
    const F p = L::fma(t, falling, L::select(word, tail_start[0], tail_start[1]));
    return L::larger(p, L::splat(Real(1)));
  }
  template <class Tail>
  WINIT_HD_MEMBER F value(typename L::U word, const Tail& p) const {
    const F start = L::select(word, center_start[0], center_start[1]);
    const F value = quantile(L::fma(distances_of<L>(word).t, slope, start), p);
    return L::smaller(L::larger(value, lowest), highest);
  }
  WINIT_HD_MEMBER F operator()(typename L::U word) const { return value(word, tail(word)); }
};

}  // namespace winit_cuda
