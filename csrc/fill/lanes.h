// The CPU fills over lanes of any width, L. isa.cpp compiles them for the lanes of each instruction
// set.
#pragma once

#include <algorithm>

#include "fill/chunks.h"
#include "fill/columns.h"
#include "fill/passes.h"
#include "fill/prefetch.h"
#include "fill/tiles.h"

namespace winit_cuda {

namespace simd {

// `count` elements of consecutive indices, side by side in memory.
template <class C, class T, class Map>
static inline void fill_contiguous(const Map& map, C& chunk, uint64_t index, int64_t count, T* out,
                                   bool streaming) {
  while (count > 0) {
    const int64_t skipped = static_cast<int64_t>(index % 4);
    if (skipped == 0 && count >= C::kElements) {
      const bool around = streaming && reinterpret_cast<uintptr_t>(out) % 64 == 0;
      const int64_t chunks = count / C::kElements;
      fill_chunks(map, chunk, index / 4, chunks, out, around);
      index += static_cast<uint64_t>(chunks * C::kElements);
      out += chunks * C::kElements;
      count -= chunks * C::kElements;
      continue;
    }
    T values[C::kElements];
    const int64_t taken = std::min<int64_t>(count, C::kElements - skipped);
    chunk.write_first(map, index / 4, static_cast<int>(skipped + taken), values);
    std::memcpy(static_cast<void*>(out), values + skipped, static_cast<size_t>(taken) * sizeof(T));
    index += static_cast<uint64_t>(taken);
    out += taken;
    count -= taken;
  }
}

// A run with a step in memory, or in the index (one column of a shard): through a buffer.
template <class L, class C, class T, class Map>
static inline void fill_run(const Map& map, C& chunk, const Run& run, T* base, bool streaming) {
  T* out = base + run.offset;
  if (run.stride == 1 && (run.index_stride == 1 || run.count == 1))
    return fill_contiguous(map, chunk, run.index, run.count, out, streaming);
  constexpr int64_t kBuffered = 16 * C::kElements;
  T values[kBuffered];
  if (run.index_stride != 1) {
    for (int64_t i = 0; i < run.count; ++i)
      fill_contiguous(map, chunk, run.index + static_cast<uint64_t>(i) * run.index_stride, 1,
                      out + i * run.stride, false);
    return;
  }
  for (int64_t done = 0; done < run.count; done += kBuffered) {
    const int64_t count = std::min(run.count - done, kBuffered);
    fill_contiguous(map, chunk, run.index + static_cast<uint64_t>(done), count, values, false);
    const char* const from = reinterpret_cast<const char*>(values);
    char* const to = reinterpret_cast<char*>(out + done * run.stride);
    const int64_t step = run.stride * static_cast<int64_t>(sizeof(T));
    // A write by a mask does not fetch its line early, as others do: too much waiting, if there are
    // few elements in a line.
    if constexpr (sizeof(T) <= 2)
      spread<typename L::Lines, sizeof(T)>(from, to, step, count);
    else
      copy_apart<sizeof(T)>(from, sizeof(T), to, step, count);
  }
}

// Rows that do not follow each other in the index, in whole chunks, each from the first word of a
// block on.
template <class C, class T, class Map>
static inline void fill_rows(const Map& map, C& chunk, const Tiles& tiles, uint64_t index,
                             int64_t rows, int64_t count, T* out, Prefetch& prefetch) {
  const uint64_t stride = tiles.row.index_stride;
  const int64_t most_skipped = (index | stride) % 4 == 0 ? 0 : 3;
  int64_t row = 0;
  if constexpr (C::kTogether == 2)  // two rows, where they are a chunk each
    for (; row + 2 <= rows && most_skipped + count <= C::kElements; row += 2, index += 2 * stride) {
      const uint64_t next = index + stride, block = index / 4;
      const int64_t skipped = static_cast<int64_t>(index % 4);
      prefetch.follow(2);
      chunk.template write<2>(map, block, next / 4 - block, out + row * tiles.row_pitch - skipped,
                              tiles.row_pitch + skipped - static_cast<int64_t>(next % 4), false);
    }
  for (; row < rows; ++row, index += stride) {
    const int64_t skipped = static_cast<int64_t>(index % 4);
    prefetch.follow(1);
    fill_chunks(map, chunk, index / 4, (skipped + count + C::kElements - 1) / C::kElements,
                out + row * tiles.row_pitch - skipped, false);
  }
}

template <class L, class C, class T, class Map>
static inline void fill_tile(const Map& map, C& chunk, const Tiles& tiles, const Tile& tile,
                             T* base, bool fetched, bool streaming) {
  constexpr int64_t kBytes = sizeof(T);
  // Rows are made in whole chunks: a row ends where the next one is made then.
  alignas(64) T buffer[Tiles::kPadding + Tiles::kBufferBytes / kBytes + C::kElements];
  T* const values = buffer + Tiles::kPadding;
  const auto in_bytes = [](int64_t elements) { return elements * kBytes; };
  const int64_t tables = tiles.is_one_table ? 1 : tile.groups;
  const Table table{tile.rows * (tile.groups / tables), tile.columns, in_bytes(tiles.row_pitch),
                    in_bytes(tiles.row.stride), in_bytes(tiles.column.stride)};
  char* const out = reinterpret_cast<char*>(base + tile.offset);
  const int64_t group_stride = in_bytes(tiles.group.stride);

  const int64_t alone = tiles.groups_follow ? 1 : tile.groups;
  const int64_t stretch = tile.groups / alone * tile.columns;
  const int64_t in_group = tile.rows * stretch;
  Prefetch prefetch;
  if (fetched && tables == 1 && !tiles.is_one_stretch &&
      !is_written_around<typename L::Lines, kBytes>(table, out, streaming))
    prefetch = Prefetch(table, kBytes, alone * tile.rows, out);
  for (int64_t group = 0; group < alone; ++group) {
    const uint64_t index = tile.index + static_cast<uint64_t>(group) * tiles.group.index_stride;
    T* const place = values + group * tiles.group_pitch;
    if (tiles.is_one_stretch)
      fill_contiguous(map, chunk, index, in_group, place, false);
    else
      fill_rows(map, chunk, tiles, index, tile.rows, stretch, place, prefetch);
  }

  for (int64_t i = 0; i < tables; ++i)
    write_table<typename L::Lines, kBytes>(
        table, reinterpret_cast<const char*>(values + i * tiles.group_pitch),
        out + i * group_stride, streaming);
}

template <class L, class C, class T, class Map>
static inline void fill_each_tile(const Map& map, C& chunk, const Box& box, const Tiles& tiles,
                                  int64_t begin, int64_t end, T* base) {
  const bool streaming = is_streamed(box, sizeof(T));
  const bool fetched =
      element_count(box) * static_cast<int64_t>(sizeof(T)) >= tuning::kFetchedBytes;
  for (int64_t number = begin; number < end; ++number)
    fill_tile<L>(map, chunk, tiles, tile_at(tiles, number), base, fetched, streaming);
}

// A function of its own for each dtype and law: all in one, the compiler would stop to inline
// anywhere in it.
template <class C, class T, class Map, class Visit>
WINIT_NO_INLINE static void visit_chunk(const RandomFill& fill, const Visit& visit) {
  const Map map(fill.law.numbers_of<Map>());
  C chunk(fill, fill.target.box.index_offset);
  visit(map, chunk, static_cast<T*>(fill.target.pointer));
}

// What a fill of a range and one of tiles have in common: calls visit(map, chunk, base).
template <class L, class Visit>
static void with_chunk(const RandomFill& fill, const Visit& visit) {
  with_element(fill.target.dtype, [&](auto element) {
    using T = typename decltype(element)::type;
    using C = Chunk<L, T>;
    with_map<typename C::Lanes>(fill.law.distribution, [&](auto map) {
      visit_chunk<C, T, typename decltype(map)::type>(fill, visit);
    });
  });
}

template <class L>
static void fill_range(const RandomFill& fill, int64_t begin, int64_t end) {
  with_chunk<L>(fill, [&](const auto& map, auto& chunk, auto* base) {
    const Box& box = fill.target.box;
    const bool streaming = is_streamed(box, sizeof(*base));
    for_each_run(box, begin, end,
                 [&](const Run& run) { fill_run<L>(map, chunk, run, base, streaming); });
  });
}

template <class L>
static void fill_tiles(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end) {
  with_chunk<L>(fill, [&](const auto& map, auto& chunk, auto* base) {
    fill_each_tile<L>(map, chunk, fill.target.box, tiles, begin, end, base);
  });
}

template <class L>
static void words_range(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                        uint32_t* out) {
  constexpr int64_t kWords = 4 * L::kBlocks;
  Words<L> stream(key, domain, index / 4);
  for (constexpr int64_t kMany = L::kTogether * kWords; index % 4 == 0 && count >= kMany;
       index += kMany, out += kMany, count -= kMany) {
    typename L::U words[L::kTogether][kVectors<L>];
    stream.template chunks<L::kTogether>(index / 4, L::kBlocks, words);
    std::memcpy(out, words, sizeof(words));
  }
  while (count > 0) {
    typename L::U words[kVectors<L>];
    stream.chunk(index / 4, words);
    uint32_t plain[kWords];
    std::memcpy(plain, words, sizeof(plain));
    const int64_t skipped = static_cast<int64_t>(index % 4);
    const int64_t taken = std::min(count, kWords - skipped);
    std::memcpy(out, plain + skipped, static_cast<size_t>(taken) * sizeof(uint32_t));
    index += static_cast<uint64_t>(taken);
    out += taken;
    count -= taken;
  }
}

template <class Lanes>
static void fused_range(const typename Lanes::Real* a, const typename Lanes::Real* b,
                        const typename Lanes::Real* c, int64_t count, typename Lanes::Real* out) {
  using F = typename Lanes::F;
  for (int64_t i = 0; i < count; i += Lanes::kLanes) {
    F factor, other, sum;
    std::memcpy(&factor, a + i, sizeof(F));
    std::memcpy(&other, b + i, sizeof(F));
    std::memcpy(&sum, c + i, sizeof(F));
    sum = Lanes::fma(factor, other, sum);
    std::memcpy(out + i, &sum, sizeof(F));
  }
}

template <class L>
constexpr FillPasses fill_passes_of() {
  return {fill_range<L>, fill_tiles<L>, words_range<L>, fused_range<L>,
          fused_range<typename L::Double>};
}

}  // namespace simd
}  // namespace winit_cuda
