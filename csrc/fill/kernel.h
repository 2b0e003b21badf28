// The bodies of the CUDA kernels, for one thread among many, in plain C++; fill/cuda.cu wraps them
// in __global__ functions.
#pragma once

#include "fill/span_kernel.h"
#include "values/child_key.h"
#include "values/scalar.h"

namespace winit_cuda {

// The four elements of one block of words.
template <class T, class Map>
WINIT_HD void make_block(const Map& map, const StreamKey& key, Domain domain, uint64_t block,
                         T* values) {
  uint32_t words[4];
  philox_block(key, first_block_of(domain) + block, words);
  if constexpr (kRefined<T>) {
    uint32_t low[4];
    const Domain low_domain = static_cast<Domain>(static_cast<uint32_t>(domain) + 1);
    philox_block(key, first_block_of(low_domain) + block, low);
    for (int i = 0; i < 4; ++i) values[i] = map((static_cast<uint64_t>(words[i]) << 32) | low[i]);
  } else if constexpr (std::is_same_v<T, float>) {
    for (int i = 0; i < 4; ++i) values[i] = map(words[i]);
  } else {
    for (int i = 0; i < 4; i += 2) {
      const uint32_t pair = round_pair<T>(map(words[i]), map(words[i + 1]));
      values[i] = T{static_cast<decltype(T::bits)>(pair)};
      values[i + 1] = T{static_cast<decltype(T::bits)>(pair >> (8 * sizeof(T)))};
    }
  }
}

// Stores the elements [begin, end) of a run, which are those of values from `skipped` on. A whole
// block that lies where it can be stored in one go is.
template <class T>
WINIT_HD void store_block(T* base, const Run& run, int64_t begin, int64_t end, int64_t skipped,
                          const T* values) {
  constexpr int kBytes = 4 * sizeof(T) < kStoreBytes ? 4 * sizeof(T) : kStoreBytes;
  struct alignas(kBytes) Part {
    uint32_t words[kBytes / 4];
  };
  constexpr int kParts = 4 * sizeof(T) / kBytes;
  T* out = base + run.offset + begin * run.stride;
  if (end - begin == 4 && run.stride == 1 && reinterpret_cast<uintptr_t>(out) % kBytes == 0) {
    Part parts[kParts];
    std::memcpy(parts, values, sizeof(parts));
    for (int i = 0; i < kParts; ++i) reinterpret_cast<Part*>(out)[i] = parts[i];
    return;
  }
  for (int i = 0; i < 4; ++i) {
    const int64_t element = begin - skipped + i;
    if (element >= begin && element < end) base[run.offset + element * run.stride] = values[i];
  }
}

// Rows of any box. A box that steps through the index along its last dimension gets rows of one
// element.
struct Rows {
  Box box;
  int64_t rows, length, slots;  // slots: the most blocks that a row can touch

  // The place of one row's first element. Divisions are most of what it costs: a matrix has none.
  WINIT_HD_MEMBER Run row(int64_t number) const {
    Run run{box.index_offset, 1, 0, box.stride[box.rank - 1], length};
    for (int d = box.rank - 2; d >= 0; --d) {
      const int64_t above = d > 0 ? number / box.size[d] : 0;
      const int64_t position = number - above * box.size[d];
      run.index += static_cast<uint64_t>(position) * box.index_stride[d];
      run.offset += position * box.stride[d];
      number = above;
    }
    return run;
  }
};

static inline Rows rows_of(const Box& box) {
  Rows rows{box, 1, 1, 1};
  if (box.rank == 0 || box.index_stride[box.rank - 1] != 1) {
    rows.box.size[box.rank] = rows.box.stride[box.rank] = 1;
    rows.box.index_stride[box.rank] = 1;
    ++rows.box.rank;
  }
  rows.length = rows.box.size[rows.box.rank - 1];
  for (int d = 0; d < rows.box.rank - 1; ++d) rows.rows *= rows.box.size[d];
  rows.slots = (rows.length + 6) / 4;
  return rows;
}

// Calls visit(run, block, begin, end) for the elements [begin, end) of each row that block `block`
// holds.
template <class Visit>
WINIT_HD void for_each_slot(const Rows& rows, const ThreadIndex& at, const Visit& visit) {
  int64_t row = at.thread / rows.slots, slot = at.thread - row * rows.slots;
  const bool once = at.threads >= rows.rows * rows.slots;
  const int64_t row_step = once ? rows.rows : at.threads / rows.slots;
  const int64_t slot_step = at.threads - row_step * rows.slots;
  while (row < rows.rows) {
    const Run run = rows.row(row);
    const uint64_t block = run.index / 4 + static_cast<uint64_t>(slot);
    const int64_t begin = static_cast<int64_t>(4 * block - run.index);
    visit(run, block, begin < 0 ? 0 : begin, begin + 4 < run.count ? begin + 4 : run.count);
    row += row_step;
    slot += slot_step;
    if (slot >= rows.slots) {
      slot -= rows.slots;
      ++row;
    }
  }
}

// A map whose values are made on another scale (values/distributions.cpp).
template <class Map>
struct Rescaled {
  const Map& map;
  float factor;
  template <class U>
  WINIT_HD_MEMBER typename Map::F operator()(U word) const {
    return map(word) * factor;
  }
};

template <class T, class Map>
WINIT_HD void fill_rows(const Map& map, const RandomFill& fill, const Rows& rows,
                        const ThreadIndex& at) {
  T* base = static_cast<T*>(fill.target.pointer);
  const StreamKey key = key_of(fill.source);
  const Rescaled<Map> rescaled{map, fill.law.rescaling};
  for_each_slot(rows, at, [&](const Run& run, uint64_t block, int64_t begin, int64_t end) {
    T values[4];
    make_block(rescaled, key, fill.source.domain, block, values);
    const int64_t skipped = begin - static_cast<int64_t>(4 * block - run.index);
    store_block(base, run, begin, end, skipped, values);
  });
}

// Child keys: (seed, stream) of children 0, 1, ... of the source's key.
WINIT_HD void write_child_keys(const Source& source, int64_t count, uint64_t* words,
                               const ThreadIndex& at) {
  const StreamKey parent = key_of(source);
  for (int64_t j = at.thread; j < count; j += at.threads) {
    words[2 * j] = seed_of(parent);
    words[2 * j + 1] = child_of(parent, static_cast<uint64_t>(j)).stream;
  }
}

// The bare words of a stream, for tests of the engine.
WINIT_HD void write_words(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                          uint32_t* words, const ThreadIndex& at) {
  for (int64_t i = at.thread; i < count; i += at.threads)
    words[i] = philox_word(key, domain, index + static_cast<uint64_t>(i));
}

}  // namespace winit_cuda
