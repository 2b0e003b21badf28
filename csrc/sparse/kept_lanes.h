// The CPU's passes over a tile of kept words (sparse/columns.h), for lanes of any width. Loops over
// all lanes of a row are what compilers make vectors of.
#pragma once

#include <cstring>

#include "fill/lanes.h"
#include "simd/halves.h"
#include "sparse/columns.h"

namespace winit_cuda {
namespace simd {

static_assert(KeptTile::kLanes == kHalves);

// Rows [row, row + kRows) of `keep`. So many are made at once where a chunk is a row.
template <class L, int kRows>
static inline void keep_rows(const KeptTile& tile, Words<L>& stream, int64_t row, uint16_t bound,
                             LaneHalves& held) {
  constexpr int kWords = 4 * L::kBlocks, kChunks = KeptTile::kLanes / kWords;
  static_assert(KeptTile::kLanes % kWords == 0 && (kRows == 1 || kChunks == 1));
  typename L::U words[kRows * kChunks][kVectors<L>];
  const uint64_t block = tile.index(row) / 4;
  if constexpr (kChunks == 1)
    stream.template chunks<kRows>(block, tile.row_stride / 4, words);
  else
    for (int i = 0; i < kChunks; ++i) stream.chunk(block + uint64_t{L::kBlocks} * i, words[i]);
  for (int i = 0; i < kRows; ++i)
    L::keep(words + i * kChunks, bound, tile.upper + (row + i) * KeptTile::kLanes, held);
}

// Keeps the words of the tile, and counts the halves up to the bound, lane by lane.
template <class L>
static void keep(const KeptTile& tile, uint16_t bound, LaneHalves& counts) {
  LaneHalves held = {};
  Words<L> stream(tile.key, Domain::kSparse, tile.first_index / 4);
  int64_t row = 0;
  for (; row + L::kTogether <= tile.rows; row += L::kTogether)
    keep_rows<L, L::kTogether>(tile, stream, row, bound, held);
  for (; row < tile.rows; ++row) keep_rows<L, 1>(tile, stream, row, bound, held);
  std::copy_n(held, KeptTile::kLanes, counts);
}

// Counts the halves up to the bound of each lane.
static inline void count_kept(const KeptTile& tile, const LaneHalves& bounds, LaneHalves& counts) {
  LaneHalves bound, held = {};
  std::copy_n(bounds, KeptTile::kLanes, bound);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const uint16_t* const upper = tile.upper + row * KeptTile::kLanes;
    for (int lane = 0; lane < KeptTile::kLanes; ++lane)
      held[lane] = static_cast<uint16_t>(held[lane] + (upper[lane] <= bound[lane]));
  }
  std::copy_n(held, KeptTile::kLanes, counts);
}

// Marks the elements whose half is above the bound of their lane, a word for a row, and collects
// the halves in the windows.
template <class L>
static void mark_kept(const KeptTile& tile, const KeptWindows& windows, uint64_t* marks,
                      KeptWords& found) {
  constexpr int64_t kRows = 64;
  const KeptWindows own = windows;  // which nobody else writes to: vectors of it stay in registers
  const LaneHalves least = {};
  for (int64_t begin = 0; begin < tile.rows; begin += kRows) {
    // Rows with something inside come first: a branch for each row is hard to foretell.
    struct {
      int64_t row;
      uint64_t inside;
    } some[kRows + 1];
    int64_t count = 0;
    const int64_t end = std::min(begin + kRows, tile.rows);
    for (int64_t row = begin; row < end; ++row) {
      const uint16_t* const upper = tile.upper + row * KeptTile::kLanes;
      marks[row] = ~L::within(upper, least, own.bounds);
      const uint64_t inside = L::within(upper, own.first, own.width) & own.lanes;
      some[count] = {row, inside};
      count += inside != 0;
    }
    for (int64_t i = 0; i < count; ++i)
      for (uint64_t inside = some[i].inside; inside; inside &= inside - 1) {
        const int lane = __builtin_ctzll(inside);
        found.append(lane, tile.upper[some[i].row * KeptTile::kLanes + lane], some[i].row);
      }
  }
}

}  // namespace simd
}  // namespace winit_cuda
