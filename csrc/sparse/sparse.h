// Sparse columns: exactly zeros_per_column zeros in each, uniform over the subsets, the rest
// normal.
//
// The zeros of a column are the entries with its smallest words in the sparse domain, ties going to
// the smaller row. The largest of them is the column's threshold, an order statistic that is found
// without storing the column; then one look at an entry's own word tells whether it is zero. Every
// column, and any box of the matrix, is computed alone.
#pragma once

#include "fill/fill.h"

namespace winit_cuda {

// The last (word, row) that is zero. A column without zeros has row -1.
struct SparseThreshold {
  int64_t row;
  uint32_t word;
  uint32_t unused;
};

struct SparseFill {
  RandomFill normal;  // target, source and the law of the entries that are not zero
  int64_t rows, columns, zeros_per_column;
  SparseThreshold* thresholds;  // room for one per local column, in the target's memory
};

// The range of global columns that a box of the matrix touches; the box has the two dimensions of
// the matrix, unmerged.
struct ColumnRange {
  int64_t first, count;
};

WINIT_HD ColumnRange local_columns(const SparseFill& fill) {
  const Box& box = fill.normal.target.box;
  return {static_cast<int64_t>(box.index_offset % static_cast<uint64_t>(fill.columns)),
          box.size[1]};
}

WINIT_HD bool is_zero(const SparseThreshold& threshold, uint32_t word, int64_t row) {
  return word < threshold.word || (word == threshold.word && row <= threshold.row);
}

// Neighboring columns of a matrix, and boxes of it that lie in them. The thresholds belong to whole
// columns: one selection tells the zeros of all boxes.
struct SparseColumns {
  ColumnRange range;
  const Target* boxes;
  int64_t count;
  SparseThreshold* thresholds;  // room for one a column, in the memory of a CUDA device
};

// What a selection looks at.
inline SparseFill selection_of(const SparseFill& fill, const SparseColumns& columns) {
  SparseFill selection = fill;
  selection.thresholds = columns.thresholds;
  Box& box = selection.normal.target.box;
  box = Box{};
  box.rank = 2;
  box.size[0] = 1;
  box.size[1] = columns.range.count;
  box.index_offset = static_cast<uint64_t>(columns.range.first);
  return selection;
}

// The fill of one of the boxes, when there are thresholds.
inline SparseFill fill_of(const SparseFill& fill, const SparseColumns& columns, int64_t number) {
  SparseFill one = fill;
  one.normal.target = columns.boxes[number];
  one.thresholds = columns.thresholds + (local_columns(one).first - columns.range.first);
  return one;
}

// Several such parts of one matrix, with the law and the counts of `fill`. The CPU draws the key
// and has thresholds of its own; it throws OutOfMemory, and nothing after the draw.
void sparse_cpu(const SparseFill& fill, const SparseColumns* parts, int64_t count, int threads,
                const KeyDraw& draw);
void sparse_cuda(const SparseFill& fill, const SparseColumns* parts, int64_t count,
                 const Launch& launch);

}  // namespace winit_cuda
