// Where the threshold of a column is to be expected.
//
// The k-th smallest of n uniform words has a rank's standard deviation of sqrt(k (n - k) / n): a
// window of a few of them around k / n holds it, and few of the other words. Nothing rests on that
// but the speed: who counts the words below the window and in it sees whether the window was right.
#pragma once

#include <algorithm>
#include <cmath>

#include "platform/host_device.h"

namespace winit_cuda {

// The words first ... last. Those of all n words that are likely to lie there number `expected`,
// give or take a few standard deviations.
struct WordWindow {
  uint32_t first, last;
  int64_t expected;
};

// At 4 standard deviations one column in 16000 misses its window.
static inline WordWindow window_of(int64_t rows, int64_t zeros) {
  constexpr double kDeviations = 4, kWords = 4294967296.0;
  constexpr int64_t kLeast = 12;  // few words are not yet normally distributed
  const double n = static_cast<double>(rows), k = static_cast<double>(zeros);
  const double deviation = std::sqrt(k * (n - k) / n);
  const int64_t half = kLeast + static_cast<int64_t>(std::ceil(kDeviations * deviation));
  const int64_t below = std::max<int64_t>(0, zeros - half);
  const int64_t up_to = zeros > rows - half ? rows : zeros + half;
  WordWindow window{0, UINT32_MAX, up_to - below};
  if (below > 0) window.first = static_cast<uint32_t>(static_cast<double>(below) / n * kWords);
  if (up_to < rows) window.last = static_cast<uint32_t>(static_cast<double>(up_to) / n * kWords);
  return window;
}

}  // namespace winit_cuda
