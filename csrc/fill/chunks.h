// Chunks of elements, of any law and dtype, over lanes of any width, L: what contiguous memory is
// filled by.
#pragma once

#include <cstring>
#include <type_traits>

#include "fill/fill.h"
#include "fill/words.h"

namespace winit_cuda {

namespace simd {

// Whether vectors are rounded and stored by instructions of the lanes; so many of them at a time.
template <class L, class T>
inline constexpr bool kStoresVectors =
    std::is_same_v<T, float> || (sizeof(T) == 2 && L::kLanes > 1);
template <class T>
inline constexpr int kStored = sizeof(T) == 4 ? 1 : 2;

template <class L, class T>
WINIT_HD void store_values(T* out, const typename L::F (&values)[kStored<T>], bool streaming) {
  if constexpr (std::is_same_v<T, float>) {
    streaming ? L::stream(out, values[0]) : L::store(out, values[0]);
  } else {
    const auto pair = std::is_same_v<T, Half> ? L::round_to_half(values[0], values[1])
                                              : L::round_to_bfloat16(values[0], values[1]);
    streaming ? L::stream_pair(&out->bits, pair) : L::store_pair(&out->bits, pair);
  }
}

// The vectors of a chunk, or the first of them.
template <class L, class T>
WINIT_HD void store_chunk(T* out, const typename L::F (&values)[kVectors<L>], bool streaming,
                          int vectors = kVectors<L>) {
  if constexpr (kStoresVectors<L, T>) {
    for (int i = 0; i < vectors; i += kStored<T>) {
      typename L::F some[kStored<T>];
      for (int j = 0; j < kStored<T>; ++j) some[j] = values[i + j];
      store_values<L>(out + i * L::kLanes, some, streaming);
    }
  } else {
    float plain[4 * L::kBlocks];
    for (int i = 0; i < vectors; ++i) L::store(plain + i * L::kLanes, values[i]);
    for (int i = 0; i < vectors * L::kLanes; ++i) out[i] = round_to<T>(plain[i]);
  }
}

// Whether a map's quantile looks up in memory.
template <class Map, class = void>
inline constexpr bool kFindsPlaces = false;
template <class Map>
inline constexpr bool kFindsPlaces<Map, std::void_t<typename decltype(Map::quantile)::Place>> =
    true;

// Calls use(i, value) for kMost vectors of words, word(i), or the first `count`. Places in memory
// are found for all before the first look-up: by then they have been stored, and nothing waits for
// them.
template <int kMost, class Map, class Word, class Use>
WINIT_HD void map_words(const Map& map, const Word& word, const Use& use, int count = kMost) {
  if constexpr (kFindsPlaces<Map>) {
    typename decltype(Map::quantile)::Place places[kMost];
    for (int i = 0; i < count; ++i) places[i].find(map.tail(word(i)));
    for (int i = 0; i < count; ++i) use(i, map.value(word(i), places[i]));
  } else {
    for (int i = 0; i < count; ++i) use(i, map(word(i)));
  }
}

// How many vectors so many elements take.
template <int kLanes>
WINIT_HD int vectors_of(int elements) {
  return (elements + kLanes - 1) / kLanes;
}

// Lanes that overlap (kOverlapping) have a quantile that serves most p without a branch. Whether a
// map may have others.
template <class L, class Map>
WINIT_HD bool may_miss(const Map& map) {
  if constexpr (std::is_same_v<Map, UniformMap<L>>)
    return false;
  else if constexpr (std::is_same_v<Map, SymmetricTruncNormalMap<L>>)
    return L::Quantile::outside(map.tail_start) != 0;  // which all p are beyond
  else
    return true;
}
template <class L, class Map>
WINIT_HD typename L::F without_branch(const Map& map, typename L::U word) {
  if constexpr (std::is_same_v<Map, UniformMap<L>>)
    return map(word);
  else
    return map.value(word, typename L::Quantile::Inside{map.tail(word)});
}

// The elements of 4 * kBlocks consecutive words, from the first of a block on.
template <class L, class T>
class Chunk {
 public:
  static constexpr int kElements = 4 * L::kBlocks, kTogether = L::kTogether;
  static constexpr bool kOverlapping = L::kOverlapping && kStoresVectors<L, T>;
  using Lanes = L;

  Chunk(const RandomFill& fill, uint64_t index)
      : words_(fill.source.key, fill.source.domain, index / 4), rescaling_(fill.law.rescaling) {}

  template <int kChunks>
  WINIT_HD_MEMBER void words(uint64_t block, uint64_t step,
                             typename L::U (&words)[kChunks][kVectors<L>]) {
    words_.template chunks<kChunks>(block, step, words);
  }

