// The finite values of each dtype as an ordered set: the nearest ones on either side of a real
// number.
#pragma once

#include "values/dtype.h"

namespace winit_cuda {

// The largest value.
double largest_value(DType dtype);

// The smallest value >= x, the largest <= x, and the largest < x. Infinity where there is none.
double smallest_at_least(DType dtype, double x);
double largest_at_most(DType dtype, double x);
double largest_below(DType dtype, double x);

// The bits of x rounded to the dtype as the fills round (float32 first, then once more; float64 as
// it is). NaN, infinities and what rounds past the largest value become the dtype's own NaN or
// infinity.
uint64_t encode(DType dtype, double x);

}  // namespace winit_cuda
