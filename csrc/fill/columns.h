// From rows in a buffer to columns in memory: transposed in registers, 16 bytes of each row at a
// time, so that a column is written by whole vectors. What it does depends on the size of an
// element alone, not on what the element means.
#pragma once

#include <algorithm>

#include "platform/host_device.h"

namespace winit_cuda {

namespace simd {

template <int kCount>
WINIT_HD void copy_and_advance(const char*& from, char*& out) {
  std::memcpy(out, from, kCount);
  from += kCount;
  out += kCount;
}

// Mostly few: less work than a call of memcpy.
WINIT_HD void copy_bytes(const char* from, int64_t bytes, char* out) {
  for (; bytes >= 64; bytes -= 64) copy_and_advance<64>(from, out);
  if (bytes & 32) copy_and_advance<32>(from, out);
  if (bytes & 16) copy_and_advance<16>(from, out);
  if (bytes & 8) copy_and_advance<8>(from, out);
  if (bytes & 4) copy_and_advance<4>(from, out);
  if (bytes & 2) copy_and_advance<2>(from, out);
  if (bytes & 1) copy_and_advance<1>(from, out);
}

// `count` elements of kBytes bytes each, so many bytes apart: written out, because four addresses
// take one addition so.
template <int kBytes>
WINIT_HD void copy_apart(const char* from, int64_t from_step, char* out, int64_t out_step,
                         int64_t count) {
  for (; count >= 4; count -= 4, from += 4 * from_step, out += 4 * out_step) {
    std::memcpy(out, from, kBytes);
    std::memcpy(out + out_step, from + from_step, kBytes);
    std::memcpy(out + 2 * out_step, from + 2 * from_step, kBytes);
    std::memcpy(out + 3 * out_step, from + 3 * from_step, kBytes);
  }
  for (; count > 0; --count, from += from_step, out += out_step) std::memcpy(out, from, kBytes);
}

// Elements of kBytes bytes that lie `pitch` bytes apart from row to row, and are to lie side by
// side, with columns `stride` bytes apart.
//
// A vector of Lines is kParts times 16 bytes. Each part is transposed on its own: vector i holds 16
// bytes of the rows i, i + kAcross, i + 2 * kAcross ... and becomes column i of them all.
template <class Lines, int kBytes>
struct Columns {
  using V = typename Lines::V;
  static constexpr int kAcross = 16 / kBytes, kRows = Lines::kParts * kAcross;
  // Only whole cache lines are written around the caches: parts of many at a time are slower.
  static constexpr bool kIsLine = sizeof(V) == 64;

  // Every round of interleaving moves one bit of the row's number from the vector's to the lane's.
  static WINIT_HD_MEMBER void load(const char* from, int64_t pitch, V (&column)[kAcross]) {
#pragma GCC unroll 16
    for (int i = 0; i < kAcross; ++i) column[i] = Lines::gather(from + i * pitch, kAcross * pitch);
#pragma GCC unroll 4
    for (int round = 1; round < kAcross; round *= 2) {
      V row[kAcross];
#pragma GCC unroll 16
      for (int i = 0; i < kAcross; ++i) row[i] = column[i];
#pragma GCC unroll 8
      for (int i = 0; i < kAcross / 2; ++i) {
        column[2 * i] = Lines::template low<kBytes>(row[i], row[i + kAcross / 2]);
        column[2 * i + 1] = Lines::template high<kBytes>(row[i], row[i + kAcross / 2]);
      }
    }
  }

  // kRows rows of kAcross columns.
  static WINIT_HD_MEMBER void write(const char* from, int64_t pitch, char* out, int64_t stride,
                                    bool streaming) {
    V column[kAcross];
    load(from, pitch, column);
#pragma GCC unroll 16
    for (int i = 0; i < kAcross; ++i) {
      if constexpr (kIsLine)
        if (streaming) {
          Lines::stream(out + i * stride, column[i]);
          continue;
        }
      Lines::store(out + i * stride, column[i]);
    }
  }
};

// Rows and columns in a buffer, and how far apart they lie there and in memory, in bytes.
struct Table {
  int64_t rows, columns;
  int64_t row_pitch;
  int64_t row_stride, column_stride;
};

// Columns at most so many bytes apart share cache lines, and are written row by row.
constexpr int64_t kNear = 64;

// One element after the other: along the columns, or along the rows of each.
template <int kBytes>
static inline void write_each(const Table& table, bool along_columns, const char* from, char* out) {
  if (along_columns)
    for (int64_t row = 0; row < table.rows; ++row)
      copy_apart<kBytes>(from + row * table.row_pitch, kBytes, out + row * table.row_stride,
                         table.column_stride, table.columns);
  else
    for (int64_t column = 0; column < table.columns; ++column)
      copy_apart<kBytes>(from + column * kBytes, table.row_pitch,
                         out + column * table.column_stride, table.row_stride, table.rows);
}

// Rows side by side in memory: whole blocks, then what is left to their right and below.
template <class Lines, int kBytes>
static inline void write_columns(const Table& table, const char* from, char* out, bool streaming) {
  using Block = Columns<Lines, kBytes>;
  const auto [rows, columns, pitch, row_stride, stride] = table;
  const bool around = streaming && reinterpret_cast<uintptr_t>(out) % 64 == 0 && stride % 64 == 0;
  const int64_t whole_rows = rows / Block::kRows * Block::kRows;
  const int64_t whole_columns = columns / Block::kAcross * Block::kAcross;
  for (int64_t column = 0; column < whole_columns; column += Block::kAcross)
    for (int64_t row = 0; row < whole_rows; row += Block::kRows)
      Block::write(from + row * pitch + column * kBytes, pitch,
                   out + row * kBytes + column * stride, stride, around);
  const Table right{whole_rows, columns - whole_columns, pitch, kBytes, stride};
  write_each<kBytes>(right, false, from + whole_columns * kBytes, out + whole_columns * stride);
  const Table below{rows - whole_rows, columns, pitch, kBytes, stride};
  write_each<kBytes>(below, stride <= kNear, from + whole_rows * pitch, out + whole_rows * kBytes);
}

template <int kRowBytes>
static inline void write_rows_of(const Table& table, const char* from, char* out) {
  for (int64_t row = 0; row < table.rows; ++row)
    std::memcpy(out + row * table.row_stride, from + row * table.row_pitch, kRowBytes);
}

// Columns side by side in memory. Rows of one vector or two are the common short ones.
static inline void write_rows(const Table& table, int64_t bytes, const char* from, char* out) {
  if (bytes == 8) return write_rows_of<8>(table, from, out);
  if (bytes == 16) return write_rows_of<16>(table, from, out);
  if (bytes == 32) return write_rows_of<32>(table, from, out);
  if (bytes == 64) return write_rows_of<64>(table, from, out);
  for (int64_t row = 0; row < table.rows; ++row)
    copy_bytes(from + row * table.row_pitch, bytes, out + row * table.row_stride);
}

template <class Lines, int kBytes>
WINIT_NO_INLINE static void write_table(const Table& table, const char* from, char* out,
                                        bool streaming) {
  if (table.row_stride == kBytes)
    write_columns<Lines, kBytes>(table, from, out, streaming);
  else if (table.column_stride == kBytes)
    write_rows(table, table.columns * kBytes, from, out);
  else
    write_each<kBytes>(table, table.column_stride < table.row_stride, from, out);
}

}  // namespace simd
}  // namespace winit_cuda
