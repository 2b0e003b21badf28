// Philox4x32-10, the counter-based engine of every fill (Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", SC'11), and the layout of its counter.
//
// The rounds are written once over "wide" lanes that hold one 32-bit word in the low half of 64
// bits, so that one multiplication gives both halves of the product: uint64_t on the device and on
// plain CPUs, vectors of them in the SIMD fills (simd/).
#pragma once

#include "platform/host_device.h"

namespace winit_cuda {

constexpr int kPhiloxRounds = 10;
constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53u;
constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u;  // the golden ratio's fraction
constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1

// What a word is for. The domain sits in the top bits of the 64-bit block counter, which no element
// index reaches, so the words of two domains never meet.
enum class Domain : uint32_t {
  kElement = 0,        // the 32 bits that an element's value is made of
  kElementLow = 1,     // 32 more bits that refine a float64 element
  kOrthogonal = 2,     // the Gaussian vectors behind orthogonal matrices
  kOrthogonalLow = 3,  // their float64 refinement
  kSparse = 4,         // the order of the entries of a sparse column
};
constexpr int kDomainShift = 61;

WINIT_HD uint64_t first_block_of(Domain domain) {
  return static_cast<uint64_t>(domain) << kDomainShift;
}

struct RoundKeys {
  uint32_t first[kPhiloxRounds];
  uint32_t second[kPhiloxRounds];
};

WINIT_HD RoundKeys expand_key(uint64_t seed) {
  RoundKeys keys;
  uint32_t first = static_cast<uint32_t>(seed);
  uint32_t second = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    keys.first[round] = first;
    keys.second[round] = second;
    first += kPhiloxWeyl0;
    second += kPhiloxWeyl1;
  }
  return keys;
}

// A key as the fills take it: the rounds' keys and the stream, the upper half of the counter.
struct StreamKey {
  RoundKeys rounds;
  uint64_t stream;
};

WINIT_HD StreamKey make_stream_key(uint64_t seed, uint64_t stream) {
  return StreamKey{expand_key(seed), stream};
}

// One 64-bit lane: the operations the rounds are made of.
struct WideScalar {
  using W = uint64_t;
  static WINIT_HD_MEMBER W splat(uint32_t word) { return word; }
  static WINIT_HD_MEMBER W high(W a) { return a >> 32; }
  static WINIT_HD_MEMBER W multiply(W a, W multiplier) {
#if defined(__CUDA_ARCH__)
    // Said plainly, nvcc 13 adds the zero that the upper halves come to, at every product.
    uint64_t product;
    asm("mul.wide.u32 %0, %1, %2;"
        : "=l"(product)
        : "r"(static_cast<uint32_t>(a)), "r"(static_cast<uint32_t>(multiplier)));
    return product;
#else
    return static_cast<uint64_t>(static_cast<uint32_t>(a)) * static_cast<uint32_t>(multiplier);
#endif
  }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b) { return a ^ b; }
  static WINIT_HD_MEMBER W exclusive_or(W a, W b, W c) { return a ^ b ^ c; }
};

// Rounds [kFirst, kLast) in place. Only the low halves of the counter's lanes matter, going in and
// coming out.
template <class Wide, int kFirst, int kLast>
WINIT_HD void philox_rounds(const RoundKeys& keys, typename Wide::W (&counter)[4]) {
  const auto multiplier0 = Wide::splat(kPhiloxMultiplier0);
  const auto multiplier1 = Wide::splat(kPhiloxMultiplier1);
#if defined(__CUDA_ARCH__) || defined(__clang__)
#pragma unroll
#elif !defined(__CUDACC__)
#pragma GCC unroll 10
#endif
  for (int round = kFirst; round < kLast; ++round) {
    const auto product0 = Wide::multiply(counter[0], multiplier0);
    const auto product1 = Wide::multiply(counter[2], multiplier1);
    counter[0] =
        Wide::exclusive_or(Wide::high(product1), counter[1], Wide::splat(keys.first[round]));
    counter[1] = product1;
    counter[2] =
        Wide::exclusive_or(Wide::high(product0), counter[3], Wide::splat(keys.second[round]));
    counter[3] = product0;
  }
}

// The first two rounds for blocks that share all of the counter but its lowest word, as those of a
// fill do for 2^32 blocks on end: two products of the four are then the same for all.
struct SharedRounds {
  uint32_t round1;              // what counter word 2 is xored with in round 1,
  uint32_t round2_0, round2_2;  // words 0 and 2 in round 2,
  uint32_t word3;               // and word 3 after it
};

WINIT_HD SharedRounds share_rounds(const StreamKey& key, uint32_t block_high) {
  const uint64_t product1 =
      static_cast<uint64_t>(static_cast<uint32_t>(key.stream)) * kPhiloxMultiplier1;
  const uint32_t counter0 =
      static_cast<uint32_t>(product1 >> 32) ^ block_high ^ key.rounds.first[0];
  const uint64_t product0 = static_cast<uint64_t>(counter0) * kPhiloxMultiplier0;
  return SharedRounds{static_cast<uint32_t>(key.stream >> 32) ^ key.rounds.second[0],
                      static_cast<uint32_t>(product1) ^ key.rounds.first[1],
                      static_cast<uint32_t>(product0 >> 32) ^ key.rounds.second[1],
                      static_cast<uint32_t>(product0)};
}

// The counter after two rounds, from the lanes' lowest words.
template <class Wide>
WINIT_HD void two_rounds(const SharedRounds& shared, typename Wide::W lowest,
                         typename Wide::W (&counter)[4]) {
  const auto product0 = Wide::multiply(lowest, Wide::splat(kPhiloxMultiplier0));
  const auto counter2 = Wide::exclusive_or(Wide::high(product0), Wide::splat(shared.round1));
  const auto product1 = Wide::multiply(counter2, Wide::splat(kPhiloxMultiplier1));
  counter[0] = Wide::exclusive_or(Wide::high(product1), Wide::splat(shared.round2_0));
  counter[1] = product1;
  counter[2] = Wide::exclusive_or(product0, Wide::splat(shared.round2_2));
  counter[3] = Wide::splat(shared.word3);
}

// The four words of one block.
WINIT_HD void philox_block(const StreamKey& key, uint64_t block, uint32_t (&words)[4]) {
  uint64_t counter[4] = {block, block >> 32, key.stream, key.stream >> 32};
  philox_rounds<WideScalar, 0, kPhiloxRounds>(key.rounds, counter);
  for (int i = 0; i < 4; ++i) words[i] = static_cast<uint32_t>(counter[i]);
}

// The same for a block whose high word the rounds were shared for.
WINIT_HD void philox_block(const RoundKeys& keys, const SharedRounds& shared, uint32_t block_low,
                           uint32_t (&words)[4]) {
  uint64_t counter[4];
  two_rounds<WideScalar>(shared, block_low, counter);
  philox_rounds<WideScalar, 2, kPhiloxRounds>(keys, counter);
  for (int i = 0; i < 4; ++i) words[i] = static_cast<uint32_t>(counter[i]);
}

// The word of one element: word `index mod 4` of block `index div 4`.
WINIT_HD uint32_t philox_word(const StreamKey& key, Domain domain, uint64_t index) {
  uint32_t words[4];
  philox_block(key, first_block_of(domain) + index / 4, words);
  const uint32_t pair[2] = {(index & 1) ? words[1] : words[0], (index & 1) ? words[3] : words[2]};
  return (index & 2) ? pair[1] : pair[0];
}

}  // namespace winit_cuda
