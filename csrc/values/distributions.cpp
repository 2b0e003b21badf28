#include "values/distributions.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <sstream>
#include <stdexcept>

#include "platform/memory.h"
#include "values/limits.h"
#include "values/special.h"

namespace winit_cuda {
namespace {

const float* float_table() { return &kQuantileFloat[0][0]; }
const double* double_table() { return &kQuantileDouble[0][0]; }

struct Bounds {
  double lowest, highest;
};

Bounds check_bounds(DType dtype, Bounds bounds, double low, double high, const char* closing) {
  if (bounds.lowest <= bounds.highest) return bounds;
  std::ostringstream message;
  message.precision(17);
  message << "there is no " << kDTypeNames[static_cast<int>(dtype)] << " value in [" << low << ", "
          << high << closing;
  throw std::invalid_argument(message.str());
}

// The scale that the values of a law are made on. On their own, float32 products with a spread
// near the smallest float would lose bits, or everything, and a value of -0 could meet a bound of
// +0, of which instructions for the larger one return either.
double scale_for(DType dtype, double spread, double reach) {
  const bool is_tiny = spread < 0x1p-90 && reach < 0x1p30;
  return is_tiny && dtype != DType::kFloat64 ? 0x1p90 : 1;
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

// The powers of u of the polynomial that has these values at the Chebyshev nodes of [-1/8, 1/8].
template <int kNodes>
void interpolate(const double (&values)[kNodes], double (&powers)[kNodes]) {
  double previous[kNodes] = {}, current[kNodes] = {};  // T_0, T_1, ... as powers of 8 u
  double last[kNodes], cosines[kNodes];                // T_0, T_1, ... at the nodes
  previous[0] = current[1] = 1;
  std::fill_n(powers, kNodes, 0.0);
  for (int i = 0; i < kNodes; ++i) {
    last[i] = 1;
    cosines[i] = chebyshev_node(i, kNodes);
  }
  for (int k = 0; k < kNodes; ++k) {
    double coefficient = 0;
    for (int i = 0; i < kNodes; ++i) coefficient += values[i] * last[i];
    coefficient *= (k == 0 ? 1.0 : 2.0) / kNodes;
    for (int j = 0; j < kNodes; ++j) powers[j] += coefficient * std::ldexp(previous[j], 3 * j);
    for (int i = 0; i < kNodes; ++i) {
      const double next = 2 * chebyshev_node(i, kNodes) * cosines[i] - last[i];
      last[i] = cosines[i];
      cosines[i] = next;
    }
    double next[kNodes];
    for (int j = 0; j < kNodes; ++j) next[j] = (j ? 2 * current[j - 1] : 0.0) - previous[j];
    std::copy(current, current + kNodes, previous);
    std::copy(next, next + kNodes, current);
  }
}

// The table of values/quantile_table.h for the tail beyond alpha. Of the last octave, which p does
// not reach, nothing is filled in.
template <class Real>
void fit_tail(double alpha, Real* entries) {
  constexpr int kNodes = kDegree<Real> + 1;
  constexpr double kCenter = 1.125;
  double guess = 0;
  for (int octave = kOctaves - 2; octave >= 0; --octave)
    for (int quarter = 3; quarter >= 0; --quarter) {
      double values[kNodes], powers[kNodes];
      for (int i = 0; i < kNodes; ++i) {  // from the largest p to the smallest
        const double mantissa = kCenter + quarter * 0.25 + chebyshev_node(i, kNodes) / 8;
        const double p = std::ldexp(mantissa, octave - 32);
        guess = conditional_quantile(alpha, 2 * p, 1 - 2 * p, guess);
        values[i] = guess / (0.5 - p);
      }
      interpolate(values, powers);
      Real* column = entries + octave_column(octave) + quarter;
      column[0] = static_cast<Real>(kCenter);
      for (int j = 0; j < kNodes; ++j)
        column[(j + 1) * kSegments] = static_cast<Real>(std::ldexp(powers[j], -32));
    }
}

// Making a table takes a few milliseconds: the last ones are kept, by each thread for itself, so
// that no thread waits for another's.
template <class Real>
std::shared_ptr<const TailTable<Real>> tail_table(double alpha) {
  constexpr size_t kKept = 8;
  using Table = std::shared_ptr<const TailTable<Real>>;
  thread_local std::list<Table, PieceAllocator<Table>> recent;
  const auto found = std::find_if(recent.begin(), recent.end(),
                                  [&](const auto& table) { return table->alpha == alpha; });
  if (found != recent.end()) {
    recent.splice(recent.begin(), recent, found);
    return recent.front();
  }
  auto table = std::allocate_shared<TailTable<Real>>(PieceAllocator<TailTable<Real>>());
  table->alpha = alpha;
  fit_tail(alpha, table->entries);
  recent.push_front(table);
  if (recent.size() > kKept) recent.pop_back();
  return table;
}

// The mean lies inside (a, b): p is the nearer tail of the normal law itself.
template <class Real>
TruncNormalNumbers<Real> two_sided(double mean, double std, double a, double b) {
  const double alpha = (a - mean) / std, beta = (b - mean) / std;
  TruncNormalNumbers<Real> numbers{};
  numbers.slope = static_cast<Real>(normal_center(beta) - normal_center(alpha));
  numbers.center_start = static_cast<Real>(0x1p31 * (normal_center(beta) + normal_center(alpha)));
  numbers.tail_start[0] = static_cast<Real>(0x1p32 * normal_tail(-alpha));
  numbers.tail_start[1] = static_cast<Real>(0x1p32 * normal_tail(beta));
  numbers.scale = static_cast<Real>(std);
  numbers.base = static_cast<Real>(mean);
  return numbers;
}

// The same with the mean in the middle, or false where that map does not serve.
template <class Real>
bool symmetric(const TruncNormalNumbers<Real>& general, double mean, double a, double b,
               SymmetricTruncNormalNumbers<Real>& numbers) {
  if (b - mean != mean - a || general.slope < Real(0x1p-10) || general.tail_start[0] < 1)
    return false;
  numbers.slope = numbers.tail_slope = general.slope;
  numbers.tail_start = general.tail_start[0];
  while (fused(Real(0x1p31), numbers.tail_slope, numbers.tail_start) > kBelowHalf<Real>)
    numbers.tail_slope = std::nextafter(numbers.tail_slope, Real(0));
  numbers.scale = general.scale;
  numbers.base = general.base;
  numbers.lowest = general.lowest;
  numbers.highest = general.highest;
  numbers.quantile = general.quantile;
  return true;
}

// The interval lies beyond alpha >= 0 on one side of the mean: p is half the conditional tail, and
// c = 1/2 - p is measured from the near bound, so that nothing cancels however far out the interval
// is or however narrow. The tables end at 1/2.
template <class Real>
TailNormalNumbers<Real> one_sided(double near_bound, double direction, double std, double alpha,
                                  double length) {
  const double kept = conditional_below(alpha, length);  // 1 - T(beta) / T(alpha)
  const double rest = exponential(conditional_log_tail(alpha, length));
  const int near_half = direction > 0 ? 0 : 1;
  TailNormalNumbers<Real> numbers{};
  numbers.slope = static_cast<Real>(0.5 * direction * kept);
  numbers.center_start[near_half] = 0;
  numbers.tail_start[near_half] = kBelowHalf<Real>;
  numbers.center_start[1 - near_half] = static_cast<Real>(0x1p31 * kept);
  numbers.tail_start[1 - near_half] = std::min(static_cast<Real>(0x1p31 * rest), kBelowHalf<Real>);
  numbers.scale = static_cast<Real>(direction * std);
  numbers.base = static_cast<Real>(near_bound);
  return numbers;
}

}  // namespace

OwnedLaw uniform_law(DType dtype, double low, double high) {
  const Bounds bounds = check_bounds(
      dtype, {smallest_at_least(dtype, low), largest_below(dtype, high)}, low, high, ")");
  const double up = scale_for(dtype, high - low, std::max(-low, high));
  const double middle = (0.5 * low + 0.5 * high) * up;
  const double step = (0x1p-32 * high - 0x1p-32 * low) * up;
  Law law{};
  law.distribution = Distribution::kUniform;
  law.rescaling = static_cast<float>(1 / up);
  law.numbers.uniform = {static_cast<float>(middle), static_cast<float>(step),
                         static_cast<float>(bounds.lowest * up),
                         static_cast<float>(bounds.highest * up)};
  law.double_numbers.uniform = {middle, step, bounds.lowest, bounds.highest};
  return {law, nullptr};
}

OwnedLaw normal_law(DType dtype, double mean, double std) {
  const double up = scale_for(dtype, std, std::fabs(mean));
  Law law{};
  law.distribution = Distribution::kNormal;
  law.rescaling = static_cast<float>(1 / up);
  law.numbers.normal = {static_cast<float>(mean * up), static_cast<float>(std * up), float_table()};
  law.double_numbers.normal = {mean, std, double_table()};
  return {law, nullptr};
}

namespace {

template <class Real, class Made>
void bound(const Bounds& bounds, Made& numbers) {
  numbers.lowest = static_cast<Real>(bounds.lowest);
  numbers.highest = static_cast<Real>(bounds.highest);
}

template <class Real>
void fill_in_trunc_normal(double mean, double std, double a, double b, const Bounds& bounds,
                          const Real* normal_table, OwnedLaw& made, AnyNumbers<Real>& numbers) {
  if (a < mean && mean < b) {
    TruncNormalNumbers<Real> general = two_sided<Real>(mean, std, a, b);
    general.quantile = normal_table;
    bound<Real>(bounds, general);
    SymmetricTruncNormalNumbers<Real> special;
    if (symmetric(general, mean, a, b, special)) {
      made.law.distribution = Distribution::kSymmetricTruncNormal;
      numbers.symmetric_trunc_normal = special;
    } else {
      made.law.distribution = Distribution::kTruncNormal;
      numbers.trunc_normal = general;
    }
    return;
  }
  const double direction = a >= mean ? 1 : -1;
  const double near_bound = direction > 0 ? a : b;
  // Far beyond this everything is at the bound to the last bit; the squares stay finite.
  const double alpha = std::min(std::fabs(near_bound - mean) / std, 1e150);
  const double length = std::min((b - a) / std, 1e150);
  const auto table = tail_table<Real>(alpha);
  made.law.distribution = Distribution::kTailNormal;
  made.table = table;
  numbers.tail_normal = one_sided<Real>(near_bound, direction, std, alpha, length);
  numbers.tail_normal.quantile = table->entries;
  bound<Real>(bounds, numbers.tail_normal);
}

}  // namespace

OwnedLaw trunc_normal_law(DType dtype, double mean, double std, double a, double b) {
  const Bounds bounds =
      check_bounds(dtype, {smallest_at_least(dtype, a), largest_at_most(dtype, b)}, a, b, "]");
  const double up =
      scale_for(dtype, std, std::max({std::fabs(mean), bounds.highest, -bounds.lowest}));
  const Bounds scaled{bounds.lowest * up, bounds.highest * up};
  OwnedLaw made{};
  made.law.rescaling = static_cast<float>(1 / up);
  if (dtype == DType::kFloat64)
    fill_in_trunc_normal(mean, std, a, b, bounds, double_table(), made, made.law.double_numbers);
  else
    fill_in_trunc_normal(mean * up, std * up, a * up, b * up, scaled, float_table(), made,
                         made.law.numbers);
  return made;
}

namespace {

// In units of std, further than any value is from the mean: that of no word is beyond 6.24.
constexpr double kLargestQuantile = 6.4;

// Comparisons are false of NaN.
bool is_plain_uniform(DType dtype, const double* p) {
  const double low = p[0], high = p[1], largest = largest_value(dtype);
  return -largest <= low && low < high && high <= largest;
}

bool is_plain_normal(DType dtype, const double* p) {
  const double mean = p[0], std = p[1];
  return std >= 0 && std::fabs(mean) + kLargestQuantile * std <= largest_value(dtype);
}

bool is_plain_trunc_normal(DType dtype, const double* p) {
  const double mean = p[0], std = p[1], largest = largest_value(dtype);
  return std::fabs(mean) <= largest && 0 < std && std <= largest && is_plain_uniform(dtype, p + 2);
}

}  // namespace

const std::vector<NamedLaw>& named_laws() {
  const static std::vector<NamedLaw> laws = {
      {"uniform", 2, [](DType dtype, const double* p) { return uniform_law(dtype, p[0], p[1]); },
       &is_plain_uniform},
      {"normal", 2, [](DType dtype, const double* p) { return normal_law(dtype, p[0], p[1]); },
       &is_plain_normal},
      {"trunc_normal", 4,
       [](DType dtype, const double* p) { return trunc_normal_law(dtype, p[0], p[1], p[2], p[3]); },
       &is_plain_trunc_normal},
  };
  return laws;
}

}  // namespace winit_cuda
