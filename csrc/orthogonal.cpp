#include "orthogonal.h"

#include <algorithm>
#include <vector>

#include "limits.h"

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

void write_bits(void* pointer, int itemsize, int64_t offset, uint64_t bits) {
  char* place = static_cast<char*>(pointer) + offset * itemsize;
  const uint8_t byte = static_cast<uint8_t>(bits);
  const uint16_t pair = static_cast<uint16_t>(bits);
  const uint32_t word = static_cast<uint32_t>(bits);
  switch (itemsize) {
    case 1:
      std::memcpy(place, &byte, 1);
      break;
    case 2:
      std::memcpy(place, &pair, 2);
      break;
    case 4:
      std::memcpy(place, &word, 4);
      break;
    default:
      std::memcpy(place, &bits, 8);
  }
}

}  // namespace

void orthogonal_cpu(const SmallOrthogonal& matrix) {
  const int64_t m = std::max(matrix.rows, matrix.columns);
  const int64_t n = std::min(matrix.rows, matrix.columns);
  const bool wide = matrix.rows < matrix.columns;
  std::vector<double> vectors(static_cast<size_t>(m * n)), signs(static_cast<size_t>(n));
  reflectors_cpu({vectors.data(), signs.data(), DType::kFloat64, m, n}, matrix.source, 1);
  const std::vector<double> product = multiply_out(vectors, m, n);
  const Target& target = matrix.target;
  const int itemsize = item_size(target.dtype);
  for_each_run(target.box, 0, element_count(target.box), [&](const Run& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t index =
          static_cast<int64_t>(run.index) + i * static_cast<int64_t>(run.index_stride);
      const int64_t row = index / matrix.columns, column = index % matrix.columns;
      const int64_t reflector = wide ? row : column;
      const double entry = product[static_cast<size_t>(wide ? column * n + row : row * n + column)];
      const double value = matrix.gain * signs[static_cast<size_t>(reflector)] * entry;
      write_bits(target.pointer, itemsize, run.offset + i * run.stride,
                 encode(target.dtype, value));
    }
  });
}

}  // namespace winit_cuda
