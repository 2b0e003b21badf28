// Small orthogonal matrices, whole: where a call costs more than the arithmetic, one call does it
// all.
#pragma once

#include "reflectors.h"

namespace winit_cuda {

// gain Q for the rows x columns matrix whose row-major elements the target's box holds. Q is the
// product of the reflectors of the key (reflectors.h), applied one after the other in float64; a
// wide matrix is the transpose of the tall one.
struct SmallOrthogonal {
  Target target;
  Source source;
  int64_t rows, columns;
  double gain;
};

void orthogonal_cpu(const SmallOrthogonal& matrix);

}  // namespace winit_cuda
