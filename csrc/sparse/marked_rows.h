// Rows of a sparse fill whose elements have marks (sparse/columns.h).
#pragma once

#include "fill/chunks.h"
#include "fill/passes.h"
#include "sparse/columns.h"

namespace winit_cuda {
namespace simd {

// The marks of a chunk of lanes, and none beyond the last.
template <class L>
WINIT_HD uint64_t marks_of_chunk(const KeptMarks& marks, int64_t row, int lane) {
  const uint64_t bits = marks.of(lane / KeptTile::kLanes)[row] >> lane % KeptTile::kLanes;
  const int lanes = marks.lanes - lane;
  return lanes < 4 * L::kBlocks ? bits & ~(~uint64_t{0} << lanes) : bits;
}

// Calls write(lane, place, streaming) for the chunks of a row from a lane on. The last one's place
// may be beside the row.
template <class L, class T, class Write>
WINIT_HD void write_chunks(int lane, int lanes, T* out, bool streaming, const Write& write) {
  constexpr int kWords = 4 * L::kBlocks;
  for (; lane + kWords <= lanes; lane += kWords) write(lane, out + lane, streaming);
  if (lane == lanes) return;
  alignas(64) T some[kWords];
  write(lane, some, false);
  std::memcpy(static_cast<void*>(out + lane), some, static_cast<size_t>(lanes - lane) * sizeof(T));
}

// The words of elements that are not zero are packed side by side, become values in whole vectors,
// and are spread again: values cost more than moves.
template <class L, class T>
class MarkedRows {
 public:
  using Map = NormalMap<L>;

  // Of rows from `row` on, which write() is called for in turn.
  MarkedRows(const RandomFill& fill, const KeptMarks& marks, int64_t row)
      : marks_(marks),
        stream_(fill.source.key, fill.source.domain, marks.first_index / 4),
        rescaling_(fill.law.rescaling) {
    pack(row);
  }

  void write(const Map& map, int64_t row, bool has_next, T* out, bool streaming) {
    make_values(map);
    if constexpr (kSpreadsMeanwhile)
      if (has_next)
        return streaming ? pack_and_spread<true>(row, out) : pack_and_spread<false>(row, out);
    spread(row, 0, values_, out, streaming);
    if (has_next) pack(row + 1);
  }

 private:
  static constexpr int kWords = 4 * L::kBlocks, kVectors = simd::kVectors<L>;
  static constexpr int kMost = KeptMarks::kMostTiles * KeptTile::kLanes;
  // Vectors that become values at a time: places in memory are found first.
  static constexpr int kTogether = kFindsPlaces<Map> ? 4 : 1;
  // Words are moved in whole vectors, and values made in so many.
  static constexpr int kRoom = kMost + kTogether * L::kLanes;
  static_assert(KeptTile::kLanes % kWords == 0);
  // Lanes that overlap spread a row while they make the words of the next.
  static constexpr bool kSpreadsMeanwhile = L::kOverlapping && kStoresVectors<L, T>;

  static WINIT_HD_MEMBER uint32_t of_vector(uint64_t bits, int i) {
    return static_cast<uint32_t>(bits >> (i * L::kLanes)) & ((uint32_t{1} << L::kLanes) - 1);
  }

  WINIT_NO_INLINE void pack(int64_t row) {
    pack(row, [](int, int) {});
  }
  // Meanwhile calls between(lane, i) for the vectors of chunks that are made together, and returns
  // how many lanes these have.
  template <class Between>
  WINIT_HD_MEMBER int pack(int64_t row, const Between& between) {
    const uint64_t first = marks_.index(row) / 4;
    const auto block_of = [&](int lane) { return first + static_cast<uint64_t>(lane / 4); };
    int packed = 0, lane = 0;
    const auto add = [&](const typename L::U(&words)[kVectors]) __attribute__((always_inline)) {
      const uint64_t bits = marks_of_chunk<L>(marks_, row, lane);
      for (int i = 0; i < kVectors; ++i) {
        const uint32_t own = of_vector(bits, i);
        L::pack(words[i], own, words_ + packed);
        packed += __builtin_popcount(own);
      }
      lane += kWords;
    };
    if constexpr (L::kTogether == 2)
      while (lane + 2 * kWords <= marks_.lanes) {
        typename L::U words[2][kVectors];
        stream_.chunks(block_of(lane), L::kBlocks, words, [&](int i) { between(lane, i); });
        for (int i = 0; i < 2; ++i) add(words[i]);
      }
    const int together = lane;
    while (lane < marks_.lanes) {
      typename L::U words[kVectors];
      stream_.chunk(block_of(lane), words);
      add(words);
    }
    count_ = packed;
    return together;
  }

  // Spreads a row, and packs the next one.
  template <bool kStreaming>
  WINIT_NO_INLINE void pack_and_spread(int64_t row, T* out) {
    constexpr int kLast = kStored<T> - 1;
    const float* from = values_;
    uint64_t bits = 0;
    typename L::F values[kStored<T>];
    const auto spread_vector = [&](int lane, int i) __attribute__((always_inline)) {
      if (i % kVectors == 0) bits = marks_of_chunk<L>(marks_, row, lane + i / kVectors * kWords);
      const uint32_t own = of_vector(bits, i % kVectors);
      L::spread(own, from, values[i % kStored<T>]);
      from += __builtin_popcount(own);
      if (i % kStored<T> == kLast)
        store_values<L>(out + lane + (i - kLast) * L::kLanes, values, kStreaming);
    };
    const int spread_lanes = pack(row + 1, spread_vector);
    spread(row, spread_lanes, from, out, kStreaming);
  }

