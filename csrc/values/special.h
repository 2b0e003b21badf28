// Functions of the normal distribution in float64 for the host's set-up of truncated fills.
//
// They are built from IEEE operations alone, not from the C library's exp and log, whose last bits
// differ between platforms: the numbers they give are part of the values of a stream.
#pragma once

namespace winit_cuda {

double exponential(double x);    // e^x
double logarithm(double x);      // ln x, x > 0 and normal
double normal_center(double x);  // Phi(x) - 1/2, odd, accurate near 0
double mills_ratio(double x);    // T(x) / phi(x) for x >= 0, T = 1 - Phi
double normal_tail(double x);    // T(x) for x >= 0

// For alpha >= 0 the tail beyond alpha, conditioned on being there: the probability that a normal
// variable above alpha is below alpha + y, accurate for small y; and its logarithmic complement
// ln(T(alpha + y) / T(alpha)).
double conditional_below(double alpha, double y);
double conditional_log_tail(double alpha, double y);

// The y with T(alpha + y) = rho T(alpha), 0 < rho < 1; below = 1 - rho, told apart because either
// may be tiny. `guess` starts the search.
double conditional_quantile(double alpha, double rho, double below, double guess);

}  // namespace winit_cuda
