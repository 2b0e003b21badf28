// From a distribution's parameters, as the user gives them in float64, to the numbers its map
// takes.
//
// All of it is float64 arithmetic on the host, made of IEEE operations alone, so that every machine
// hands its kernels the same numbers.
#pragma once

#include <memory>
#include <vector>

#include "fill/fill.h"
#include "values/quantile.h"

namespace winit_cuda {

// A table like values/quantile_table.h's for the normal law beyond alpha >= 0: with p half the
// conditional tail, y = (1/2 - p) Q(p) is the distance from alpha.
template <class Real>
struct TailTable {
  double alpha;
  Real entries[kTableSize<Real>];
};

// The parts of a RandomFill that a distribution decides, for one dtype. `tail` keeps the table of a
// one-sided interval alive.
struct DistributionNumbers {
  Distribution distribution;
  Numbers<float> numbers;
  Numbers<double> double_numbers;
  float rescaling;
  std::shared_ptr<const void> tail;

  void put_into(RandomFill& fill) const {
    fill.distribution = distribution;
    fill.numbers = numbers;
    fill.double_numbers = double_numbers;
    fill.rescaling = rescaling;
  }
};

// Each throws std::invalid_argument where the dtype has no value to give.
DistributionNumbers uniform_numbers(DType dtype, double low, double high);
DistributionNumbers normal_numbers(DType dtype, double mean, double std);
DistributionNumbers trunc_normal_numbers(DType dtype, double mean, double std, double a, double b);

// The laws by the names that users know, each with how many parameters it takes and what makes its
// numbers of them.
struct NamedLaw {
  const char* name;
  int parameter_count;
  DistributionNumbers (*numbers)(DType dtype, const double* parameters);
};
constexpr int kMostParameters = 4;

const std::vector<NamedLaw>& named_laws();

}  // namespace winit_cuda
