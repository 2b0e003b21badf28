// The maps of words to values as a block of CUDA threads has them.
//
// A map with a quantile table gets it in shared memory: the threads of a warp read different
// segments at once, which constant memory would serialize. The normal law's table lies in device
// memory; a one-sided truncated law brings its own among the kernel's arguments, so that no launch
// allocates, copies or waits. Such arguments may be longer than 4 KB from CUDA 12.1 on, of nvcc and
// of the driver (530); with an older driver the core is not used.
#pragma once

#include <algorithm>

#include "cuda/launch.h"
#include "values/law.h"
#include "values/quantile.h"

namespace winit_cuda {

template <class Real>
struct Table {
  Real entries[kTableSize<Real>];
};

template <class Real, int kRows>
constexpr Table<Real> flatten(const Real (&rows)[kRows][kSegments]) {
  Table<Real> table{};
  for (int i = 0; i < kRows * kSegments; ++i) table.entries[i] = rows[i / kSegments][i % kSegments];
  return table;
}

static __device__ const Table<float> kNormalTableFloat = flatten(kQuantileFloat);
static __device__ const Table<double> kNormalTableDouble = flatten(kQuantileDouble);

static __device__ inline const float* normal_table(float) { return kNormalTableFloat.entries; }
static __device__ inline const double* normal_table(double) { return kNormalTableDouble.entries; }

struct NoTable {};

template <class Real>
__device__ const Real* share_table(const Real* table, Real scale) {
  __shared__ Real shared[kTableSize<Real>];
  for (int i = threadIdx.x; i < kTableSize<Real>; i += tuning::kFillThreads)
    shared[i] = scaled_entry(table, scale, i);
  __syncthreads();
  return shared;
}

// Makes a thread's map; the whole block calls it, so that the table is copied once.
template <class Map, class OwnTable>
__device__ Map make_map(typename Map::Numbers numbers, const OwnTable& own) {
  if constexpr (!std::is_same_v<OwnTable, NoTable>)
    numbers.quantile = share_table(own.entries, numbers.scale);
  else if constexpr (kHasTable<typename Map::Numbers>)
    numbers.quantile = share_table(normal_table(typename Map::Real{}), numbers.scale);
  return Map(numbers);
}

// The table that comes among the arguments.
template <class Map>
auto own_table_of(const typename Map::Numbers& numbers) {
  if constexpr (kHasOwnTable<typename Map::Numbers>) {
    Table<typename Map::Real> table;
    std::copy_n(numbers.quantile, kTableSize<typename Map::Real>, table.entries);
    return table;
  } else {
    return NoTable{};
  }
}

}  // namespace winit_cuda
