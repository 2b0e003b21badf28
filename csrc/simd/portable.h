// The operations of values/scalar.h as the CPU fills take them, for any processor.
#pragma once

#include "simd/halves.h"
#include "simd/scalar_vectors.h"
#include "values/scalar.h"

namespace winit_cuda {

struct Portable : Scalar32, simd::HalvesWithoutMasks<Portable> {
  using Double = Scalar64;
  static constexpr int kBlocks = 1, kTogether = 1;
  static constexpr bool kOverlapping = false;

  // Of a table that it multiplies the scale into.
  struct Quantile {
    float table[kTableSize<float>];
    float base;
    Quantile(const float* unscaled, float scale, float base_) : base(base_) {
      for (int i = 0; i < kTableSize<float>; ++i) table[i] = scaled_entry(unscaled, scale, i);
    }
    float operator()(float c, float p) const { return quantile_value(table, base, c, p); }
  };

  static void chunk(const RoundKeys& keys, const SharedRounds& shared, uint32_t block,
                    uint32_t (&words)[4]) {
    philox_block(keys, shared, block, words);
  }
  static void store(float* out, float value) { *out = value; }
  static void stream(float* out, float value) { *out = value; }

  // What writes columns (fill/columns.h).
  struct Lines {
    struct V {
      char bytes[16];
    };
    static constexpr int kParts = 1;
    static WINIT_HD_MEMBER V gather(const char* from, int64_t) {
      V value;
      std::memcpy(&value, from, sizeof(value));
      return value;
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V low(const V& a, const V& b) {
      return interleave<kBytes>(a.bytes, b.bytes);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V high(const V& a, const V& b) {
      return interleave<kBytes>(a.bytes + 8, b.bytes + 8);
    }
    template <int kBytes>
    static WINIT_HD_MEMBER V interleave(const char* a, const char* b) {
      V value;
      for (int i = 0; i < 8; i += kBytes) {
        std::memcpy(value.bytes + 2 * i, a + i, kBytes);
        std::memcpy(value.bytes + 2 * i + kBytes, b + i, kBytes);
      }
      return value;
    }
    static WINIT_HD_MEMBER void store(char* out, const V& value) {
      std::memcpy(out, &value, sizeof(value));
    }
  };

  // What the sparse passes take besides (sparse/lanes.h).
  static WINIT_HD_MEMBER uint32_t sort_out(const uint32_t* words, uint32_t first, uint32_t width,
                                           uint32_t* below) {
    uint32_t inside = 0;
    for (int i = 0; i < simd::kGroup; ++i) {
      inside |= static_cast<uint32_t>(words[i] - first <= width) << i;
      below[i] += words[i] < first;
    }
    return inside;
  }
  static WINIT_HD_MEMBER F where_above(U order, const uint32_t* limit, F value) {
    return order > *limit ? value : 0.0f;
  }
};

// What isa.cpp is compiled for.
#define WINIT_HAS_ISA
using IsaLanes = Portable;
template <class Real>
using IsaVectors = ScalarVectors<Real>;

}  // namespace winit_cuda
