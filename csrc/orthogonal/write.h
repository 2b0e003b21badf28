// From the values of an orthogonal matrix to the target: rounding, and any layout.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "orthogonal/orthogonal.h"
#include "values/limits.h"

namespace winit_cuda {

// Rounds to elements of T. An entry of Q is at most 1 but for rounding, which must not carry it
// past the largest value of the dtype when it is multiplied by the gain.
template <class T>
class Rounded {
 public:
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

  explicit Rounded(DType dtype)
      : largest_(static_cast<Wide>(largest_at_most(dtype, std::numeric_limits<double>::max()))) {}

  template <class Real>
  T operator()(Real value) const {
    const Wide wide = static_cast<Wide>(value);
    const Wide kept = std::max(-largest_, std::min(wide, largest_));
    if constexpr (std::is_same_v<T, double>)
      return kept;
    else
      return round_to<T>(kept);
  }

 private:
  Wide largest_;
};

// Elements [begin, begin + count) of the target, in row-major order, get the values.
template <class T>
void store_elements(const Target& target, int64_t begin, int64_t count, const T* values) {
  T* const base = static_cast<T*>(target.pointer);
  for_each_run(target.box, begin, begin + count, [&](const Run& run) {
    T* const out = base + run.offset;
    if (run.stride == 1)
      std::copy_n(values, run.count, out);
    else
      for (int64_t i = 0; i < run.count; ++i) out[i * run.stride] = values[i];
    values += run.count;
  });
}

}  // namespace winit_cuda
