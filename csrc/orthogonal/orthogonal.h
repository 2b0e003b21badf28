// Orthogonal matrices on the CPU, whole or in part.
#pragma once

#include "fill/fill.h"

namespace winit_cuda {

// Rows [first_row, first_row + row_count) and columns likewise of gain * Q, Q the rows x columns
// matrix of the key: the product of its reflectors (orthogonal/reflectors.h), or its transpose
// where it is wide. The target's elements, in row-major order and from `first_element` on, are
// those of the part.
struct OrthogonalFill {
  Target target;
  Source source;
  int64_t rows, columns;
  int64_t first_row, row_count, first_column, column_count;
  double gain;
  int64_t first_element = 0;
};

void orthogonal_cpu(const OrthogonalFill& fill, int threads);

// The matrix standing upright: its longer side is its rows. A wide one is turned, its part too.
struct UprightPart {
  int64_t rows, columns;
  int64_t first_row, row_count, first_column, column_count;
  bool turned;
};

UprightPart upright(const OrthogonalFill& fill);

// One reflector after the other, in float64: for matrices of so few elements that a panel is not
// worth it.
void orthogonal_small_cpu(const OrthogonalFill& fill);

// Panel by panel (orthogonal/passes.h), in float32 unless the target is float64.
void orthogonal_blocked_cpu(const OrthogonalFill& fill, int threads);

}  // namespace winit_cuda
