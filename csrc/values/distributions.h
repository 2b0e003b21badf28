// From a distribution's parameters, as the user gives them in float64, to the numbers its map
// takes.
//
// All of it is float64 arithmetic on the host, made of IEEE operations alone, so that every machine
// hands its kernels the same numbers.
#pragma once

#include <memory>
#include <vector>

#include "values/law.h"
#include "values/quantile.h"

namespace winit_cuda {

// A table like values/quantile_table.h's for the normal law beyond alpha >= 0: with p half the
// conditional tail, y = (1/2 - p) Q(p) is the distance from alpha.
template <class Real>
struct TailTable {
  double alpha;
  Real entries[kTableSize<Real>];
};

// A law, and what it refers to: the table of a one-sided interval.
struct OwnedLaw {
  Law law;
  std::shared_ptr<const void> table;
};

// Each throws std::invalid_argument where the dtype has no value to give.
OwnedLaw uniform_law(DType dtype, double low, double high);
OwnedLaw normal_law(DType dtype, double mean, double std);
OwnedLaw trunc_normal_law(DType dtype, double mean, double std, double a, double b);

// The laws by the names that users know, each with how many parameters it takes and what makes it
// of them. `is_plain` says of parameters that nothing is wrong with them, or odd: they are finite
// and in order, no value is too large for the dtype, and there is more than one to choose from.
// What `make` throws, where no value of the dtype lies in an interval, it does not foresee.
struct NamedLaw {
  const char* name;
  int parameter_count;
  OwnedLaw (*make)(DType dtype, const double* parameters);
  bool (*is_plain)(DType dtype, const double* parameters);
};
constexpr int kMostParameters = 4;

const std::vector<NamedLaw>& named_laws();

}  // namespace winit_cuda
