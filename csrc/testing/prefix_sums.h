// A kernel for the tests of blocks (platform/grid.h) alone: it needs each of their parts, and can
// be told to leave out what makes it right.
#pragma once

#include "platform/grid.h"
#include "platform/stream.h"

namespace winit_cuda {

enum class Omission : int { kNothing, kFirstBarrier, kSecondBarrier, kBarrierOfOddThreads };

// Element i of `values` becomes the sum of its chunk's elements up to i, chunks as long as blocks;
// odd_counts gets the number of odd elements of each chunk, as they were.
struct PrefixSums {
  uint32_t* values;
  uint32_t* odd_counts;
  int64_t count;
  Omission omission;
};

inline BlockGrid prefix_sums_grid(const PrefixSums& sums, int64_t threads) {
  return {(sums.count + threads - 1) / threads, static_cast<int>(threads), 4 * (threads + 1)};
}

template <class Block>
WINIT_HD void make_prefix_sums(const PrefixSums& sums, const Block& block) {
  const int thread = block.thread(), threads = block.threads();
  uint32_t* odd_count = block.template shared<uint32_t>();
  uint32_t* partial = odd_count + 1;
  for (int64_t chunk = block.index(); chunk * threads < sums.count; chunk += block.blocks()) {
    const int64_t element = chunk * threads + thread;
    const uint32_t value = element < sums.count ? sums.values[element] : 0;
    partial[thread] = value;
    if (thread == threads / 2) *odd_count = 0;
    block.sync();
    if (value % 2) block.add(odd_count, 1);
    for (int step = 1; step < threads; step *= 2) {
      const uint32_t before = thread >= step ? partial[thread - step] : 0;
      if (sums.omission != Omission::kFirstBarrier) block.sync();
      partial[thread] += before;
      if (sums.omission == Omission::kBarrierOfOddThreads && thread % 2) return;
      if (sums.omission != Omission::kSecondBarrier) block.sync();
    }
    if (element < sums.count) sums.values[element] = partial[thread];
    if (thread == 0) sums.odd_counts[chunk] = *odd_count;
    block.sync();
  }
}

void prefix_sums_cuda(const PrefixSums& sums, int64_t threads, const Launch& launch);

}  // namespace winit_cuda
