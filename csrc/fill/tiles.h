// Boxes whose consecutive indices lie apart in memory (transposed, channels_last): filled tile by
// tile, made in the order of the index and written in that of memory, a cache line or more at a
// time.
#pragma once

#include <algorithm>

#include "fill/box.h"

namespace winit_cuda {

struct Tiles {
  static constexpr int64_t kElements = 8192;  // of a tile at most
  // Behind a row: rows a power of two apart would share their places in the cache.
  static constexpr int64_t kPadding = 16;
  static constexpr int64_t kBuffer = kElements + kElements / 4;

  Box outer;                        // all dimensions but the two of a tile
  int64_t rows, row_index_stride;   // the dimension that lies side by side in memory
  int64_t columns, column_stride;   // the last one, of consecutive indices
  int64_t tile_rows, tile_columns;  // of a whole tile
  int64_t row_tiles, column_tiles, count;

  // Whether the rows of a tile follow each other in the index, too.
  bool is_one_stretch() const { return row_index_stride == columns && tile_columns == columns; }
  // From row to row of a tile in its buffer.
  int64_t pitch() const { return is_one_stretch() ? columns : tile_columns + kPadding; }
};

// False where runs along the last dimension are as good.
static inline bool find_tiles(const Box& box, int itemsize, Tiles& tiles) {
  const int last = box.rank - 1;
  if (last < 1 || box.index_stride[last] != 1 || box.stride[last] == 1) return false;
  int dense = 0;
  while (dense < last && (box.stride[dense] != 1 || box.size[dense] < 4)) ++dense;
  if (dense == last) return false;
  tiles = Tiles{};
  tiles.outer.index_offset = box.index_offset;
  for (int d = 0; d < last; ++d) {
    if (d == dense) continue;
    tiles.outer.size[tiles.outer.rank] = box.size[d];
    tiles.outer.stride[tiles.outer.rank] = box.stride[d];
    tiles.outer.index_stride[tiles.outer.rank++] = box.index_stride[d];
  }
  tiles.rows = box.size[dense];
  tiles.row_index_stride = static_cast<int64_t>(box.index_stride[dense]);
  tiles.columns = box.size[last];
  tiles.column_stride = box.stride[last];
  const int64_t least_rows = itemsize <= 2 ? 128 : 64;  // 128 to 512 bytes
  tiles.tile_columns = std::min(tiles.columns, Tiles::kElements / least_rows);
  const int64_t fit =
      std::min(Tiles::kElements / tiles.tile_columns, Tiles::kBuffer / tiles.pitch());
  tiles.tile_rows = std::min(tiles.rows, fit / least_rows * least_rows);
  tiles.row_tiles = (tiles.rows + tiles.tile_rows - 1) / tiles.tile_rows;
  tiles.column_tiles = (tiles.columns + tiles.tile_columns - 1) / tiles.tile_columns;
  tiles.count = element_count(tiles.outer) * tiles.row_tiles * tiles.column_tiles;
  return true;
}

// The part of a tile that the box has.
struct Tile {
  uint64_t index;
  int64_t offset, rows, columns;
};

static inline Tile tile_at(const Tiles& tiles, int64_t number) {
  const int64_t column = number % tiles.column_tiles * tiles.tile_columns;
  number /= tiles.column_tiles;
  const int64_t row = number % tiles.row_tiles * tiles.tile_rows;
  number /= tiles.row_tiles;
  Tile tile{tiles.outer.index_offset + static_cast<uint64_t>(row * tiles.row_index_stride + column),
            row + column * tiles.column_stride, std::min(tiles.tile_rows, tiles.rows - row),
            std::min(tiles.tile_columns, tiles.columns - column)};
  for (int d = tiles.outer.rank - 1; d >= 0; --d) {
    const int64_t position = number % tiles.outer.size[d];
    number /= tiles.outer.size[d];
    tile.index += static_cast<uint64_t>(position) * tiles.outer.index_stride[d];
    tile.offset += position * tiles.outer.stride[d];
  }
  return tile;
}

}  // namespace winit_cuda
