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

  // So many of them or fewer.
  static WINIT_HD_MEMBER void write_some(const char* from, int64_t pitch, int64_t rows,
                                         int64_t columns, char* out, int64_t stride) {
    V column[kAcross];
    load(from, pitch, column);
    alignas(64) char lines[kAcross][sizeof(V)];
#pragma GCC unroll 16
    for (int i = 0; i < kAcross; ++i) Lines::store(lines[i], column[i]);
    for (int64_t i = 0; i < columns; ++i) copy_bytes(lines[i], rows * kBytes, out + i * stride);
  }
};

// Rows and columns in a buffer, and how far apart they lie there and in memory, in bytes.
struct Table {
  int64_t rows, columns;
  int64_t row_pitch;
  int64_t row_stride, column_stride;
};

// Rows side by side in memory. Reads up to kRows rows and kAcross columns more than there are.
template <class Lines, int kBytes>
static inline void write_columns(const Table& table, const char* from, char* out, bool streaming) {
  using Block = Columns<Lines, kBytes>;
  const auto [rows, columns, pitch, row_stride, stride] = table;
  const bool around = streaming && reinterpret_cast<uintptr_t>(out) % 64 == 0 && stride % 64 == 0;
  for (int64_t column = 0; column < columns; column += Block::kAcross) {
    const int64_t across = std::min<int64_t>(columns - column, Block::kAcross);
    const char* first = from + column * kBytes;
    char* place = out + column * stride;
    const int64_t whole = across == Block::kAcross ? rows / Block::kRows * Block::kRows : 0;
    for (int64_t row = 0; row < whole; row += Block::kRows)
      Block::write(first + row * pitch, pitch, place + row * kBytes, stride, around);
    for (int64_t row = whole; row < rows; row += Block::kRows)
      Block::write_some(first + row * pitch, pitch, std::min<int64_t>(rows - row, Block::kRows),
                        across, place + row * kBytes, stride);
  }
}

// Columns side by side in memory.
static inline void write_rows(const Table& table, int64_t bytes, const char* from, char* out) {
  for (int64_t row = 0; row < table.rows; ++row)
    copy_bytes(from + row * table.row_pitch, bytes, out + row * table.row_stride);
}

// Neither; the ones closer together first.
template <int kBytes>
static inline void write_apart(const Table& table, const char* from, char* out) {
  const bool down = table.row_stride < table.column_stride;
  const int64_t inner = down ? table.rows : table.columns;
  const int64_t outer = down ? table.columns : table.rows;
  const int64_t inner_pitch = down ? table.row_pitch : kBytes;
  const int64_t outer_pitch = down ? kBytes : table.row_pitch;
  const int64_t inner_stride = down ? table.row_stride : table.column_stride;
  const int64_t outer_stride = down ? table.column_stride : table.row_stride;
  for (int64_t i = 0; i < outer; ++i)
#pragma GCC unroll 8
    for (int64_t j = 0; j < inner; ++j)
      std::memcpy(out + i * outer_stride + j * inner_stride,
                  from + i * outer_pitch + j * inner_pitch, kBytes);
}

template <class Lines, int kBytes>
WINIT_NO_INLINE static void write_table(const Table& table, const char* from, char* out,
                                        bool streaming) {
  if (table.row_stride == kBytes)
    write_columns<Lines, kBytes>(table, from, out, streaming);
  else if (table.column_stride == kBytes)
    write_rows(table, table.columns * kBytes, from, out);
  else
    write_apart<kBytes>(table, from, out);
}

}  // namespace simd
}  // namespace winit_cuda
