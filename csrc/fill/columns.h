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

// Whether a vector of Lines is a cache line.
template <class Lines>
inline constexpr bool kIsLine = sizeof(typename Lines::V) == 64;

// Whether Lines writes every second element of a cache line at once, by a mask. Elements of 8 bytes
// are written as soon one by one.
template <class Lines, int kBytes>
inline constexpr bool kHasMask = kIsLine<Lines> && kBytes <= 4;

// As copy_apart does, from elements side by side.
template <class Lines, int kBytes>
static inline void spread(const char* from, char* out, int64_t out_step, int64_t count) {
  if constexpr (kHasMask<Lines, kBytes>)
    if (out_step == 2 * kBytes)
      for (; count >= 32 / kBytes; count -= 32 / kBytes, from += 32, out += 64)
        Lines::template store_every_second<kBytes>(from, out);
  copy_apart<kBytes>(from, kBytes, out, out_step, count);
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

  // From rows to elements of the same column side by side. Every round moves one bit of the row's
  // number from the vector's to the lane's.
  template <int kCount>
  static WINIT_HD_MEMBER void interleave(V (&vectors)[kCount]) {
#pragma GCC unroll 4
    for (int round = 1; round < kCount; round *= 2) {
      V row[kCount];
#pragma GCC unroll 16
      for (int i = 0; i < kCount; ++i) row[i] = vectors[i];
#pragma GCC unroll 8
      for (int i = 0; i < kCount / 2; ++i) {
        vectors[2 * i] = Lines::template low<kBytes>(row[i], row[i + kCount / 2]);
        vectors[2 * i + 1] = Lines::template high<kBytes>(row[i], row[i + kCount / 2]);
      }
    }
  }

  // kRows rows of kAcross columns.
  static WINIT_HD_MEMBER void write(const char* from, int64_t pitch, char* out, int64_t stride,
                                    bool streaming) {
    V column[kAcross];
#pragma GCC unroll 16
    for (int i = 0; i < kAcross; ++i) column[i] = Lines::gather(from + i * pitch, kAcross * pitch);
    interleave(column);
#pragma GCC unroll 16
    for (int i = 0; i < kAcross; ++i) {
      if constexpr (kIsLine<Lines>)
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

// Whether the columns of a table are written around the caches: only whole cache lines are, parts
// of many at a time are slower.
template <class Lines, int kBytes>
static inline bool is_written_around(const Table& table, const char* out, bool streaming) {
  return kIsLine<Lines> && streaming && table.row_stride == kBytes &&
         reinterpret_cast<uintptr_t>(out) % 64 == 0 && table.column_stride % 64 == 0;
}

// Columns at most so many bytes apart share cache lines, and are written row by row.
constexpr int64_t kNear = 64;

// Few rows, at most kWide, whose columns lie one behind the other (the channels of an image): kWide
// places for each column. What is written to those that no row has, the next column overwrites.
template <class Lines, int kBytes, int kWide>
struct FewRows {
  using Block = Columns<Lines, kBytes>;
  static constexpr int kAcross = Block::kAcross, kColumns = Lines::kParts * kAcross;
  static constexpr int kPlaces = kAcross / kWide;  // columns of 16 bytes

  static WINIT_HD_MEMBER void write(const char* from, int64_t pitch, int64_t rows, char* out) {
    typename Lines::V vectors[kWide];
#pragma GCC unroll 4
    for (int i = 0; i < kWide; ++i)
      std::memcpy(&vectors[i], from + std::min<int64_t>(i, rows - 1) * pitch, sizeof(vectors[i]));
    Block::interleave(vectors);
    alignas(64) char plain[kWide][sizeof(typename Lines::V)];
#pragma GCC unroll 4
    for (int i = 0; i < kWide; ++i) Lines::store(plain[i], vectors[i]);
#pragma GCC unroll 4
    for (int part = 0; part < Lines::kParts; ++part)
#pragma GCC unroll 16
      for (int column = 0; column < kAcross; ++column, out += rows * kBytes)
        std::memcpy(out, plain[column / kPlaces] + 16 * part + column % kPlaces * kWide * kBytes,
                    kWide * kBytes);
  }
};

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

template <class Lines, int kBytes, int kWide>
static inline void write_few_rows(const Table& table, const char* from, char* out) {
  using Few = FewRows<Lines, kBytes, kWide>;
  const int64_t all_but_one = table.columns - 1;  // nothing overwrites what the last one leaves
  const int64_t count = all_but_one < Few::kColumns ? 0 : all_but_one;
  for (int64_t column = 0; column < count; column += Few::kColumns) {
    const int64_t first = std::min(column, count - Few::kColumns);  // some of the last ones twice
    Few::write(from + first * kBytes, table.row_pitch, table.rows,
               out + first * table.column_stride);
  }
  Table rest = table;
  rest.columns -= count;
  write_each<kBytes>(rest, true, from + count * kBytes, out + count * table.column_stride);
}

// Rows side by side in memory: whole blocks, then what is left to their right and below.
template <class Lines, int kBytes>
static inline void write_columns(const Table& table, const char* from, char* out, bool streaming) {
  using Block = Columns<Lines, kBytes>;
  const auto [rows, columns, pitch, row_stride, stride] = table;
  const bool around = is_written_around<Lines, kBytes>(table, out, streaming);
  if (stride == rows * kBytes && rows <= 2)
    return write_few_rows<Lines, kBytes, 2>(table, from, out);
  if constexpr (Block::kAcross >= 4)
    if (stride == rows * kBytes && rows <= 4)
      return write_few_rows<Lines, kBytes, 4>(table, from, out);
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

// Every second place in memory: columns in a buffer, some at a time, and from there by masks.
template <class Lines, int kBytes>
static inline void write_spread(const Table& table, const char* from, char* out) {
  constexpr int64_t kColumns = 16 / kBytes, kColumnBytes = 1024, kRows = kColumnBytes / kBytes;
  alignas(64) char buffer[kColumns * kColumnBytes];
  const auto [rows, columns, pitch, row_stride, stride] = table;
  for (int64_t column = 0; column < columns; column += kColumns)
    for (int64_t row = 0; row < rows; row += kRows) {
      const Table part{std::min(rows - row, kRows), std::min(columns - column, kColumns), pitch,
                       kBytes, kColumnBytes};
      write_columns<Lines, kBytes>(part, from + row * pitch + column * kBytes, buffer, false);
      for (int64_t i = 0; i < part.columns; ++i)
        spread<Lines, kBytes>(buffer + i * kColumnBytes,
                              out + row * row_stride + (column + i) * stride, row_stride,
                              part.rows);
    }
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
  else if (kHasMask<Lines, kBytes> && table.row_stride == 2 * kBytes && table.column_stride > kNear)
    write_spread<Lines, kBytes>(table, from, out);
  else if (table.column_stride == kBytes)
    write_rows(table, table.columns * kBytes, from, out);
  else
    write_each<kBytes>(table, table.column_stride < table.row_stride, from, out);
}

}  // namespace simd
}  // namespace winit_cuda
