// The CPU's passes over a sparse matrix, for lanes of any width, L, as fill/lanes.h has the other
// fills. isa.cpp compiles them for the lanes of each instruction set.
#pragma once

#include <cstddef>

#include "fill/lanes.h"
#include "sparse/kept_lanes.h"
#include "sparse/marked_rows.h"
#include "sparse/passes.h"

namespace winit_cuda {

// Beyond what L has for all fills, the lanes here have
//   sort_out(words, first, width, below)  which of kGroup words w have w - first <= width, a bit
//   each;
//                                         counts those with w < first, word by word
//   where_above(order, limits, value)     `value` where order > limit, else zero
//   pack(word, bits, out)                 the words of the lanes whose bits are set, side by side;
//                                         what is behind them, up to a vector, may change
//   spread(bits, in, value)               the other way round, with zeros between
//   keep(words, bound, upper, held)       `upper`, the halves of 64 words; counts in `held`, lane
//                                         by lane, those up to the bound
//   within(halves, first, width)          in which of 64 lanes half - first <= width, a bit each
namespace simd {

// A row of the tile is a line of words in the cache: whole chunks, from a block's start on.
template <class L>
static void collect(const ColumnTile& tile, int64_t begin, int64_t end, ColumnWords& found) {
  constexpr int kWords = 4 * L::kBlocks;
  static_assert(ColumnTile::kLanes % kWords == 0);
  alignas(64) uint32_t line[ColumnTile::kLanes + kGroup + 4];
  alignas(64) uint32_t below[ColumnTile::kLanes] = {};
  std::memset(line, 0, sizeof(line));
  const uint32_t first = tile.window.first, width = tile.window.last - tile.window.first;
  const uint64_t lanes = ~uint64_t{0} >> (ColumnTile::kLanes - tile.lanes);
  Words<L> stream(tile.key, Domain::kSparse, tile.index(begin) / 4);
  for (int64_t row = begin; row < end; ++row) {
    const uint64_t index = tile.index(row);
    const int skipped = static_cast<int>(index % 4);
    for (int done = 0; done < skipped + tile.lanes; done += kWords) {
      typename L::U words[kVectors<L>];
      stream.chunk((index + static_cast<uint64_t>(done)) / 4, words);
      std::memcpy(line + done, words, sizeof(words));
    }
    const uint32_t* const words = line + skipped;
    // One mask for the whole row: a loop that ends once in a row is mispredicted once in a row.
    uint64_t inside = 0;
    for (int lane = 0; lane < ColumnTile::kLanes; lane += kGroup)
      inside |= uint64_t{L::sort_out(words + lane, first, width, below + lane)} << lane;
    for (inside &= lanes; inside; inside &= inside - 1) {
      const int lane = __builtin_ctzll(inside);
      found.append(tile.column[lane], words[lane]);
    }
  }
  for (int lane = 0; lane < tile.lanes; ++lane) found.below[tile.column[lane]] += below[lane];
}

static inline int64_t count_up_to(const uint32_t* words, int64_t count, uint32_t limit) {
  int64_t total = 0;
  while (count > 0) {
    const int64_t taken = std::min<int64_t>(count, INT32_MAX);
    uint32_t few = 0;
    for (int64_t i = 0; i < taken; ++i) few += words[i] <= limit;
    total += few;
    words += taken;
    count -= taken;
  }
  return total;
}

// The words that say which elements of a chunk are zero, and the limits that they are held to.
template <class L>
class ChunkZeros {
 public:
  ChunkZeros(const RandomFill& fill, const ColumnLimits& limits)
      : limits_(limits),
        words_(fill.source.key, Domain::kSparse, fill.target.box.index_offset / 4) {}

  // Of the chunk that begins with a block: the values of vector `i` with zeros among them, and
  // whether element `i` is one.
  struct View {
    typename L::U order[kVectors<L>];
    const uint32_t* limit;
    WINIT_HD_MEMBER typename L::F nonzero(int i, typename L::F value) const {
      return L::where_above(order[i], limit + i * L::kLanes, value);
    }
    WINIT_HD_MEMBER bool is_zero(int i) const {
      uint32_t word;
      std::memcpy(&word,
                  reinterpret_cast<const char*>(order) + static_cast<size_t>(i) * sizeof(word),
                  sizeof(word));
      return word <= limit[i];
    }
  };
  WINIT_HD_MEMBER View at(uint64_t block) {
    constexpr uint64_t kWords = 4 * L::kBlocks;
    // Mostly the chunk behind the one before: a division saved.
    position_ = block == next_ ? limits_.behind(position_, kWords) : limits_.position(4 * block);
    next_ = block + L::kBlocks;
    View view;
    words_.chunk(block, view.order);
    view.limit = limits_.limits + position_;
    return view;
  }

