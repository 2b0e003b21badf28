// Boxes of which few consecutive indices lie side by side in memory (transposed, channels_last,
// sliced): filled tile by tile, made in the order of the index and written in that of memory, a
// cache line or more at a time.
#pragma once

#include <algorithm>

#include "fill/box.h"

namespace winit_cuda {

// One dimension of a tile.
struct TileSide {
  int64_t size = 1, stride = 0;
  uint64_t index_stride = 0;
  int64_t tile = 1, count = 1;  // elements of a whole tile, and how many tiles

  void cut(int64_t most) {
    tile = std::min(size, most);
    count = (size + tile - 1) / tile;
  }
};

// A tile has columns, along the last dimension, and rows, along another one. Where both are few, it
// has groups of them, along a third one: what follows in the index, or what lies next in memory.
struct Tiles {
  // At most: half of the nearest cache. Where there are enough rows, 256 bytes lie side by side.
  static constexpr int64_t kBytes = 16384, kColumns = 64;
  // Elements behind a row: rows a power of two apart would share their places in the cache. Also
  // what a row may begin earlier, to begin with a whole block of words.
  static constexpr int64_t kPadding = 16;
  static constexpr int64_t kBufferBytes = kBytes + kBytes / kColumns * kPadding;
  static constexpr int64_t kLongRun = 512;  // columns that are as good as contiguous

  Box outer;  // all dimensions but those of a tile
  TileSide group, row, column;
  bool groups_follow;              // in the index, between columns and rows or behind both
  bool is_one_stretch;             // all of a tile follows in the index, not only each row; of a
                                   // group, where groups do not
  bool is_one_table;               // in memory the rows of a group go on where the last one ends
  int64_t group_pitch, row_pitch;  // from one to the next in a tile's buffer
  int64_t count;

