// The laws that elements follow: which there are, the numbers of each, and the one switch over
// them.
#pragma once

#include "values/dtype.h"
#include "values/maps.h"
#include "values/scalar.h"

namespace winit_cuda {

enum class Distribution : int {
  kUniform,
  kNormal,
  kTruncNormal,
  kSymmetricTruncNormal,
  kTailNormal
};

// The numbers of some distribution.
template <class Real>
union AnyNumbers {
  UniformNumbers<Real> uniform;
  NormalNumbers<Real> normal;
  TruncNormalNumbers<Real> trunc_normal;
  SymmetricTruncNormalNumbers<Real> symmetric_trunc_normal;
  TailNormalNumbers<Real> tail_normal;

  template <class Numbers>
  WINIT_HD_MEMBER const Numbers& as() const {
    return *reinterpret_cast<const Numbers*>(this);
  }
};

// Calls visit(Type<Map>) with the distribution's map over the lanes L.
WINIT_CALLS_EITHER
template <class L, class Visit>
WINIT_HD auto with_map(Distribution distribution, const Visit& visit) {
  switch (distribution) {  // without a default: the compiler says which case is missing
    case Distribution::kUniform:
      break;
    case Distribution::kNormal:
      return visit(Type<NormalMap<L>>{});
    case Distribution::kTruncNormal:
      return visit(Type<TruncNormalMap<L>>{});
    case Distribution::kSymmetricTruncNormal:
      return visit(Type<SymmetricTruncNormalMap<L>>{});
    case Distribution::kTailNormal:
      return visit(Type<TailNormalMap<L>>{});
  }
  return visit(Type<UniformMap<L>>{});
}

// A distribution with its numbers for one dtype.
struct Law {
  Distribution distribution;
  AnyNumbers<float> numbers;          // for every dtype but float64
  AnyNumbers<double> double_numbers;  // for float64
  float rescaling = 1;                // what the map's values are multiplied by, a power of two

  // The numbers that a map takes.
  template <class Map>
  WINIT_HD_MEMBER const typename Map::Numbers& numbers_of() const {
    if constexpr (std::is_same_v<typename Map::Real, double>)
      return double_numbers.as<typename Map::Numbers>();
    else
      return numbers.as<typename Map::Numbers>();
  }
};

// Calls visit(Type<T>, Type<Map>) with the storage type of the dtype and the law's scalar map.
template <class Visit>
static inline auto with_scalar_map(DType dtype, Distribution distribution, const Visit& visit) {
  return with_element(dtype, [&](auto element) {
    return with_map<ScalarLanes<typename decltype(element)::type>>(
        distribution, [&](auto map) { return visit(element, map); });
  });
}

// Whether a map's numbers refer to a table of quantiles, and to one that only they have.
template <class Numbers, class = void>
inline constexpr bool kHasTable = false;
template <class Numbers>
inline constexpr bool kHasTable<Numbers, std::void_t<decltype(Numbers::quantile)>> = true;

template <class Numbers, class = void>
inline constexpr bool kHasOwnTable = false;
template <class Numbers>
inline constexpr bool kHasOwnTable<Numbers, std::void_t<decltype(Numbers::kOwnTable)>> = true;

}  // namespace winit_cuda
