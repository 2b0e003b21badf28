// The table of what the fills do by instruction set.
#pragma once

#include "fill/fill.h"
#include "platform/tuning.h"
#include "simd/choice.h"

namespace winit_cuda {

struct FillPasses {
  // Local elements [begin, end) of a fill whose source has its key at hand.
  void (*fill)(const RandomFill& fill, int64_t begin, int64_t end);
  // Tiles [begin, end) of such a fill.
  void (*fill_tiles)(const RandomFill& fill, const Tiles& tiles, int64_t begin, int64_t end);
  void (*words)(const StreamKey& key, Domain domain, uint64_t index, int64_t count,
                uint32_t* words);
  // a * b + c rounded once, as the lanes do it, for tests; `count` is a multiple of 16.
  void (*fused)(const float* a, const float* b, const float* c, int64_t count, float* out);
  void (*fused_double)(const double* a, const double* b, const double* c, int64_t count,
                       double* out);
};

// The row of an instruction set (isa.cpp).
template <Isa isa>
const FillPasses* fill_passes();

static inline const FillPasses& active_fill_passes() {
  return *of_active_isa([](auto isa) { return fill_passes<isa()>(); });
}

// Whether a tensor is written around the caches.
static inline bool is_streamed(const Box& box, int64_t itemsize) {
  return element_count(box) * itemsize >= tuning::kStreamedBytes;
}

}  // namespace winit_cuda
