#include "values/special.h"

#include <cmath>

namespace winit_cuda {
namespace {

constexpr double kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kLn2 = 0x1.62e42fefa39efp-1;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;

// Gauss-Legendre, 10 points on [-1, 1]: exact to rounding for the smooth integrand below.
constexpr double kLegendreNodes[5] = {0.14887433898163121088, 0.43339539412924719080,
                                      0.67940956829902440623, 0.86506336668898451073,
                                      0.97390652851717172008};
constexpr double kLegendreWeights[5] = {0.29552422471475287017, 0.26926671930999635509,
                                        0.21908636251598204400, 0.14945134915058059315,
                                        0.06667134430868813759};

double density(double x) { return kInverseSqrtTwoPi * exponential(-0.5 * x * x); }

// Phi(x) - 1/2 = phi(x) (x + x^3 / 3 + x^5 / (3 5) + ...): every term has the sign of x.
double center_series(double x) {
  const double square = x * x;
  double term = x, sum = x;
  for (int k = 3; std::fabs(term) > 1e-18 * std::fabs(sum); k += 2) {
    term *= square / k;
    sum += term;
  }
  return density(x) * sum;
}

}  // namespace

double exponential(double x) {
  if (x < -745.0) return 0.0;
  const double n = std::floor(x / kLn2 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0;
  for (int k = 14; k >= 1; --k) sum = 1.0 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

double logarithm(double x) {
  int exponent;
  double fraction = std::frexp(x, &exponent);
  if (fraction < 0.70710678118654752440) {
    fraction *= 2;
    --exponent;
  }
  const double s = (fraction - 1) / (fraction + 1), square = s * s;
  double sum = 0.0;
  for (int k = 25; k >= 3; k -= 2) sum = (sum + 1.0 / k) * square;
  return exponent * kLn2High + (2 * (s + s * sum) + exponent * kLn2Low);
}

double normal_center(double x) {
  if (std::fabs(x) < 3) return center_series(x);
  const double center = 0.5 - normal_tail(std::fabs(x));
  return x < 0 ? -center : center;
}

double mills_ratio(double x) {
  if (x < 1.5) return (0.5 - center_series(x)) / density(x);
  // Laplace's continued fraction 1 / (x + 1 / (x + 2 / (x + ...))). So many terms leave 1e-16.
  double tail = x;
  for (int k = 20 + static_cast<int>(400 / (x * x)); k >= 1; --k) tail = x + k / tail;
  return 1 / tail;
}

double normal_tail(double x) {
  if (x < 1.5) return 0.5 - center_series(x);
  return mills_ratio(x) * density(x);
}

double conditional_log_tail(double alpha, double y) {
  return -(alpha * y + 0.5 * y * y) + logarithm(mills_ratio(alpha + y) / mills_ratio(alpha));
}

double conditional_below(double alpha, double y) {
  if (alpha * y + 0.5 * y * y > 1) return 1 - exponential(conditional_log_tail(alpha, y));
  // phi(alpha + s) / T(alpha) integrated over s in [0, y].
  double sum = 0;
  for (int i = 0; i < 5; ++i)
    for (int side = -1; side <= 1; side += 2) {
      const double s = 0.5 * y * (1 + side * kLegendreNodes[i]);
      sum += kLegendreWeights[i] * exponential(-(alpha * s + 0.5 * s * s));
    }
  return 0.5 * y * sum / mills_ratio(alpha);
}

double conditional_quantile(double alpha, double rho, double below, double guess) {
  double y = guess;
  const double log_rho = below > 0.5 ? logarithm(rho) : 0;
  // Both functions are concave, so Newton's steps do not overshoot twice; four or five are the
  // rule.
  for (int iteration = 0; iteration < 40; ++iteration) {
    double step;
    if (below > 0.5) {
      step = (conditional_log_tail(alpha, y) - log_rho) * mills_ratio(alpha + y);
    } else {
      step = (below - conditional_below(alpha, y)) * mills_ratio(alpha) /
             exponential(-(alpha * y + 0.5 * y * y));
    }
    y += step;
    if (y < 0) y = 0;
    if (std::fabs(step) <= 4e-16 * y) break;
  }
  return y;
}

}  // namespace winit_cuda
