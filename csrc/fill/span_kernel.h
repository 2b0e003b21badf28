// The quick kernel body: contiguous elements from the start of a block on, in memory aligned to 16
// bytes. fill/kernel.h has the others.
//
// Its loop decides whether a fill runs at the speed of memory, so nothing is in it that can be
// outside: the blocks of a span share two rounds of the engine, the elements behind the last whole
// group come after the loop, and a thread has several independent blocks in flight. What it costs
// is counted by benchmarks/gpu/sass.py.
#pragma once

#include "fill/fill.h"
#include "fill/pack.h"
#include "platform/grid.h"
#include "values/scalar.h"

namespace winit_cuda {

// The number of elements one thread makes in a go: whole blocks of words and whole stores.
template <class T>
constexpr int kGroupOf = sizeof(T) < 4 ? kStoreBytes / static_cast<int>(sizeof(T)) : 4;

// float64 takes the words of two domains, its own and the next.
template <class T>
constexpr bool kRefined = sizeof(T) == 8;

// Blocks of which all but the lowest word of the counter is the same.
struct Span {
  void* pointer;
  uint32_t first_block;  // its lowest word
  uint32_t whole, rest;  // groups, and elements behind them
  RoundKeys rounds;
  SharedRounds shared, shared_low;
};

// Spans are shorter than 2^32 blocks, so that what threads count fits 32 bits.
constexpr int64_t kSpanBlocks = int64_t{1} << 30;

// The span of a fill, which is_aligned has allowed, that begins with element `begin`.
template <class T>
WINIT_HD Span span_at(const RandomFill& fill, const StreamKey& key, int64_t begin) {
  const uint64_t block = first_block_of(fill.source.domain) +
                         (fill.target.box.index_offset + static_cast<uint64_t>(begin)) / 4;
  const uint32_t high = static_cast<uint32_t>(block >> 32);
  const uint32_t low_domain_high = high + static_cast<uint32_t>(first_block_of(Domain{1}) >> 32);
  const int64_t before_carry = (int64_t{1} << 32) - static_cast<uint32_t>(block);
  const int64_t most = 4 * (before_carry < kSpanBlocks ? before_carry : kSpanBlocks);
  const int64_t left = fill.target.box.size[0] - begin;
  const int64_t count = left < most ? left : most;
  return Span{static_cast<T*>(fill.target.pointer) + begin,
              static_cast<uint32_t>(block),
              static_cast<uint32_t>(count / kGroupOf<T>),
              static_cast<uint32_t>(count % kGroupOf<T>),
              key.rounds,
              share_rounds(key, high),
              share_rounds(key, low_domain_high)};
}

template <class T>
WINIT_HD int64_t element_count(const Span& span) {
  return int64_t{span.whole} * kGroupOf<T> + span.rest;
}

// A thread makes this many groups in a go.
template <class T>
constexpr uint32_t kGroupsInFlight =
    4 * tuning::kFillWordBlocksInFlight / kGroupOf<T> / (kRefined<T> ? 2 : 1);

// The groups that a thread makes in a go lie this far apart, and those of its neighbours between
// them: the threads of a warp write whole lines of memory.
constexpr uint32_t kNeighbours = 32;

template <class T>
constexpr int kUnits = kGroupOf<T> * static_cast<int>(sizeof(T)) / kStoreBytes;

template <class T, class Map>
WINIT_HD void make_group(const Map& map, const Span& span, uint32_t group,
                         StoreUnit (&units)[kUnits<T>]) {
  constexpr uint32_t kBlocks = kGroupOf<T> / 4;
  typename ScalarLanes<T>::Real values[kGroupOf<T>];
  WINIT_UNROLL
  for (uint32_t b = 0; b < kBlocks; ++b) {
    const uint32_t block = span.first_block + group * kBlocks + b;
    uint32_t words[4];
    philox_block(span.rounds, span.shared, block, words);
    if constexpr (kRefined<T>) {
      uint32_t low[4];
      philox_block(span.rounds, span.shared_low, block, low);
      for (int i = 0; i < 4; ++i)
        values[4 * b + i] = map((static_cast<uint64_t>(words[i]) << 32) | low[i]);
    } else {
      for (int i = 0; i < 4; ++i) values[4 * b + i] = map(words[i]);
    }
  }
  pack<T>(values, units);
}

// Which groups of a span are one thread's: kGroupsInFlight of them, which lie `apart` from each
// other, from `first` on, as many `step` groups further on, and so forth.
struct Walk {
  uint32_t first, step, apart;
};

// So many threads make the longest span in one go. No device runs as many at once.
template <class T>
constexpr int64_t kMostThreads = kSpanBlocks / kGroupsInFlight<T>;

// The walk of one of at most kMostThreads<T> threads.
template <class T>
WINIT_HD Walk walk_of(const ThreadIndex& at) {
  constexpr uint32_t kDepth = kGroupsInFlight<T>;
  const uint32_t thread = static_cast<uint32_t>(at.thread);
  const uint32_t apart = at.threads % kNeighbours == 0 ? kNeighbours : 1;
  const uint32_t step = static_cast<uint32_t>(at.threads) * kDepth;
  return Walk{thread / apart * (apart * kDepth) + thread % apart, step, apart};
}

// The walk of one of any number of threads, as the grid of a tensor in a list may have: 32 bits do
// not count those of 128 GiB. The threads beyond kMostThreads<T> find nothing to do.
template <class T>
WINIT_HD Walk walk_in_large_grid(const ThreadIndex& at) {
  constexpr int64_t kMost = kMostThreads<T>;
  Walk walk = walk_of<T>({at.thread < kMost ? at.thread : kMost, at.threads});
  if (at.threads > kMost) walk.step = kMost * kGroupsInFlight<T>;
  return walk;
}

// Calls several(group) for each kGroupsInFlight groups of a walk, and one(group) for each of those
// left at the end, the last of which may hold span.rest elements.
template <class T, class Several, class One>
WINIT_HD void for_each_group(const Span& span, const Walk& walk, const Several& several,
                             const One& one) {
  constexpr uint32_t kDepth = kGroupsInFlight<T>;
  const uint32_t ahead = (kDepth - 1) * walk.apart;
  const uint32_t end = span.whole > ahead ? span.whole - ahead : 0;
  uint32_t group = walk.first;
  WINIT_ROLLED
  for (; group < end; group += walk.step) several(group);
  WINIT_ROLLED
  for (uint32_t j = 0; j < kDepth; ++j, group += walk.apart) {
    if (group > span.whole || (group == span.whole && span.rest == 0)) break;
    one(group);
  }
}

// The values of one thread.
template <class T, class Store = PlainStore, class Map>
WINIT_HD void fill_span(const Map& map, const Span& span, const Walk& walk) {
  const auto unit = [&](uint32_t group) {
    return static_cast<StoreUnit*>(span.pointer) + size_t{group} * kUnits<T>;
  };
  const auto several = [&](uint32_t group) {
    StoreUnit* out = unit(group);
    WINIT_UNROLL
    for (uint32_t j = 0; j < kGroupsInFlight<T>; ++j) {
      StoreUnit units[kUnits<T>];
      make_group<T>(map, span, group + j * walk.apart, units);
      for (int i = 0; i < kUnits<T>; ++i)
        Store::put(out + j * walk.apart * kUnits<T> + i, units[i]);
    }
  };
  const auto one = [&](uint32_t group) {
    StoreUnit* out = unit(group);
    StoreUnit units[kUnits<T>];
    make_group<T>(map, span, group, units);
    if (group < span.whole) {
      for (int i = 0; i < kUnits<T>; ++i) Store::put(out + i, units[i]);
    } else {
      for (int i = 0; i < kGroupOf<T> - 1; ++i)
        if (i < static_cast<int>(span.rest)) reinterpret_cast<T*>(out)[i] = unpack<T>(units, i);
    }
  };
  for_each_group<T>(span, walk, several, one);
}

WINIT_HD StreamKey key_of(const Source& source) {
  return source.key_pointer ? make_stream_key(source.key_pointer[0], source.key_pointer[1])
                            : source.key;
}

// Span after span, for a key that the host has not seen.
template <class T, class Map>
WINIT_HD void fill_aligned(const Map& map, const RandomFill& fill, const ThreadIndex& at) {
  const StreamKey key = key_of(fill.source);
  const Walk walk = walk_of<T>(at);
  for (int64_t begin = 0; begin < fill.target.box.size[0];) {
    const Span span = span_at<T>(fill, key, begin);
    fill_span<T>(map, span, walk);
    begin += element_count<T>(span);
  }
}

// One contiguous stretch, aligned.
static inline bool is_contiguous(const void* pointer, const Box& box) {
  return box.rank == 1 && box.stride[0] == 1 && box.index_stride[0] == 1 &&
         reinterpret_cast<uintptr_t>(pointer) % kStoreBytes == 0;
}

// Whether the quick kernels may run: from the start of a block, and where the lowest word of the
// counter carries over, from the start of a store in every dtype.
static inline bool is_aligned(const RandomFill& fill) {
  const uint64_t begin = fill.target.box.index_offset;
  const uint64_t end = begin + static_cast<uint64_t>(fill.target.box.size[0]);
  return is_contiguous(fill.target.pointer, fill.target.box) && fill.law.rescaling == 1 &&
         begin % (begin >> 34 == end >> 34 ? 4 : 16) == 0;
}

}  // namespace winit_cuda
