// The halves of a sparse tile's words (sparse/kept_lanes.h), for instruction sets without masks.
#pragma once

#include <cstdint>
#include <cstring>

namespace winit_cuda {
namespace simd {

constexpr int kHalves = 64;  // that `keep` and `within` take at a time
constexpr int kGroup = 16;   // words that `sort_out` takes

// Loops over all lanes, which compilers make vectors of. L keeps what each instruction set is
// compiled to apart.
template <class L>
struct HalvesWithoutMasks {
  template <class Vectors>
  static void keep(const Vectors* row, uint16_t bound, uint16_t* upper, uint16_t* held) {
    alignas(64) uint32_t words[kHalves];
    std::memcpy(words, row, sizeof(words));
    for (int lane = 0; lane < kHalves; ++lane) {
      const auto half = static_cast<uint16_t>(words[lane] >> 16);
      upper[lane] = half;
      held[lane] = static_cast<uint16_t>(held[lane] + (half <= bound));
    }
  }
  // Bytes first, which compilers make vectors of, then their lowest bits.
  static uint64_t within(const uint16_t* halves, const uint16_t* first, const uint16_t* width) {
    uint8_t inside[kHalves];
    for (int lane = 0; lane < kHalves; ++lane)
      inside[lane] = static_cast<uint16_t>(halves[lane] - first[lane]) <= width[lane];
    uint64_t lanes = 0;
    for (int group = 0; group < kHalves; group += 8) {
      uint64_t bytes;
      std::memcpy(&bytes, inside + group, sizeof(bytes));
      lanes |= (bytes * 0x0102040810204080u >> 56) << group;
    }
    return lanes;
  }
  template <class Vector>
  static void pack(Vector word, uint32_t bits, uint32_t* out) {
    constexpr int kLanes = sizeof(Vector) / sizeof(uint32_t);
    uint32_t words[kLanes];
    std::memcpy(words, &word, sizeof(words));
    for (int lane = 0; lane < kLanes; ++lane) {
      *out = words[lane];
      out += bits >> lane & 1;
    }
  }
  template <class Vector>
  static void spread(uint32_t bits, const float* in, Vector& value) {
    constexpr int kLanes = sizeof(Vector) / sizeof(float);
    uint32_t values[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {  // a branch here is hard to foretell
      const uint32_t is_set = bits >> lane & 1;
      std::memcpy(values + lane, in, sizeof(float));
      values[lane] &= 0 - is_set;
      in += is_set;
    }
    std::memcpy(&value, values, sizeof(value));
  }
};

}  // namespace simd
}  // namespace winit_cuda