  // Words of two chunks.
  using Made = typename L::U[2][kVectors<L>];
  template <class Between>
  WINIT_HD_MEMBER void make(uint64_t block, Made& made, const Between& between) {
    words_.chunks(block, L::kBlocks, made, between);
  }
  // The value of a law, rescaled: a factor of 1 takes less time than a branch.
  WINIT_HD_MEMBER typename L::F rescaled(typename L::F value) const {
    return L::multiply(value, L::splat(rescaling_));
  }

  template <class Map>
  WINIT_HD_MEMBER void values(const Map& map, const typename L::U (&words)[kVectors<L>],
                              typename L::F (&values)[kVectors<L>],
                              int vectors = kVectors<L>) const {
    const auto word = [&](int i) { return words[i]; };
    const auto use = [&](int i, typename L::F value) {
      values[i] = rescaling_ == 1 ? value : L::multiply(value, L::splat(rescaling_));
    };
    map_words<kVectors<L>>(map, word, use, vectors);
  }

  // kChunks chunks, one beginning `step` blocks and `out_step` elements after the other.
  template <int kChunks, class Map>
  WINIT_HD_MEMBER void write(const Map& map, uint64_t block, uint64_t step, T* out,
                             int64_t out_step, bool streaming) {
    typename L::U words[kChunks][kVectors<L>];
    this->words<kChunks>(block, step, words);
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      typename L::F values[kVectors<L>];
      this->values(map, words[chunk], values);
      store_chunk<L>(out + chunk * out_step, values, streaming);
    }
  }

  // The first elements of a chunk, and, up to its end, some that follow.
  template <class Map>
  WINIT_HD_MEMBER void write_first(const Map& map, uint64_t block, int elements, T* out) {
    typename L::U words[kVectors<L>];
    words_.chunk(block, words);
    constexpr int kTogether = kStoresVectors<L, T> ? kStored<T> : 1;
    const int vectors = kTogether * vectors_of<kTogether * L::kLanes>(elements);
    typename L::F values[kVectors<L>];
    this->values(map, words, values, vectors);
    store_chunk<L>(out, values, false, vectors);
  }

 private:
  Words<L> words_;
  float rescaling_;
};

template <class L>
class Chunk<L, double> {
 public:
  static constexpr int kElements = 4 * L::kBlocks, kTogether = L::kTogether;
  static constexpr bool kOverlapping = false;
  using Lanes = typename L::Double;

  Chunk(const RandomFill& fill, uint64_t index)
      : high_(fill.source.key, fill.source.domain, index / 4),
        low_(fill.source.key, low_domain(fill.source.domain), index / 4) {}

  template <int kChunks, class Map>
  WINIT_HD_MEMBER void write(const Map& map, uint64_t block, uint64_t step, double* out,
                             int64_t out_step, bool streaming) {
    write_some<kChunks>(map, block, step, out, out_step, streaming,
                        kChunks * kElements / Lanes::kLanes);
  }

  template <class Map>
  WINIT_HD_MEMBER void write_first(const Map& map, uint64_t block, int elements, double* out) {
    write_some<1>(map, block, 0, out, 0, false, vectors_of<Lanes::kLanes>(elements));
  }

 private:
  template <int kChunks, class Map>
  WINIT_HD_MEMBER void write_some(const Map& map, uint64_t block, uint64_t step, double* out,
                                  int64_t out_step, bool streaming, int vectors) {
    typename L::U high[kChunks][kVectors<L>], low[kChunks][kVectors<L>];
    high_.template chunks<kChunks>(block, step, high);
    low_.template chunks<kChunks>(block, step, low);
    const auto at = [](const auto& words, int element) {
      return reinterpret_cast<const uint32_t*>(words) + element;
    };
    const auto word = [&](int i) {
      return Lanes::join(at(high, i * Lanes::kLanes), at(low, i * Lanes::kLanes));
    };
    constexpr int kInChunk = kElements / Lanes::kLanes;
    const auto use = [&](int i, auto value) {
      double* const place = out + i / kInChunk * out_step + i % kInChunk * Lanes::kLanes;
      streaming ? Lanes::stream(place, value) : Lanes::store(place, value);
    };
    map_words<kChunks * kInChunk>(map, word, use, vectors);
  }

