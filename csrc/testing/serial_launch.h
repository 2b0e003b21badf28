// The serial launcher: the CUDA kernel bodies on CPU memory, one thread after the other.
#pragma once

#include <utility>
#include <vector>

#include "fill/dispatch.h"
#include "fill/kernel.h"

namespace winit_cuda {

// A small odd grid of whole warps, walked backwards: no result may depend on the grid or on the
// order of its threads.
constexpr int64_t kSerialThreads = 3 * kNeighbours;

template <class Body>
void launch_serial(const Body& body) {
  for (int64_t thread = kSerialThreads - 1; thread >= 0; --thread)
    body(ThreadIndex{thread, kSerialThreads});
}

// The map of a distribution, and the table that the threads of a block would share.
template <class Map, class Real>
struct SerialMap {
  std::vector<Real> table;
  Map map;

  template <class N>
  explicit SerialMap(const N& numbers) : SerialMap(numbers, scaled(numbers)) {}

 private:
  template <class N>
  SerialMap(N numbers, std::vector<Real> scaled) : table(std::move(scaled)), map(share(numbers)) {}

  template <class N>
  N& share(N& numbers) {
    if constexpr (!std::is_same_v<N, UniformNumbers<Real>>) numbers.quantile = table.data();
    return numbers;
  }

  static std::vector<Real> scaled(const UniformNumbers<Real>&) { return {}; }
  static std::vector<Real> scaled(const NormalNumbers<Real>& numbers) {
    return scaled(numbers.quantile, numbers.std);
  }
  template <class N>
  static std::vector<Real> scaled(const N& numbers) {
    return scaled(numbers.quantile, numbers.scale);
  }
  static std::vector<Real> scaled(const Real* table, Real scale) {
    std::vector<Real> entries(kTableSize<Real>);
    for (int i = 0; i < kTableSize<Real>; ++i)
      entries[static_cast<size_t>(i)] = scaled_entry(table, scale, i);
    return entries;
  }
};

}  // namespace winit_cuda
