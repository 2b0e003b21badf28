// The key of a child, as winit_cuda/_keys/keys.py derives it: fold_in(key, j). Its stream is
// BLAKE2b (Saarinen and Aumasson, RFC 7693) with a digest of 8 bytes over the seed, the stream, and
// "i" and j as 16 bytes, all little-endian, or "s" and a name in UTF-8. A number's 33 bytes are one
// block of the hash; names, which may be longer, are for the host.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "values/philox.h"

namespace winit_cuda {

constexpr uint64_t kBlake2bStart[8] = {
    0x6A09E667F3BCC908u, 0xBB67AE8584CAA73Bu, 0x3C6EF372FE94F82Bu, 0xA54FF53A5F1D36F1u,
    0x510E527FADE682D1u, 0x9B05688C2B3E6C1Fu, 0x1F83D9ABFB41BD6Bu, 0x5BE0CD19137E2179u};
constexpr int kBlake2bRounds = 12;
// Which word of the message each half step of a round takes, four bits each, the first lowest.
constexpr uint64_t kBlake2bOrder[10] = {
    0xFEDCBA9876543210u, 0x357B20C16DF984AEu, 0x491763EADF250C8Bu, 0x8F04A562EBCD1397u,
    0xD386CB1EFA427509u, 0x91EF57D438B0A6C2u, 0xB8293670A4DEF15Cu, 0xA2684F05931CE7BDu,
    0x5A417D2C803B9EF6u, 0x0DC3E9BF5167482Au};

WINIT_HD uint64_t rotated_right(uint64_t word, int bits) {
  return (word >> bits) | (word << (64 - bits));
}

WINIT_HD void blake2b_mix(uint64_t& a, uint64_t& b, uint64_t& c, uint64_t& d, uint64_t x,
                          uint64_t y) {
  a += b + x;
  d = rotated_right(d ^ a, 32);
  c += d;
  b = rotated_right(b ^ c, 24);
  a += b + y;
  d = rotated_right(d ^ a, 16);
  c += d;
  b = rotated_right(b ^ c, 63);
}

// The order is a constant of each round's own code, so that the message, most of it zero, stays in
// registers.
template <int kRound>
WINIT_HD void blake2b_rounds(uint64_t (&v)[16], const uint64_t (&message)[16]) {
  if constexpr (kRound < kBlake2bRounds) {
    constexpr uint64_t order = kBlake2bOrder[kRound % 10];
    blake2b_mix(v[0], v[4], v[8], v[12], message[order & 15], message[order >> 4 & 15]);
    blake2b_mix(v[1], v[5], v[9], v[13], message[order >> 8 & 15], message[order >> 12 & 15]);
    blake2b_mix(v[2], v[6], v[10], v[14], message[order >> 16 & 15], message[order >> 20 & 15]);
    blake2b_mix(v[3], v[7], v[11], v[15], message[order >> 24 & 15], message[order >> 28 & 15]);
    blake2b_mix(v[0], v[5], v[10], v[15], message[order >> 32 & 15], message[order >> 36 & 15]);
    blake2b_mix(v[1], v[6], v[11], v[12], message[order >> 40 & 15], message[order >> 44 & 15]);
    blake2b_mix(v[2], v[7], v[8], v[13], message[order >> 48 & 15], message[order >> 52 & 15]);
    blake2b_mix(v[3], v[4], v[9], v[14], message[order >> 56 & 15], message[order >> 60]);
    blake2b_rounds<kRound + 1>(v, message);
  }
}

constexpr uint64_t kBlake2bParameters = 0x01010008;  // digest of 8 bytes, no key, no tree
constexpr uint64_t kBlake2bPerson[2] = {0x75635F74696E6977u,
                                        0x0000003176206164u};  // "winit_cuda v1"

// The stream of child j; its seed is the parent's.
WINIT_HD uint64_t child_stream(uint64_t seed, uint64_t stream, uint64_t j) {
  constexpr uint64_t kMessageBytes = 33, kNumber = 'i';
  const uint64_t message[16] = {seed, stream, kNumber | j << 8, j >> 56};
  constexpr uint64_t first = kBlake2bStart[0] ^ kBlake2bParameters;
  uint64_t v[16] = {first,
                    kBlake2bStart[1],
                    kBlake2bStart[2],
                    kBlake2bStart[3],
                    kBlake2bStart[4],
                    kBlake2bStart[5],
                    kBlake2bStart[6] ^ kBlake2bPerson[0],
                    kBlake2bStart[7] ^ kBlake2bPerson[1],
                    kBlake2bStart[0],
                    kBlake2bStart[1],
                    kBlake2bStart[2],
                    kBlake2bStart[3],
                    kBlake2bStart[4] ^ kMessageBytes,
                    kBlake2bStart[5],
                    ~kBlake2bStart[6],  // the last block
                    kBlake2bStart[7]};
  blake2b_rounds<0>(v, message);
  return first ^ v[0] ^ v[8];
}

// The stream of the child with this name.
inline uint64_t named_stream(uint64_t seed, uint64_t stream, std::string_view name) {
  constexpr size_t kBlockBytes = 128, kHeadBytes = 17;
  const size_t bytes = kHeadBytes + name.size();
  uint64_t state[8];
  std::copy(kBlake2bStart, kBlake2bStart + 8, state);
  state[0] ^= kBlake2bParameters;
  state[6] ^= kBlake2bPerson[0];
  state[7] ^= kBlake2bPerson[1];
  for (size_t begin = 0; begin < bytes; begin += kBlockBytes) {
    // The message from `begin` on: seed, stream, "s", the name, zeros.
    unsigned char block[kBlockBytes] = {};
    size_t filled = 0;
    if (begin == 0) {
      for (int i = 0; i < 8; ++i) {
        block[i] = static_cast<unsigned char>(seed >> 8 * i);
        block[8 + i] = static_cast<unsigned char>(stream >> 8 * i);
      }
      block[16] = 's';
      filled = kHeadBytes;
    }
    const size_t read = begin + filled - kHeadBytes;
    std::memcpy(block + filled, name.data() + read,
                std::min(kBlockBytes - filled, name.size() - read));
    uint64_t message[16];
    for (int i = 0; i < 16; ++i) {
      message[i] = 0;
      for (int j = 0; j < 8; ++j) message[i] |= uint64_t{block[8 * i + j]} << 8 * j;
    }
    uint64_t v[16];
    std::copy(state, state + 8, v);
    std::copy(kBlake2bStart, kBlake2bStart + 8, v + 8);
    v[12] ^= std::min(begin + kBlockBytes, bytes);
    if (begin + kBlockBytes >= bytes) v[14] = ~v[14];
    blake2b_rounds<0>(v, message);
    for (int i = 0; i < 8; ++i) state[i] ^= v[i] ^ v[i + 8];
  }
  return state[0];
}

// The seed of a key as the fills take it: its first round's keys.
WINIT_HD uint64_t seed_of(const StreamKey& key) {
  return static_cast<uint64_t>(key.rounds.second[0]) << 32 | key.rounds.first[0];
}

// Child j of such a key.
WINIT_HD StreamKey child_of(const StreamKey& parent, uint64_t j) {
  return StreamKey{parent.rounds, child_stream(seed_of(parent), parent.stream, j)};
}

}  // namespace winit_cuda
