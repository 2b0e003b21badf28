// The words of a stream, in the vectors of lanes of any width.
#pragma once

#include "values/scalar.h"

namespace winit_cuda {
namespace simd {

// A chunk is what L makes at a time: kBlocks blocks, in so many vectors. Where there is work for
// it, kTogether chunks are made at once.
template <class L>
inline constexpr int kVectors = 4 * L::kBlocks / L::kLanes;

// The words of a domain of a key. Blocks that differ in the lowest word of the counter alone share
// the first two rounds.
template <class L>
class Words {
 public:
  Words(const StreamKey& key, Domain domain, uint64_t block)
      : key_(key), first_(first_block_of(domain)), high_(high_of(first_ + block)) {
    shared_ = share_rounds(key_, high_);
  }

  // The words of kBlocks blocks.
  WINIT_HD_MEMBER void chunk(uint64_t block, typename L::U (&words)[kVectors<L>]) {
    block += first_;
    const uint32_t low = static_cast<uint32_t>(block);
    if (high_of(block) != high_ || low > UINT32_MAX - (L::kBlocks - 1))
      return chunk_elsewhere(block, words);
    L::chunk(key_.rounds, shared_, low, words);
  }

  // The words of kChunks chunks, one beginning `step` blocks after the other.
  template <int kChunks>
  WINIT_HD_MEMBER void chunks(uint64_t block, uint64_t step,
                              typename L::U (&words)[kChunks][kVectors<L>]) {
    static_assert(kChunks == 1 || kChunks == L::kTogether);
    if constexpr (kChunks == 2)
      chunks(block, step, words, [](int) {});
    else
      chunk(block, words[0]);
  }
  // The same for two. Meanwhile between(i) is called for i from 0 to one less than their vectors.
  template <class Between>
  WINIT_HD_MEMBER void chunks(uint64_t block, uint64_t step, typename L::U (&words)[2][kVectors<L>],
                              const Between& between) {
    const uint64_t first = block + first_, second = first + step;
    if (high_of(first) == high_ && high_of(second + (L::kBlocks - 1)) == high_)
      return L::chunk_pair(key_.rounds, shared_, static_cast<uint32_t>(first),
                           static_cast<uint32_t>(second), words, between);
    for (int i = 0; i < 2; ++i) chunk(block + static_cast<uint64_t>(i) * step, words[i]);
    for (int i = 0; i < 2 * kVectors<L>; ++i) between(i);
  }

 private:
  static uint32_t high_of(uint64_t block) { return static_cast<uint32_t>(block >> 32); }

  // Once in 2^32 blocks. Inlined, it would be most of every fill's code.
  WINIT_NO_INLINE void chunk_elsewhere(uint64_t block, typename L::U (&words)[kVectors<L>]) {
    uint32_t plain[L::kBlocks][4];
    for (uint32_t i = 0; i < L::kBlocks; ++i) philox_block(key_, block + i, plain[i]);
    std::memcpy(words, plain, sizeof(plain));
    high_ = high_of(block + L::kBlocks);
    shared_ = share_rounds(key_, high_);
  }

  StreamKey key_;
  uint64_t first_;
  uint32_t high_;
  SharedRounds shared_;
};

static inline Domain low_domain(Domain domain) {
  return static_cast<Domain>(static_cast<uint32_t>(domain) + 1);
}

}  // namespace simd
}  // namespace winit_cuda
