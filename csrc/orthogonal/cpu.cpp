#include "orthogonal/orthogonal.h"

#include <algorithm>

#include "platform/floating_point.h"

namespace winit_cuda {
namespace {

// Up to this many multiplications (rows * columns * the smaller of them) one reflector after the
// other is done first: 32 x 32.
constexpr int64_t kSmall = int64_t{1} << 15;

}  // namespace

UprightPart upright(const OrthogonalFill& fill) {
  if (fill.rows >= fill.columns)
    return {fill.rows,         fill.columns,      fill.first_row, fill.row_count,
            fill.first_column, fill.column_count, false};
  return {fill.columns,   fill.rows, fill.first_column, fill.column_count, fill.first_row,
          fill.row_count, true};
}

void orthogonal_cpu(const OrthogonalFill& fill, int threads) {
  if (fill.row_count <= 0 || fill.column_count <= 0) return;
  const DefaultFloatingPoint environment;
  // No overflow: the first product is at most 2^15 before the second is made.
  const int64_t smaller = std::min(fill.rows, fill.columns);
  const int64_t larger = std::max(fill.rows, fill.columns);
  if (larger <= kSmall && larger * smaller <= kSmall && larger * smaller * smaller <= kSmall)
    orthogonal_small_cpu(fill);
  else
    orthogonal_blocked_cpu(fill, threads);
}

}  // namespace winit_cuda
