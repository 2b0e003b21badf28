// Where the kernels begin their search for a column's threshold.
#pragma once

#include "sparse/kernel.h"
#include "sparse/window.h"

namespace winit_cuda {

// The buckets cover the window in which the threshold is expected.
static inline SparseSearch search_of(const SparseFill& fill) {
  const WordWindow window = window_of(fill.rows, fill.zeros_per_column, 1);
  SparseSearch search{window.first, 0};
  while ((window.last - window.first) >> search.shift >= kBuckets) ++search.shift;
  return search;
}

}  // namespace winit_cuda
