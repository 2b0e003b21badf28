// Orthogonal matrices: one, whole or in part, on the CPU, or many small ones anywhere.
#pragma once

#include "fill/fill.h"

namespace winit_cuda {

// Rows [first_row, first_row + row_count) and columns likewise of gain * Q, Q the rows x columns
// matrix of a key: the product of its reflectors (orthogonal/reflectors.h), or its transpose where
// it is wide. The target's elements, in row-major order and from `first_element` on, are those of
// the part.
struct OrthogonalFill {
  Target target;
  int64_t rows, columns;
  int64_t first_row, row_count, first_column, column_count;
  double gain;
  int64_t first_element = 0;
};

struct LineRange {
  int64_t first, count;
};

// Which key a matrix has: the one that is drawn, or a child of it (values/child_key.h).
constexpr int64_t kOwnKey = -1;

// Parts of one matrix that are made together, as columns or rows of it, none empty: the lines in
// ascending ranges, each part's in one of them. They meet the reflectors once.
struct OrthogonalLines {
  const OrthogonalFill* fills;  // that differ in target and part
  int64_t fill_count;
  const LineRange* ranges;
  int64_t range_count;
  bool are_columns;
  int64_t child = kOwnKey;
};

// The lines of one part: as columns or rows, of which it has fewer.
LineRange range_of(const OrthogonalFill& fill, bool& are_columns);

// One after the other. Throws OutOfMemory, and nothing after the draw.
void orthogonal_cpu(const OrthogonalLines* lines, int64_t count, int threads, const KeyDraw& draw);

// Whether matrix products of other makers give a matrix sooner: panels are slow where vectors have
// no fma instruction. It is the same matrix up to rounding.
bool is_slow_on_cpu(int64_t rows, int64_t columns);

// The matrix standing upright: its longer side is its rows. A wide one is turned, its part too.
struct UprightPart {
  int64_t rows, columns;
  int64_t first_row, row_count, first_column, column_count;
  bool turned;
};

UprightPart upright(const OrthogonalFill& fill);

// Panel by panel (orthogonal/passes.h), in float32 unless the target is float64. The second works
// in so many bytes of memory.
int64_t orthogonal_blocked_bytes(const OrthogonalLines& lines, int threads);
void orthogonal_blocked_cpu(const OrthogonalLines& lines, const StreamKey& key, int threads,
                            void* memory);

// Many matrices at once, each of a key of its own.
//
// Matrix j of `count` is gain Q for child j (values/child_key.h) of the source's key, with Q as
// above: its row-major elements are those of the target's box from j rows columns on,
// counted in the row-major order of the box.
struct OrthogonalBatch {
  Target target;
  Source source;
  int64_t count, rows, columns;
  double gain;
  double* workspace;  // of orthogonal_batch_workspace bytes, in the target's memory
};

// The kernels take matrices whose longer and shorter side are at most these.
constexpr int64_t kBatchLongest = 1024, kBatchShortest = 256;

void orthogonal_batch_cpu(const OrthogonalBatch& batch, int threads, const KeyDraw& draw);
void orthogonal_batch_cuda(const OrthogonalBatch& batch, const Launch& launch);
int64_t orthogonal_batch_workspace_cuda(const OrthogonalBatch& batch, int device);

}  // namespace winit_cuda
