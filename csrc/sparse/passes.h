// The table of what sparse fills do by instruction set.
#pragma once

#include "simd/choice.h"
#include "sparse/columns.h"

namespace winit_cuda {

struct SparsePasses {
  // Rows [begin, end) of a tile of columns.
  void (*collect)(const ColumnTile& tile, int64_t begin, int64_t end, ColumnWords& found);
  // How many of `count` words are at most `limit`.
  int64_t (*count_up_to)(const uint32_t* words, int64_t count, uint32_t limit);
  // Local elements [begin, end) of the normal fill, and tiles [begin, end) of it, with zeros where
  // the sparse word is at most the limit of its column.
  void (*fill)(const RandomFill& fill, const ColumnLimits& limits, int64_t begin, int64_t end);
  void (*fill_tiles)(const RandomFill& fill, const ColumnLimits& limits, const Tiles& tiles,
                     int64_t begin, int64_t end);
  // The passes over a tile of kept words (sparse/kept_lanes.h), and the fill of those of its rows
  // that are in the box, from a column of the box on, with zeros where there is no mark.
  void (*keep)(const KeptTile& tile, uint16_t bound, LaneHalves& counts);
  void (*count_kept)(const KeptTile& tile, const LaneHalves& bounds, LaneHalves& counts);
  void (*mark_kept)(const KeptTile& tile, const KeptWindows& windows, uint64_t* marks,
                    KeptWords& found);
  void (*fill_kept)(const RandomFill& fill, const KeptMarks& marks, int64_t column);
};

// The row of an instruction set (isa.cpp).
template <Isa isa>
const SparsePasses* sparse_passes();

static inline const SparsePasses& active_sparse_passes() {
  return *of_active_isa([](auto isa) { return sparse_passes<isa()>(); });
}

}  // namespace winit_cuda
