// What the CPU's two passes over a sparse matrix look at: a tile of columns, the words found in it
// that may be a threshold, and the thresholds as the fill reads them.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "sparse/window.h"
#include "values/philox.h"

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
  std::unique_ptr<uint32_t[]> words;

  explicit ColumnWords(int64_t room_)
      : room(room_), words(new uint32_t[static_cast<size_t>(room_ * ColumnTile::kLanes)]) {
    clear();
  }
  void clear() {
    std::fill_n(below, ColumnTile::kLanes, 0);
    std::fill_n(count, ColumnTile::kLanes, 0);
  }
  uint32_t* of(int column) { return words.get() + column * room; }
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
  std::vector<uint32_t> limits;

  // Where the limits of the words from `index` on begin.
  uint64_t position(uint64_t index) const { return (index + kBefore - first) % columns; }
  // The same for `step` words later.
  uint64_t behind(uint64_t position, uint64_t step) const {
    position += step < columns ? step : step % columns;
    return position < columns ? position : position - columns;
  }
};

}  // namespace winit_cuda
