#include <algorithm>
#include <vector>

#include "orthogonal/orthogonal.h"
#include "orthogonal/reflectors.h"
#include "orthogonal/write.h"

namespace winit_cuda {
namespace {

// H_0 ... H_{n-1} [I; 0] for the m x n reflectors, from the last to the first: reflector i meets
// rows and columns from i on, the others are still those of the identity.
std::vector<double> multiply_out(const std::vector<double>& vectors, int64_t m, int64_t n) {
  std::vector<double> product(static_cast<size_t>(m * n), 0.0), along(static_cast<size_t>(n));
  for (int64_t i = n - 1; i >= 0; --i) {
    product[static_cast<size_t>(i * n + i)] = 1;
    std::fill(along.begin(), along.end(), 0.0);
    for (int64_t row = i; row < m; ++row) {
      const double v = vectors[static_cast<size_t>(row * n + i)];
      for (int64_t column = i; column < n; ++column)
        along[static_cast<size_t>(column)] += v * product[static_cast<size_t>(row * n + column)];
    }
    for (int64_t row = i; row < m; ++row) {
      const double v = vectors[static_cast<size_t>(row * n + i)];
      for (int64_t column = i; column < n; ++column)
        product[static_cast<size_t>(row * n + column)] -= v * along[static_cast<size_t>(column)];
    }
  }
  return product;
}

}  // namespace

void orthogonal_small_cpu(const OrthogonalFill& fill) {
  const UprightPart part = upright(fill);
  const int64_t m = part.rows, n = part.columns;
  std::vector<double> vectors(static_cast<size_t>(m * n)), signs(static_cast<size_t>(n));
  reflectors_cpu(reflectors_of(vectors.data(), signs.data(), DType::kFloat64, m, n, 0, n),
                 fill.source, 1);
  const std::vector<double> product = multiply_out(vectors, m, n);
  with_element(fill.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    const Rounded<T> rounded(fill.target.dtype);
    std::vector<T> line(static_cast<size_t>(fill.column_count));
    for (int64_t i = 0; i < fill.row_count; ++i) {
      for (int64_t j = 0; j < fill.column_count; ++j) {
        const int64_t first = fill.first_row + i, second = fill.first_column + j;
        const int64_t row = part.turned ? second : first, column = part.turned ? first : second;
        line[static_cast<size_t>(j)] = rounded(fill.gain * signs[static_cast<size_t>(column)] *
                                               product[static_cast<size_t>(row * n + column)]);
      }
      store_elements(fill.target, fill.first_element + i * fill.column_count, fill.column_count,
                     line.data());
    }
  });
}

}  // namespace winit_cuda
