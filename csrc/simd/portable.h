// The operations of values/scalar.h as the CPU fills take them, for any processor.
#pragma once

#include "values/scalar.h"

namespace winit_cuda {

struct Portable : Scalar32 {
  using Double = Scalar64;
  static constexpr int kBlocks = 1, kTogether = 1;

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
};

}  // namespace winit_cuda
