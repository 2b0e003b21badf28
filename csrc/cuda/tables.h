// The quantile tables as CUDA kernels take them: the normal law's in device memory, that of a
// one-sided truncated law among the arguments.
#pragma once

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

}  // namespace winit_cuda
