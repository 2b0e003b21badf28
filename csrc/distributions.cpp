#include "distributions.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <sstream>
#include <stdexcept>

#include "limits.h"
#include "special.h"

namespace winit_cuda {
namespace {

const float* float_table() { return &kQuantileFloat[0][0]; }
const double* double_table() { return &kQuantileDouble[0][0]; }

struct Bounds {
  double lowest, highest;
};

Bounds check_bounds(DType dtype, Bounds bounds, double low, double high, const char* closing) {
  if (bounds.lowest <= bounds.highest) return bounds;
  static const char* const names[kDTypeCount] = {"float32",  "float64",       "float16",
                                                 "bfloat16", "float8_e4m3fn", "float8_e5m2"};
  std::ostringstream message;
  message.precision(17);
  message << "there is no " << names[static_cast<int>(dtype)] << " value in [" << low << ", "
          << high << closing;
  throw std::invalid_argument(message.str());
}

// The i-th zero of the Chebyshev polynomial T_n, from the largest, sin((n - 1 - 2 i) pi / (2 n)).
double chebyshev_node(int i, int n) {
  const double x = (n - 1 - 2 * i) * 1.57079632679489661923 / n;
  double term = x, sum = x;
  for (int k = 2; k < 24; k += 2) {
    term *= -x * x / (k * (k + 1));
    sum += term;
  }
  return sum;
}

// Interpolates Q at the Chebyshev nodes of each segment. Chebyshev coefficients first, then powers
// of u.
template <int kDegree, class Real>
void fit_tail(double alpha, Real* coefficients) {
  constexpr int kNodes = kDegree + 1;
  double nodes[kNodes], cosines[kNodes][kNodes];
  for (int i = 0; i < kNodes; ++i) {
    nodes[i] = chebyshev_node(i, kNodes);
    for (int k = 0; k < kNodes; ++k)
      cosines[k][i] = k == 0   ? 1.0
                      : k == 1 ? nodes[i]
                               : 2 * nodes[i] * cosines[k - 1][i] - cosines[k - 2][i];
  }
  double guess = 0;
  for (int segment = kSegments - 1; segment >= 0; --segment) {
    const double octave = std::ldexp(1.0, segment / 4 - 33);
    const double middle = 1 + (segment % 4) * 0.25 + 0.125;
    double values[kNodes];
    for (int i = 0; i < kNodes; ++i) {  // from the largest p to the smallest
      const double p = octave * (middle + nodes[i] / 8);
      guess = conditional_quantile(alpha, 2 * p, 1 - 2 * p, guess);
      values[i] = guess / (0.5 - p);
    }
    double powers[kNodes] = {}, previous[kNodes] = {}, current[kNodes] = {};
    previous[0] = 1;  // T_0, T_1 as powers of 8 u
    if (kNodes > 1) current[1] = 1;
    for (int k = 0; k < kNodes; ++k) {
      double coefficient = 0;
      for (int i = 0; i < kNodes; ++i) coefficient += values[i] * cosines[k][i];
      coefficient *= (k == 0 ? 1.0 : 2.0) / kNodes;
      for (int j = 0; j < kNodes; ++j) powers[j] += coefficient * previous[j];
      double next[kNodes];
      for (int j = 0; j < kNodes; ++j) next[j] = (j ? 2 * current[j - 1] : 0.0) - previous[j];
      std::copy(current, current + kNodes, previous);
      std::copy(next, next + kNodes, current);
    }
    for (int j = 0; j < kNodes; ++j)
      coefficients[j * kSegments + segment] = static_cast<Real>(std::ldexp(powers[j], 3 * j));
  }
}

// Making a table takes a few milliseconds: the last ones are kept, by each thread for itself, so
// that no thread waits for another's.
template <class Real>
std::shared_ptr<const TailTable<Real>> tail_table(double alpha) {
  constexpr size_t kKept = 8;
  thread_local std::list<std::shared_ptr<const TailTable<Real>>> recent;
  const auto found = std::find_if(recent.begin(), recent.end(),
                                  [&](const auto& table) { return table->alpha == alpha; });
  if (found != recent.end()) {
    recent.splice(recent.begin(), recent, found);
    return recent.front();
  }
  auto table = std::make_shared<TailTable<Real>>();
  table->alpha = alpha;
  fit_tail<TailTable<Real>::kDegree>(alpha, table->coefficients);
  recent.push_front(table);
  if (recent.size() > kKept) recent.pop_back();
  return table;
}

// The mean lies inside (a, b): p is the nearer tail of the normal law itself.
template <class Real>
void two_sided(double mean, double std, double a, double b, double unit,
               TruncNormalNumbers<Real>& numbers) {
  const double alpha = (a - mean) / std, beta = (b - mean) / std;
  const double below = normal_tail(-alpha), above = normal_tail(beta);
  const double width = (normal_center(beta) - normal_center(alpha)) * unit;
  const double center = 0.5 * (normal_center(beta) + normal_center(alpha));
  for (int half = 0; half < 2; ++half) {
    const double side = half ? 1 : -1;
    numbers.tail_slope[half] = static_cast<Real>(width);
    numbers.tail_start[half] = static_cast<Real>((half ? above : below) + 0.5 * width);
    numbers.center_slope[half] = static_cast<Real>(side * width);
    numbers.center_start[half] = static_cast<Real>(center + side * 0.5 * width);
  }
  numbers.fold = 1;
  numbers.center_from_middle = 1;
  numbers.scale = static_cast<Real>(std);
  numbers.base = static_cast<Real>(mean);
}

// The interval lies beyond alpha >= 0 on one side of the mean: p is half the conditional tail,
// measured from the near bound, so that nothing cancels however far out the interval is or however
// narrow.
template <class Real>
void one_sided(double near_bound, double direction, double std, double alpha, double length,
               double unit, TruncNormalNumbers<Real>& numbers) {
  const double kept = conditional_below(alpha, length);  // 1 - T(beta) / T(alpha)
  const double rest = exponential(conditional_log_tail(alpha, length));
  const double width = 0.5 * kept * unit;
  const int near_half = direction > 0 ? 0 : 1;
  numbers.tail_slope[near_half] = static_cast<Real>(-width);
  numbers.tail_start[near_half] = static_cast<Real>(0.5 - 0.5 * width);
  numbers.center_slope[near_half] = static_cast<Real>(width);
  numbers.center_start[near_half] = static_cast<Real>(0.5 * width);
  numbers.tail_slope[1 - near_half] = static_cast<Real>(width);
  numbers.tail_start[1 - near_half] = static_cast<Real>(0.5 * rest + 0.5 * width);
  numbers.center_slope[1 - near_half] = static_cast<Real>(-width);
  numbers.center_start[1 - near_half] = static_cast<Real>(0.5 * kept - 0.5 * width);
  numbers.fold = 2;  // p never reaches 1, so the fold never acts
  numbers.center_from_middle = 0;
  numbers.scale = static_cast<Real>(direction * std);
  numbers.base = static_cast<Real>(near_bound);
}

}  // namespace

DistributionNumbers uniform_numbers(DType dtype, double low, double high) {
  const Bounds bounds = check_bounds(
      dtype, {smallest_at_least(dtype, low), largest_below(dtype, high)}, low, high, ")");
  const double middle = 0.5 * low + 0.5 * high, half_width = 0.5 * high - 0.5 * low;
  DistributionNumbers made{};
  made.distribution = Distribution::kUniform;
  made.numbers.uniform = {static_cast<float>(middle), static_cast<float>(half_width),
                          static_cast<float>(bounds.lowest), static_cast<float>(bounds.highest)};
  made.double_numbers.uniform = {middle, half_width, bounds.lowest, bounds.highest};
  return made;
}

DistributionNumbers normal_numbers(double mean, double std) {
  DistributionNumbers made{};
  made.distribution = Distribution::kNormal;
  made.numbers.normal = {static_cast<float>(mean), static_cast<float>(std), float_table()};
  made.double_numbers.normal = {mean, std, double_table()};
  return made;
}

namespace {

template <class Real>
std::shared_ptr<const void> fill_in_trunc_normal(double mean, double std, double a, double b,
                                                 const Bounds& bounds, const Real* normal_table,
                                                 TruncNormalNumbers<Real>& numbers) {
  constexpr double unit = sizeof(Real) == 4 ? 0x1p-32 : 0x1p-64;
  std::shared_ptr<const TailTable<Real>> tail;
  if (a < mean && mean < b) {
    two_sided(mean, std, a, b, unit, numbers);
    numbers.quantile = normal_table;
  } else {
    const double direction = a >= mean ? 1 : -1;
    const double near_bound = direction > 0 ? a : b;
    // Far beyond this everything is at the bound to the last bit; the squares stay finite.
    const double alpha = std::min(std::fabs(near_bound - mean) / std, 1e150);
    const double length = std::min((b - a) / std, 1e150);
    one_sided(near_bound, direction, std, alpha, length, unit, numbers);
    tail = tail_table<Real>(alpha);
    numbers.quantile = tail->coefficients;
  }
  numbers.lowest = static_cast<Real>(bounds.lowest);
  numbers.highest = static_cast<Real>(bounds.highest);
  return tail;
}

}  // namespace

DistributionNumbers trunc_normal_numbers(DType dtype, double mean, double std, double a, double b) {
  const Bounds bounds =
      check_bounds(dtype, {smallest_at_least(dtype, a), largest_at_most(dtype, b)}, a, b, "]");
  DistributionNumbers made{};
  made.distribution = Distribution::kTruncNormal;
  made.tail =
      dtype == DType::kFloat64
          ? fill_in_trunc_normal(mean, std, a, b, bounds, double_table(),
                                 made.double_numbers.trunc_normal)
          : fill_in_trunc_normal(mean, std, a, b, bounds, float_table(), made.numbers.trunc_normal);
  return made;
}

}  // namespace winit_cuda