  int64_t elements() const { return group.tile * row.tile * column.tile; }
};

// The dimensions of a tile, besides the last one; -1 where there is none.
struct TileDimensions {
  int group, row;
  bool groups_follow;
};

// Whether dimension d goes on where the `count` elements behind it end.
static inline bool follows(const Box& box, int d, int64_t count) {
  return d >= 0 && box.index_stride[d] == static_cast<uint64_t>(count);
}

// The dimension that goes on in memory where dimension `side` ends.
static inline int find_neighbor(const Box& box, int side) {
  for (int d = 0; d < box.rank - 1; ++d)
    if (box.stride[d] == box.size[side] * box.stride[side]) return d;
  return -1;
}

static inline TileDimensions find_dimensions(const Box& box) {
  const int last = box.rank - 1;
  if (last < 1 || box.index_stride[last] != 1) return {-1, -1, false};
  int row = last;
  for (int d = 0; d < last; ++d)
    if (box.stride[d] > 0 && box.size[d] >= 4 && box.stride[d] < box.stride[row]) row = d;
  const bool has_runs = row == last;  // nothing lies closer together than the columns
  if (has_runs) row = last - 1;
  const bool is_next = row == last - 1;
  const bool is_short = box.size[last] < Tiles::kLongRun && follows(box, row, box.size[last]);
  const bool goes_on = box.stride[row] == box.size[last] * box.stride[last];
  if (has_runs && (goes_on || !is_short)) return {-1, -1, false};
  const int group = is_next ? row - 1 : last - 1;
  const int64_t behind = is_next ? box.size[row] * box.size[last] : box.size[last];
  // Enough follows in the index already, but little lies side by side in memory.
  const int64_t stretch = box.size[last] * (follows(box, row, box.size[last]) ? box.size[row] : 1);
  const int side = has_runs ? last : row;
  const bool has_follower = follows(box, group, behind);
  if (stretch >= Tiles::kColumns && box.size[side] < Tiles::kColumns) {
    const int neighbor = find_neighbor(box, side);
    if (neighbor >= 0 && !(has_follower && neighbor == group)) return {neighbor, row, false};
  }
  return {has_follower ? group : -1, row, true};
}

// False where runs along the last dimension are as good.
static inline bool find_tiles(const Box& box, int itemsize, Tiles& tiles) {
  const TileDimensions found = find_dimensions(box);
  if (found.row < 0) return false;
  tiles = Tiles{};
  tiles.outer.index_offset = box.index_offset;
  const int last = box.rank - 1;
  for (int d = 0; d <= last; ++d) {
    const TileSide side{box.size[d], box.stride[d], box.index_stride[d]};
    if (d == last) {
      tiles.column = side;
    } else if (d == found.row) {
      tiles.row = side;
    } else if (d == found.group) {
      tiles.group = side;
    } else {
      tiles.outer.size[tiles.outer.rank] = side.size;
      tiles.outer.stride[tiles.outer.rank] = side.stride;
      tiles.outer.index_stride[tiles.outer.rank++] = side.index_stride;
    }
  }
  TileSide &group = tiles.group, &row = tiles.row, &column = tiles.column;
  tiles.groups_follow = found.groups_follow;
  const bool groups_are_within = found.groups_follow && found.group > found.row;
  const int64_t elements = Tiles::kBytes / itemsize, least_rows = elements / Tiles::kColumns;
  // Rows that begin within a block of words are made from its first word on.
  const int64_t skipped = (row.index_stride | box.index_offset) % 4 == 0 ? 0 : 3;
  const bool has_runs = column.stride < row.stride;
  column.cut(has_runs ? Tiles::kLongRun : Tiles::kColumns - skipped);
  const bool has_groups = groups_are_within && column.count == 1;
  group.cut(has_groups ? std::max<int64_t>(Tiles::kColumns / column.tile, 1) : 1);
  const int64_t stretch = group.tile * column.tile;
  tiles.is_one_stretch = column.count == 1 && (group.count == 1 || !groups_are_within) &&
                         row.index_stride == static_cast<uint64_t>(stretch);
  tiles.row_pitch = tiles.is_one_stretch ? stretch : stretch + Tiles::kPadding;
  const int64_t fit =
      std::min(elements / stretch, Tiles::kBufferBytes / itemsize / tiles.row_pitch);
  if (tiles.groups_follow) {
    row.cut(has_runs ? fit : fit / least_rows * least_rows);
    const int64_t matrix = row.tile * stretch;
    if (tiles.is_one_stretch && !groups_are_within && row.count == 1)
      group.cut(std::max<int64_t>(elements / matrix, 1));
  } else if (has_runs) {
    group.cut(std::max<int64_t>(least_rows / column.tile, 1));
    row.cut(fit / group.tile);
  } else {
    row.cut(fit);
    group.cut(std::max<int64_t>(fit / row.tile, 1));
  }
  tiles.group_pitch = groups_are_within ? column.tile : row.tile * tiles.row_pitch;
  tiles.is_one_table =
      !groups_are_within && row.count == 1 && group.stride == row.tile * row.stride;
  tiles.count = element_count(tiles.outer) * group.count * row.count * column.count;
  return true;
}

// The part of a tile that the box has.
struct Tile {
  uint64_t index;
  int64_t offset, groups, rows, columns;
};

static inline Tile tile_at(const Tiles& tiles, int64_t number) {
  Tile tile{tiles.outer.index_offset, 0, 0, 0, 0};
  const auto step = [&](const TileSide& side) {  // how much of it the tile has
    const int64_t first = number % side.count * side.tile;
    number /= side.count;
    tile.index += static_cast<uint64_t>(first) * side.index_stride;
    tile.offset += first * side.stride;
    return std::min(side.tile, side.size - first);
  };
  // Rows first: columns may lie a page of memory apart, and this stays within a few of them.
  tile.rows = step(tiles.row);
  tile.columns = step(tiles.column);
  tile.groups = step(tiles.group);
  for (int d = tiles.outer.rank - 1; d >= 0; --d) {
    const int64_t position = number % tiles.outer.size[d];
    number /= tiles.outer.size[d];
    tile.index += static_cast<uint64_t>(position) * tiles.outer.index_stride[d];
    tile.offset += position * tiles.outer.stride[d];
  }
  return tile;
}

}  // namespace winit_cuda