  WINIT_HD_MEMBER typename L::U word(int i) const {
    typename L::U words;
    std::memcpy(&words, words_ + i, sizeof(words));
    return words;
  }
  WINIT_HD_MEMBER void set(int i, typename L::F value) {
    L::store(values_ + i, L::multiply(value, L::splat(rescaling_)));
  }

  WINIT_NO_INLINE void make_values(const Map& map) {
    if constexpr (L::kOverlapping) {
      // Vectors with a p that the quantile without a branch does not serve are made again.
      int missed[kRoom / L::kLanes], missed_count = 0;
      for (int i = 0; i < count_; i += L::kLanes) {
        set(i, without_branch<L>(map, word(i)));
        missed[missed_count] = i;
        missed_count += L::Quantile::outside(map.tail(word(i))) != 0;
      }
      for (int i = 0; i < missed_count; ++i) set(missed[i], map(word(missed[i])));
    } else {
      for (int i = 0; i < count_; i += kTogether * L::kLanes)
        map_words<kTogether>(
            map, [&](int j) { return word(i + j * L::kLanes); },
            [&](int j, typename L::F value) { set(i + j * L::kLanes, value); });
    }
  }

  // From a lane and its value on.
  WINIT_NO_INLINE void spread(int64_t row, int first, const float* from, T* out,
                              bool streaming) const {
    write_chunks<L>(first, marks_.lanes, out, streaming, [&](int lane, T* place, bool around) {
      const uint64_t bits = marks_of_chunk<L>(marks_, row, lane);
      typename L::F values[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        const uint32_t own = of_vector(bits, i);
        L::spread(own, from, values[i]);
        from += __builtin_popcount(own);
      }
      store_chunk<L>(place, values, around);
    });
  }

  // From a page's start on: words are written across lines of the cache, which takes long where two
  // pages meet.
  alignas(4096) uint32_t words_[kRoom] = {};
  alignas(64) float values_[kRoom] = {};
  const KeptMarks& marks_;
  Words<L> stream_;
  float rescaling_;
  int count_ = 0;  // of words
};

// All elements become values.
template <class L>
class MarkedRows<L, double> {
 public:
  using Values = Chunk<L, double>;
  using Map = NormalMap<typename Values::Lanes>;

  MarkedRows(const RandomFill& fill, const KeptMarks& marks, int64_t)
      : marks_(marks), values_(fill, marks.first_index) {}

  void write(const Map& map, int64_t row, bool, double* out, bool streaming) {
    const uint64_t first = marks_.index(row) / 4;
    write_chunks<L>(0, marks_.lanes, out, streaming, [&](int lane, double* place, bool around) {
      write_chunk(map, first + static_cast<uint64_t>(lane / 4),
                  marks_of_chunk<L>(marks_, row, lane), place, around);
    });
  }

 private:
  WINIT_NO_INLINE void write_chunk(const Map& map, uint64_t block, uint64_t bits, double* out,
                                   bool streaming) {
    using Lanes = typename Values::Lanes;
    alignas(64) double made[Values::kElements];
    values_.template write<1>(map, block, 0, made, 0, false);
    for (int i = 0; i < Values::kElements; ++i)  // without a branch
      made[i] = double_of(bits_of(made[i]) & (0 - (bits >> i & 1)));
    for (int i = 0; i < Values::kElements; i += Lanes::kLanes) {
      typename Lanes::F values;
      std::memcpy(&values, made + i, sizeof(values));
      streaming ? Lanes::stream(out + i, values) : Lanes::store(out + i, values);
    }
  }

  const KeptMarks& marks_;
  Values values_;
};

// A function of its own for each dtype, as in fill/lanes.h.
template <class L, class T>
WINIT_NO_INLINE static void fill_marked(const RandomFill& fill, const KeptMarks& marks,
                                        int64_t column) {
  using Rows = MarkedRows<L, T>;
  const typename Rows::Map map(fill.law.numbers_of<typename Rows::Map>());
  const Box& box = fill.target.box;
  const bool streaming = is_streamed(box, sizeof(T));
  int64_t row = static_cast<int64_t>(box.index_offset / marks.row_stride);
  const int64_t end = row + box.size[0];
  if (row == end) return;
  Rows rows(fill, marks, row);
  T* out = static_cast<T*>(fill.target.pointer) + column;
  for (; row < end; ++row, out += box.stride[0]) {
    __builtin_prefetch(out + box.stride[0], 1);  // the next row may be in another page
    const bool around = streaming && reinterpret_cast<uintptr_t>(out) % 64 == 0;
    rows.write(map, row, row + 1 < end, out, around);
  }
}

template <class L>
static void fill_kept(const RandomFill& fill, const KeptMarks& marks, int64_t column) {
  with_element(fill.target.dtype, [&](auto element) {
    fill_marked<L, typename decltype(element)::type>(fill, marks, column);
  });
}

}  // namespace simd
}  // namespace winit_cuda
