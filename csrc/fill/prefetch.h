// The memory of a tile, fetched while its elements are made. Else the writes, of a few lines in
// each of many places, wait for it: a pattern that processors do not see coming.
#pragma once

#include "fill/columns.h"

namespace winit_cuda {
namespace simd {

class Prefetch {
 public:
  Prefetch() = default;  // of nothing
  // Of a table that is made in so many rows.
  Prefetch(const Table& table, int64_t bytes, int64_t made_rows, const char* out) {
    const bool rows_are_near = table.row_stride < table.column_stride;
    const int64_t misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out) % 64);
    const int64_t near = rows_are_near ? (table.rows - 1) * table.row_stride
                                       : (table.columns - 1) * table.column_stride;
    line_ = out - misaligned;
    lines_in_run_ = lines_of_this_ = (misaligned + near + bytes + 63) / 64;
    to_next_run_ = (rows_are_near ? table.column_stride : table.row_stride) - 64 * lines_in_run_;
    rest_ = lines_in_run_ * (rows_are_near ? table.columns : table.rows);
    lines_for_row_ = (rest_ + made_rows - 1) / made_rows;
  }

  // What is due with each row. One loop over all lines, without a branch at the end of a run: a
  // branch that is predicted wrongly would hold the values up.
  void follow(int64_t rows) {
    const int64_t count = std::min(rest_, rows * lines_for_row_);
    rest_ -= count;
    for (int64_t i = 0; i < count; ++i) {
      __builtin_prefetch(line_, 1);
      const bool is_last = --lines_of_this_ == 0;
      line_ += 64 + (is_last ? to_next_run_ : 0);
      lines_of_this_ += is_last ? lines_in_run_ : 0;
    }
  }

 private:
  const char* line_ = nullptr;
  int64_t lines_in_run_ = 0, lines_of_this_ = 0, to_next_run_ = 0;
  int64_t rest_ = 0, lines_for_row_ = 0;
};

}  // namespace simd
}  // namespace winit_cuda