  Words<L> high_, low_;
};

// Vectors with a lane that the quantile without a branch missed, to be made again. A branch for
// each of them, which nothing foretells, would take a fifth of the time of all.
template <class L, class T>
class Missed {
 public:
  // `vectors` are stored at the place; they count where `is_missed`.
  WINIT_HD_MEMBER void add(const typename L::U (&vectors)[kStored<T>], T* place, bool is_missed) {
    for (int i = 0; i < kStored<T>; ++i) found_[count_].words[i] = vectors[i];
    found_[count_].place = place;
    count_ += is_missed;
  }
  bool is_full() const { return count_ > kMany; }

  template <class C, class Map>
  WINIT_NO_INLINE void write(const Map& map, const C& chunk, bool streaming) {
    for (int i = 0; i < count_; ++i) {
      typename L::F values[kStored<T>];
      for (int j = 0; j < kStored<T>; ++j) values[j] = chunk.rescaled(map(found_[i].words[j]));
      store_values<L>(found_[i].place, values, streaming);
    }
    count_ = 0;
  }

 private:
  static constexpr int kMany = 32;
  struct Found {
    typename L::U words[kStored<T>];
    T* place;
  };
  int count_ = 0;
  Found found_[kMany + 2 * kVectors<L> + 1];
};

// Fills chunks two at a time: the values of two are made while the words of the next two are. Words
// alone, or values alone, leave the processor waiting for one result after the other. Returns how
// many chunks are left.
template <bool kStreaming, bool kMissing, class C, class T, class Map>
static inline int64_t fill_overlapping(const Map& map, C& chunk, uint64_t block, int64_t chunks,
                                       T* out) {
  using L = typename C::Lanes;
  if (chunks < 2) return chunks;
  typename C::Made made[2];
  Missed<L, T> missed;
  chunk.make(block, made[0], [](int) {});
  for (int now = 0; chunks >= 2; now ^= 1, chunks -= 2, out += 2 * C::kElements) {
    const auto write = [&](int i) __attribute__((always_inline)) {
      constexpr int kLast = kStored<T> - 1;
      if (i % kStored<T> != kLast) return;
      typename L::U words[kStored<T>];
      typename L::F values[kStored<T>];
      uint32_t lanes = 0;
      for (int j = 0; j <= kLast; ++j) {
        const int vector = i - kLast + j;
        words[j] = made[now][vector / kVectors<L>][vector % kVectors<L>];
        values[j] = chunk.rescaled(without_branch<L>(map, words[j]));
        if constexpr (kMissing) lanes |= L::Quantile::outside(map.tail(words[j]));
      }
      T* const place = out + (i - kLast) * L::kLanes;
      store_values<L>(place, values, kStreaming);
      if constexpr (kMissing) missed.add(words, place, lanes != 0);
    };
    if (chunks < 4)
      for (int i = 0; i < 2 * kVectors<L>; ++i) write(i);
    else
      chunk.make(block += 2 * L::kBlocks, made[now ^ 1], write);
    if constexpr (kMissing)
      if (missed.is_full()) missed.write(map, chunk, kStreaming);
  }
  if constexpr (kMissing) missed.write(map, chunk, kStreaming);
  return chunks;
}
template <bool kMissing, class C, class T, class Map>
static inline int64_t fill_overlapping(const Map& map, C& chunk, uint64_t block, int64_t chunks,
                                       T* out, bool streaming) {
  return streaming ? fill_overlapping<true, kMissing>(map, chunk, block, chunks, out)
                   : fill_overlapping<false, kMissing>(map, chunk, block, chunks, out);
}

// Whole chunks, from the first word of a block on.
template <class C, class T, class Map>
static inline void fill_chunks(const Map& map, C& chunk, uint64_t block, int64_t chunks, T* out,
                               bool streaming) {
  constexpr uint64_t kStep = C::kElements / 4;
  const auto block_of = [&](int64_t i) { return block + static_cast<uint64_t>(i) * kStep; };
  int64_t i = 0;
  if constexpr (C::kOverlapping) {
    constexpr bool kSure = std::is_same_v<Map, UniformMap<typename C::Lanes>>;
    i = chunks - (!kSure && may_miss<typename C::Lanes>(map)
                      ? fill_overlapping<!kSure>(map, chunk, block, chunks, out, streaming)
                      : fill_overlapping<false>(map, chunk, block, chunks, out, streaming));
  } else {
    for (; i + C::kTogether <= chunks; i += C::kTogether)
      chunk.template write<C::kTogether>(map, block_of(i), kStep, out + i * C::kElements,
                                         C::kElements, streaming);
  }
  for (; i < chunks; ++i)
    chunk.template write<1>(map, block_of(i), kStep, out + i * C::kElements, C::kElements,
                            streaming);
}

}  // namespace simd
}  // namespace winit_cuda
