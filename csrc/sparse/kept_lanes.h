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

// Collects the halves first ... first + width of each lane.
template <class L>
static void collect_kept(const KeptTile& tile, const LaneHalves& first, const LaneHalves& width,
                         KeptWords& found) {
  const uint64_t lanes = ~uint64_t{0} >> (KeptTile::kLanes - tile.lanes);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const uint16_t* const upper = tile.upper + row * KeptTile::kLanes;
    uint64_t inside = L::within(upper, first, width) & lanes;
    for (; inside; inside &= inside - 1) {
      const int lane = __builtin_ctzll(inside);
      found.append(lane, upper[lane], row);
    }
  }
}

// Marks the elements whose half is above the limit of their lane, in the tile's place among those
// of a row.
template <class L>
static void mark_kept(const KeptTile& tile, const LaneHalves& limits, KeptMarks& marks, int place) {
  const LaneHalves least = {};
  uint64_t* const bits = marks.of(place);
  for (int64_t row = 0; row < tile.rows; ++row)
    bits[row] = ~L::within(tile.upper + row * KeptTile::kLanes, least, limits);
}

// What a chunk of the sparse fill is held against: the marks of a row.
template <class L>
class KeptZeros {
 public:
  explicit KeptZeros(const KeptMarks& marks) : marks_(marks) {}

  void begin(int64_t row) {
    row_ = row;
    first_ = marks_.index(row) / 4;
  }

  // Of the chunk that begins with this block.
  struct View {
    uint64_t bits;
    WINIT_HD_MEMBER typename L::F nonzero(int i, typename L::F value) const {
      return L::where_set(static_cast<uint32_t>(bits >> (i * L::kLanes)), value);
    }
    WINIT_HD_MEMBER bool is_zero(int i) const { return (bits >> i & 1) == 0; }
  };
  WINIT_HD_MEMBER View at(uint64_t block) const {
    const uint64_t lane = 4 * (block - first_);
    const uint64_t* const bits = marks_.of(static_cast<int64_t>(lane / KeptTile::kLanes));
    return {bits[row_] >> lane % KeptTile::kLanes};
  }

 private:
  const KeptMarks& marks_;
  int64_t row_ = 0;
  uint64_t first_ = 0;
};

}  // namespace simd
}  // namespace winit_cuda
