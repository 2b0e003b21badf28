// What the CPU looks at in a sparse matrix: tiles of columns. There are two ways.
//
// By windows: of the words of a tile those near the expected threshold are collected, and the fill
// makes the words once more, to hold them against the thresholds.
//
// Kept: the words are made once. A tile keeps the upper half of each while the threshold is looked
// for, and leaves a bit of each for the fill. Halves order the words but for those that share one;
// near the threshold these are few, and their words are made again.
#pragma once

#include <algorithm>

#include "platform/memory.h"
#include "sparse/sparse.h"
#include "sparse/window.h"

namespace winit_cuda {

// Neighbouring columns, walked row by row. Rows of narrow matrices follow each other in the index:
// several of them are one row of the tile then, whose lanes belong to the columns in turn.
struct ColumnTile {
  // Wherever in a block a row begins, kUnaligned words of it lie in kLanes consecutive ones that
  // begin with the block.
  static constexpr int kLanes = 64, kUnaligned = kLanes - 3;

  StreamKey key;
  WordWindow window;
  uint64_t first_index, row_stride;  // of the tile's rows
  int lanes;
  uint8_t column[kLanes];  // of the tile, that a lane belongs to

  uint64_t index(int64_t row) const {
    return first_index + static_cast<uint64_t>(row) * row_stride;
  }
};

// Of each column of a tile, the words in the window, and how many are below it.
struct ColumnWords {
  int64_t below[ColumnTile::kLanes], count[ColumnTile::kLanes];
  int64_t room;  // words a column; `count` goes on where they do not suffice
  uint32_t* words;

  void clear() {
    std::fill_n(below, ColumnTile::kLanes, 0);
    std::fill_n(count, ColumnTile::kLanes, 0);
  }
  uint32_t* of(int column) { return words + column * room; }
  void append(int column, uint32_t word) {
    if (count[column] < room) of(column)[count[column]] = word;
    ++count[column];
  }
};

// The largest word that is zero, for each local column, and beyond the last one those of the first
// again, as far as a chunk of words reaches: chunks go from one row into the next.
struct ColumnLimits {
  static constexpr int64_t kBefore = 3;  // words of a block, before the one that a row begins with

  uint64_t first, columns;
  uint32_t* limits;

  // Where the limits of the words from `index` on begin.
  uint64_t position(uint64_t index) const { return (index + kBefore - first) % columns; }
  // The same for `step` words later.
  uint64_t behind(uint64_t position, uint64_t step) const {
    position += step < columns ? step : step % columns;
    return position < columns ? position : position - columns;
  }
};

// Writes fill.thresholds, of a fill with zeros in each column. Columns are looked at in tiles,
// whose words are made once: those in the window around the expected threshold are kept, 16 bytes
// times the square root of the column's length or less for each column of a tile, and the threshold
// is found among them. A column whose window does not hold it is looked at again, in other windows.
// Works in so many bytes of memory.
int64_t selection_bytes(const SparseFill& fill, int threads);
void select_thresholds_cpu(const SparseFill& fill, int threads, void* memory);

// Neighboring columns of a matrix that is a multiple of four wide, the first of them at the start
// of a block of words.
struct KeptTile {
  static constexpr int kLanes = 64;
  static constexpr int64_t kMostRows = int64_t{1} << 14;  // 2 MB; and fewer than 16 bits count

  StreamKey key;
  uint64_t first_index, row_stride;  // of the words, row by row
  int64_t rows;
  int lanes;
  uint16_t* upper;  // rows * kLanes; beside the last column lie words of others

  uint64_t index(int64_t row) const {
    return first_index + static_cast<uint64_t>(row) * row_stride;
  }
};

using LaneHalves = uint16_t[KeptTile::kLanes];

// A bound for each lane, and halves near it, first ... first + width, in the lanes whose bit is
// set.
struct KeptWindows {
  alignas(64) LaneHalves bounds, first, width;
  uint64_t lanes;
};

// Halves in a window of each lane, with their rows.
struct KeptWords {
  int64_t room;  // entries a lane; `count` goes on where they do not suffice
  int64_t count[KeptTile::kLanes];
  uint32_t* entries;  // the half above, the row below; as many as the tile has words

  void clear(int64_t room_) {
    room = room_;
    std::fill_n(count, KeptTile::kLanes, 0);
  }
  uint32_t* of(int lane) { return entries + lane * room; }
  void append(int lane, uint16_t upper, int64_t row) {
    if (count[lane] < room)
      of(lane)[count[lane]] = static_cast<uint32_t>(upper) << 16 | static_cast<uint32_t>(row);
    ++count[lane];
  }
};

// Which elements of tiles side by side are not zero, a bit each: tile by tile, a word for a row.
struct KeptMarks {
  static constexpr int kMostTiles = 8;  // 2 KB of float32 a row

  int tiles, lanes;  // lanes of all tiles
  int64_t rows;
  uint64_t first_index, row_stride;  // of the words
  uint64_t* bits;                    // tiles * rows

  uint64_t index(int64_t row) const {
    return first_index + static_cast<uint64_t>(row) * row_stride;
  }
  uint64_t* of(int64_t tile) const { return bits + tile * rows; }
};

// Whether all boxes are made of such tiles, enough of them for the threads.
bool has_kept_tiles(const SparseFill& fill, const SparseColumns& columns, int threads);

// Selects and fills, a few tiles at a time. Needs no room for thresholds; works in so many bytes of
// memory.
int64_t sparse_kept_bytes(const SparseFill& selection, int threads);
void sparse_kept_cpu(const SparseFill& fill, const SparseColumns& columns, int threads,
                     void* memory);

}  // namespace winit_cuda
