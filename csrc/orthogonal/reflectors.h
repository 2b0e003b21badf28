// Stewart's reflectors (Stewart, "The efficient generation of random orthogonal matrices with an
// application to condition estimators", SIAM J. Numer. Anal. 17, 1980): the vectors v_i of
// Householder matrices H_i = I - v_i v_i^T whose product, with the right signs, is Haar
// distributed.
//
// Column i of the rows x columns matrix (rows >= columns) starts as the independent normals x_i of
// rows i and below, from the orthogonal domain at the matrix's own row-major indices. v_i is x_i +
// sign(x_i[0]) |x_i| e_1 scaled to |v_i|^2 = 2, sigma_i = -sign(x_i[0]); the last column of a
// square matrix has v = 0 and sigma = sign(x). Norms are float64 sums.
//
// The columns [first, first + count) alone, from row `first` down, are again such a matrix, of
// other words.
#pragma once

#include <cmath>

#include "fill/fill.h"
#include "orthogonal/add_square.h"

namespace winit_cuda {

struct Reflectors {
  void* vectors;  // contiguous rows x columns, float32 or float64
  void* signs;    // columns of them
  DType dtype;
  int64_t rows, columns;  // rows >= columns
  uint64_t first_index;   // in the whole matrix, of the entry at the top left,
  int64_t whole_columns;  // and how far its rows are apart there
};

// The columns [first, first + count) of the rows x columns matrix, and their signs.
inline Reflectors reflectors_of(void* vectors, void* signs, DType dtype, int64_t rows,
                                int64_t columns, int64_t first, int64_t count) {
  return {vectors, signs, dtype, rows - first, count, static_cast<uint64_t>(first * (columns + 1)),
          columns};
}

// What a column's first entry and squared length decide.
struct ReflectorHead {
  double sign, head, scale;  // sigma_i, v_i[0], and the factor from x_i to the rest of v_i
};

WINIT_HD ReflectorHead reflector_head(double first, double square, bool is_last_row) {
  const bool negative = first < 0;
  if (is_last_row) return {negative ? -1.0 : 1.0, 0.0, 0.0};
  if (square == 0) return {-1.0, 1.4142135623730951, 0.0};  // any direction: e_1
  const double norm = sqrt(square);
  const double lengthened = negative ? first - norm : first + norm;
  // |x + sign |x| e_1|^2 = 2 |x| (|x| + |x_0|)
  const double scale = 1 / sqrt(norm * (negative ? -lengthened : lengthened));
  return {negative ? 1.0 : -1.0, lengthened * scale, scale};
}

// Turns the normals of columns [begin, end) into their reflectors, a row at a time: neighbors in
// memory are neighbors in the loop. At most kColumns columns.
template <int kColumns, class Real>
WINIT_HD void make_reflector_columns(Real* vectors, Real* signs, int64_t rows, int64_t columns,
                                     int64_t begin, int64_t end) {
  // Sums of sums: a plain one of many rows would be off by more than the other roundings.
  constexpr int64_t kSummed = 64;
  double squares[kColumns] = {}, scales[kColumns];
  for (int64_t first = begin; first < rows; first += kSummed) {
    double recent[kColumns] = {};
    for (int64_t row = first; row < rows && row < first + kSummed; ++row)
      for (int64_t column = begin; column < end && column <= row; ++column) {
        double& sum = recent[column - begin];
        sum = add_square(vectors[row * columns + column], sum);
      }
    for (int64_t column = begin; column < end; ++column)
      squares[column - begin] += recent[column - begin];
  }
  for (int64_t column = begin; column < end; ++column) {
    Real& entry = vectors[column * columns + column];
    const ReflectorHead head = reflector_head(entry, squares[column - begin], column == rows - 1);
    entry = static_cast<Real>(head.head);
    signs[column] = static_cast<Real>(head.sign);
    scales[column - begin] = head.scale;
  }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = begin; column < end; ++column) {
      Real& entry = vectors[row * columns + column];
      if (row < column) entry = 0;
      if (row > column)
        entry = static_cast<Real>(static_cast<double>(entry) * scales[column - begin]);
    }
}

// The fill that gives the normals the reflectors start from.
RandomFill reflector_normals(const Reflectors& reflectors, const Source& source);

void reflectors_cpu(const Reflectors& reflectors, const Source& source, int threads);
void reflectors_cuda(const Reflectors& reflectors, const Source& source, const Launch& launch);

}  // namespace winit_cuda
