// The maps of words to values as a block of CUDA threads has them.
//
// A map with a quantile table gets it in shared memory: the threads of a warp read different
// segments at once, which constant memory would serialize. The normal law's table lies in device
// memory; a one-sided truncated law brings its own among the kernel's arguments, so that no launch
// allocates, copies or waits. Such arguments may be longer than 4 KB from CUDA 12.1 on.
#pragma once

#include <algorithm>

#include "cuda/launch.h"
#include "fill/dispatch.h"
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

// Makes a thread's map; the whole block calls it, so that the table is copied once.
template <class L>
__device__ UniformMap<L> make_map(const UniformNumbers<typename L::Real>& numbers, const NoTable&,
                                  Type<UniformMap<L>>) {
  return UniformMap<L>(numbers);
}

template <class Real>
__device__ const Real* share_table(const Real* table, Real scale) {
  __shared__ Real shared[kTableSize<Real>];
  for (int i = threadIdx.x; i < kTableSize<Real>; i += kBlockThreads)
    shared[i] = scaled_entry(table, scale, i);
  __syncthreads();
  return shared;
}

template <class L>
__device__ NormalMap<L> make_map(NormalNumbers<typename L::Real> numbers, const NoTable&,
                                 Type<NormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.std);
  return NormalMap<L>(numbers);
}

template <class L>
__device__ TruncNormalMap<L> make_map(TruncNormalNumbers<typename L::Real> numbers, const NoTable&,
                                      Type<TruncNormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.scale);
  return TruncNormalMap<L>(numbers);
}

template <class L>
__device__ SymmetricTruncNormalMap<L> make_map(
    SymmetricTruncNormalNumbers<typename L::Real> numbers, const NoTable&,
    Type<SymmetricTruncNormalMap<L>>) {
  numbers.quantile = share_table(normal_table(typename L::Real{}), numbers.scale);
  return SymmetricTruncNormalMap<L>(numbers);
}

template <class L>
__device__ TailNormalMap<L> make_map(TailNormalNumbers<typename L::Real> numbers,
                                     const Table<typename L::Real>& table, Type<TailNormalMap<L>>) {
  numbers.quantile = share_table(table.entries, numbers.scale);
  return TailNormalMap<L>(numbers);
}

template <class N>
NoTable table_of(const N&) {
  return {};
}
template <class Real>
Table<Real> table_of(const TailNormalNumbers<Real>& numbers) {
  Table<Real> table;
  std::copy_n(numbers.quantile, kTableSize<Real>, table.entries);
  return table;
}

}  // namespace winit_cuda