 private:
  const ColumnLimits& limits_;
  Words<L> words_;
  uint64_t next_ = UINT64_MAX, position_ = 0;
};

template <class L, class T>
class SparseChunk {
 public:
  static constexpr int kElements = 4 * L::kBlocks, kTogether = L::kTogether;
  static constexpr bool kOverlapping = false;
  using Lanes = L;

  SparseChunk(const RandomFill& fill, ChunkZeros<L>& zeros)
      : zeros_(zeros), values_(fill, fill.target.box.index_offset) {}

  template <int kChunks>
  WINIT_HD_MEMBER void write(const NormalMap<L>& map, uint64_t block, uint64_t step, T* out,
                             int64_t out_step, bool streaming) {
    typename L::U words[kChunks][kVectors<L>];
    values_.template words<kChunks>(block, step, words);
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const auto zeros = zeros_.at(block + static_cast<uint64_t>(chunk) * step);
      typename L::F values[kVectors<L>];
      values_.values(map, words[chunk], values);
      for (int i = 0; i < kVectors<L>; ++i) values[i] = zeros.nonzero(i, values[i]);
      store_chunk<L>(out + chunk * out_step, values, streaming);
    }
  }

  template <class Map>
  WINIT_HD_MEMBER void write_first(const Map& map, uint64_t block, int, T* out) {
    write<1>(map, block, 0, out, 0, false);
  }

 private:
  ChunkZeros<L>& zeros_;
  Chunk<L, T> values_;
};

template <class L>
class SparseChunk<L, double> {
 public:
  static constexpr int kElements = 4 * L::kBlocks, kTogether = 1;
  static constexpr bool kOverlapping = false;
  using Values = Chunk<L, double>;
  using Lanes = typename Values::Lanes;

  SparseChunk(const RandomFill& fill, ChunkZeros<L>& zeros)
      : zeros_(zeros), values_(fill, fill.target.box.index_offset) {}

  template <int kChunks>
  WINIT_HD_MEMBER void write(const NormalMap<Lanes>& map, uint64_t block, uint64_t step,
                             double* out, int64_t out_step, bool streaming) {
    alignas(64) double made[kElements];
    values_.template write<1>(map, block, step, made, out_step, false);
    const auto zeros = zeros_.at(block);
    for (int i = 0; i < kElements; ++i) made[i] = zeros.is_zero(i) ? 0.0 : made[i];
    for (int i = 0; i < kElements; i += Lanes::kLanes) {
      typename Lanes::F values;
      std::memcpy(&values, made + i, sizeof(values));
      streaming ? Lanes::stream(out + i, values) : Lanes::store(out + i, values);
    }
  }

  template <class Map>
  WINIT_HD_MEMBER void write_first(const Map& map, uint64_t block, int, double* out) {
    write<1>(map, block, 0, out, 0, false);
  }

 private:
  ChunkZeros<L>& zeros_;
  Values values_;
};

// A function of its own for each dtype, as in fill/lanes.h.
template <class L, class T, class Visit>
WINIT_NO_INLINE static void visit_sparse_chunk(const RandomFill& fill, ChunkZeros<L>& zeros,
                                               const Visit& visit) {
  using C = SparseChunk<L, T>;
  using Map = NormalMap<typename C::Lanes>;
  const Map map(fill.law.numbers_of<Map>());
  C chunk(fill, zeros);
  visit(map, chunk, static_cast<T*>(fill.target.pointer));
}

// Calls visit(map, chunk, base).
template <class L, class Visit>
static void with_sparse_chunk(const RandomFill& fill, ChunkZeros<L>& zeros, const Visit& visit) {
  with_element(fill.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    visit_sparse_chunk<L, T>(fill, zeros, visit);
  });
}

template <class L>
static void sparse_range(const RandomFill& fill, const ColumnLimits& limits, int64_t begin,
                         int64_t end) {
  ChunkZeros<L> zeros(fill, limits);
  with_sparse_chunk<L>(fill, zeros, [&](const auto& map, auto& chunk, auto* base) {
    const bool streaming = is_streamed(fill.target.box, sizeof(*base));
    for_each_run(fill.target.box, begin, end,
                 [&](const Run& run) { fill_run<L>(map, chunk, run, base, streaming); });
  });
}

template <class L>
static void sparse_tiles(const RandomFill& fill, const ColumnLimits& limits, const Tiles& tiles,
                         int64_t begin, int64_t end) {
  ChunkZeros<L> zeros(fill, limits);
  with_sparse_chunk<L>(fill, zeros, [&](const auto& map, auto& chunk, auto* base) {
    fill_each_tile<L>(map, chunk, fill.target.box, tiles, begin, end, base);
  });
}

template <class L>
constexpr SparsePasses sparse_passes_of() {
  return {collect<L>, count_up_to, sparse_range<L>, sparse_tiles<L>,
          keep<L>,    count_kept,  mark_kept<L>,    fill_kept<L>};
}

}  // namespace simd
}  // namespace winit_cuda
