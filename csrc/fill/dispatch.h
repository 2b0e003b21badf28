// From the run-time dtype, distribution and item size to template arguments, for the kernels.
#pragma once

#include <type_traits>

#include "fill/fill.h"
#include "values/scalar.h"

namespace winit_cuda {

template <class T>
struct Type {
  using type = T;
};

// Calls visit(Type<T>) with the storage type of the dtype.
template <class Visit>
void with_dtype(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::kFloat32:
      return visit(Type<float>{});
    case DType::kFloat64:
      return visit(Type<double>{});
    case DType::kFloat16:
      return visit(Type<Half>{});
    case DType::kBFloat16:
      return visit(Type<BFloat16>{});
    case DType::kFloat8E4M3FN:
      return visit(Type<Float8E4M3FN>{});
    case DType::kFloat8E5M2:
      return visit(Type<Float8E5M2>{});
  }
}

// Calls visit(Type<T>, Type<Map>, numbers) for a random fill.
template <class Visit>
void with_map(const RandomFill& fill, Visit&& visit) {
  with_dtype(fill.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    using L = std::conditional_t<std::is_same_v<T, double>, Scalar64, Scalar32>;
    const auto& numbers = [&]() -> const auto& {
      if constexpr (std::is_same_v<T, double>)
        return fill.double_numbers;
      else
        return fill.numbers;
    }();
    switch (fill.distribution) {
      case Distribution::kUniform:
        return visit(element, Type<UniformMap<L>>{}, numbers.uniform);
      case Distribution::kNormal:
        return visit(element, Type<NormalMap<L>>{}, numbers.normal);
      case Distribution::kTruncNormal:
        return visit(element, Type<TruncNormalMap<L>>{}, numbers.trunc_normal);
      case Distribution::kSymmetricTruncNormal:
        return visit(element, Type<SymmetricTruncNormalMap<L>>{}, numbers.symmetric_trunc_normal);
      case Distribution::kTailNormal:
        return visit(element, Type<TailNormalMap<L>>{}, numbers.tail_normal);
    }
  });
}

// Calls visit(Type<T>) with an unsigned integer of the item size.
template <class Visit>
void with_itemsize(int itemsize, Visit&& visit) {
  switch (itemsize) {
    case 1:
      return visit(Type<uint8_t>{});
    case 2:
      return visit(Type<uint16_t>{});
    case 4:
      return visit(Type<uint32_t>{});
    default:
      return visit(Type<uint64_t>{});
  }
}

}  // namespace winit_cuda
