// The three truncated laws (values/maps.h) by one map, with the same bits: some operations more,
// and a third of the code in a kernel that holds every law for every dtype.
#pragma once

#include <limits>

#include "values/law.h"

namespace winit_cuda {

// p = |tail_slope t + tail_start|, folded at fold / 2, and at least `least`; c = center_slope y +
// center_start with y one of x and t. Starts are for the lower and the upper half of the words.
template <class Real>
struct AnyTruncNormalNumbers {
  Real tail_slope, tail_start[2], center_slope, center_start[2], fold, least;
  Real scale, base, lowest, highest;
  const Real* quantile;
  uint32_t center_from_end;  // 1: y = t
};

template <class Real, class N>
AnyTruncNormalNumbers<Real> with_common(AnyTruncNormalNumbers<Real> made, const N& law) {
  made.scale = law.scale;
  made.base = law.base;
  made.lowest = law.lowest;
  made.highest = law.highest;
  made.quantile = law.quantile;
  return made;
}

template <class Real>
AnyTruncNormalNumbers<Real> any_form(const TruncNormalNumbers<Real>& law) {
  AnyTruncNormalNumbers<Real> made{};
  made.tail_slope = made.center_slope = law.slope;
  made.tail_start[0] = law.tail_start[0];
  made.tail_start[1] = -law.tail_start[1];
  made.center_start[0] = made.center_start[1] = law.center_start;
  made.fold = kBelowOne<Real>;
  made.least = 1;
  return with_common(made, law);
}

template <class Real>
AnyTruncNormalNumbers<Real> any_form(const SymmetricTruncNormalNumbers<Real>& law) {
  AnyTruncNormalNumbers<Real> made{};
  made.tail_slope = law.tail_slope;
  made.center_slope = law.slope;
  made.tail_start[0] = law.tail_start;
  made.tail_start[1] = -law.tail_start;
  made.fold = std::numeric_limits<Real>::infinity();
  return with_common(made, law);
}

template <class Real>
AnyTruncNormalNumbers<Real> any_form(const TailNormalNumbers<Real>& law) {
  AnyTruncNormalNumbers<Real> made{};
  made.tail_slope = -law.slope;
  made.center_slope = law.slope;
  for (int half = 0; half < 2; ++half) {
    made.tail_start[half] = law.tail_start[half];
    made.center_start[half] = law.center_start[half];
  }
  made.fold = std::numeric_limits<Real>::infinity();
  made.least = 1;
  made.center_from_end = 1;
  return with_common(made, law);
}

// The other laws are as they are.
template <class N>
const N& any_form(const N& law) {
  return law;
}

template <class L>
struct AnyTruncNormalMap {
  using F = typename L::F;
  using Real = typename L::Real;
  using Numbers = AnyTruncNormalNumbers<Real>;
  Numbers numbers;
  typename L::Quantile quantile;

  explicit WINIT_HD_MEMBER AnyTruncNormalMap(const Numbers& numbers_)
      : numbers(numbers_), quantile(numbers_.quantile, numbers_.scale, numbers_.base) {}

  WINIT_HD_MEMBER F operator()(typename L::U word) const {
    F x, t;
    L::distances(word, x, t);
    const F size = L::absolute(L::fma(
        t, numbers.tail_slope, L::select(word, numbers.tail_start[0], numbers.tail_start[1])));
    const F p = L::larger(L::smaller(size, L::subtract(numbers.fold, size)), numbers.least);
    const F c = L::fma(numbers.center_from_end ? t : x, numbers.center_slope,
                       L::select(word, numbers.center_start[0], numbers.center_start[1]));
    const F value = quantile(c, p);
    return L::smaller(L::larger(value, numbers.lowest), numbers.highest);
  }
};

// What a list says of a law: one distribution stands for all three.
static inline Distribution listed(Distribution distribution) {
  const bool is_truncated = distribution == Distribution::kSymmetricTruncNormal ||
                            distribution == Distribution::kTailNormal;
  return is_truncated ? Distribution::kTruncNormal : distribution;
}

// The map that a list has in the place of another; void for the distributions that it never says.
template <class Map>
struct Listed {
  using type = Map;
};
template <class L>
struct Listed<TruncNormalMap<L>> {
  using type = AnyTruncNormalMap<L>;
};
template <class L>
struct Listed<SymmetricTruncNormalMap<L>> {
  using type = void;
};
template <class L>
struct Listed<TailNormalMap<L>> {
  using type = void;
};

}  // namespace winit_cuda
