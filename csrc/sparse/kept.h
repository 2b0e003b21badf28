// Sparse columns whose words are made once: a tile keeps the upper half of each while the threshold
// is looked for, and leaves a bit of each for the fill.
//
// Halves order the words but for those that share one. Near the threshold these are few, and their
// words are made again.
#pragma once

#include <algorithm>
#include <vector>

#include "sparse/sparse.h"

namespace winit_cuda {

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
  uint16_t& at(int64_t row, int lane) const { return upper[row * kLanes + lane]; }
};

using LaneHalves = uint16_t[KeptTile::kLanes];

// Halves in a window of each lane, with their rows.
struct KeptWords {
  struct Entry {
    uint16_t upper;
    uint16_t row;
  };

  int64_t room;  // entries a lane; `count` goes on where they do not suffice
  int64_t count[KeptTile::kLanes];
  std::vector<Entry> entries;

  void clear(int64_t room_) {
    room = room_;
    std::fill_n(count, KeptTile::kLanes, 0);
    entries.resize(static_cast<size_t>(room * KeptTile::kLanes));
  }
  Entry* of(int lane) { return entries.data() + lane * room; }
  void append(int lane, uint16_t upper, int64_t row) {
    if (count[lane] < room) of(lane)[count[lane]] = {upper, static_cast<uint16_t>(row)};
    ++count[lane];
  }
};

// Which elements of tiles side by side are not zero, a bit each: tile by tile, a word for a row.
struct KeptMarks {
  static constexpr int kMostTiles = 8;  // 2 KB of float32 a row

  int tiles, lanes;  // lanes of all tiles
  int64_t rows;
  uint64_t first_index, row_stride;  // of the words
  std::vector<uint64_t> bits;        // tiles * rows

  uint64_t index(int64_t row) const {
    return first_index + static_cast<uint64_t>(row) * row_stride;
  }
  uint64_t* of(int64_t tile) { return bits.data() + tile * rows; }
  const uint64_t* of(int64_t tile) const { return bits.data() + tile * rows; }
};

// Whether a fill's box is made of such tiles, enough of them for the threads.
bool has_kept_tiles(const SparseFill& fill, int threads);

// Selects and fills, a few tiles at a time. Needs no room for thresholds.
void sparse_kept_cpu(const SparseFill& fill, int threads);

}  // namespace winit_cuda
