// Stewart's reflectors (Stewart, "The efficient generation of random orthogonal matrices with an
// application to condition estimators", SIAM J. Numer. Anal. 17, 1980): the vectors v_i of
// Householder matrices H_i = I - v_i v_i^T whose product, with the right signs, is Haar
// distributed.
//
// Column i of the rows x columns matrix (rows >= columns) starts as the independent normals x_i of
// rows i and below, from the orthogonal domain at the matrix's own row-major indices. v_i is x_i +
// sign(x_i[0]) |x_i| e_1 scaled to |v_i|^2 = 2, sigma_i = -sign(x_i[0]); the last column of a
// square matrix has v = 0 and sigma = sign(x). Norms are float64 sums in the order of the rows.
#pragma once

#include <cmath>

#include "fill.h"

namespace winit_cuda {

struct Reflectors {
  void* vectors;  // contiguous rows x columns, float32 or float64
  void* signs;    // columns of them
  DType dtype;
  int64_t rows, columns;
};

// Turns the normals of one column into its reflector.
template <class Real>
WINIT_HD void make_reflector(Real* vectors, Real* signs, int64_t rows, int64_t columns,
                             int64_t column) {
  double square = 0;
  for (int64_t row = 0; row < column; ++row) vectors[row * columns + column] = 0;
  for (int64_t row = column; row < rows; ++row) {
    const double x = vectors[row * columns + column];
    square = fused(x, x, square);
  }
  Real& head = vectors[column * columns + column];
  const double first = head;
  if (column == rows - 1) {
    signs[column] = first < 0 ? Real(-1) : Real(1);
    head = 0;
    return;
  }
  const double norm = sqrt(square);
  signs[column] = first < 0 ? Real(1) : Real(-1);
  const double lengthened = first < 0 ? first - norm : first + norm;
  // |x + sign |x| e_1|^2 = 2 |x| (|x| + |x_0|)
  const double scale = 1 / sqrt(norm * (first < 0 ? -lengthened : lengthened));
  head = static_cast<Real>(lengthened * scale);
  for (int64_t row = column + 1; row < rows; ++row) {
    Real& entry = vectors[row * columns + column];
    entry = static_cast<Real>(static_cast<double>(entry) * scale);
  }
}

// The fill that gives the normals the reflectors start from.
RandomFill reflector_normals(const Reflectors& reflectors, const Source& source);

void reflectors_cpu(const Reflectors& reflectors, const Source& source, int threads);

}  // namespace winit_cuda
