// The body of the kernel that makes reflectors, as fill_kernels.h has those of the fills.
#pragma once

#include "fill_kernels.h"
#include "reflectors.h"

namespace winit_cuda {

template <class Real>
WINIT_HD void make_reflectors(const Reflectors& reflectors, const ThreadIndex& at) {
  for (int64_t column = at.thread; column < reflectors.columns; column += at.threads)
    make_reflector_columns<1>(static_cast<Real*>(reflectors.vectors),
                              static_cast<Real*>(reflectors.signs), reflectors.rows,
                              reflectors.columns, column, column + 1);
}

}  // namespace winit_cuda
