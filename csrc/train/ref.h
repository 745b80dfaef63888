// Normalised activations in double, as segnas.h words them: what a reader makes of a raw tensor and its norm. The convolutions' own products
// come from their ref.h.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "../test/sum.h"

namespace segnas::ref {

// A value that float32 arithmetic knows to within some roundings of weight >= |value|.
struct Known {
  double value, weight;
};

// Rows of a norm [6][c], or [10][c] where the activation is quantised.
struct NormRows {
  const double *rows;
  int64_t c;
  bool relu, quantised;
  double mean(int64_t i) const { return rows[i]; }
  double scale(int64_t i) const { return rows[c + i]; }
  double beta(int64_t i) const { return rows[2 * c + i]; }
  double centre(int64_t i) const { return rows[4 * c + i]; }
  double slope(int64_t i) const { return rows[5 * c + i]; }
  double low(int64_t i) const { return rows[6 * c + i]; }
  double high(int64_t i) const { return rows[7 * c + i]; }
  double r(int64_t i) const { return rows[8 * c + i]; }
  double s(int64_t i) const { return rows[9 * c + i]; }
};

// Before ReLU.
inline double norm_value(const NormRows &n, int64_t i, double x) { return (x - n.mean(i)) * n.scale(i) + n.beta(i); }

// A level is known to a rounding, once it is the right one.
inline Known norm_activation(const NormRows &n, int64_t i, double x) {
  double a = norm_value(n, i, x);
  if (n.relu && a < 0) a = 0;
  if (!n.quantised) return {a, std::fabs((x - n.mean(i)) * n.scale(i)) + std::fabs(n.beta(i))};
  a = std::nearbyint((a < n.low(i) ? n.low(i) : a > n.high(i) ? n.high(i) : a) * n.r(i)) * n.s(i);
  return {a, std::fabs(a)};
}

inline double norm_masked(const NormRows &n, int64_t i, double x, double da) {
  const double a = norm_value(n, i, x);
  if (n.quantised && !(n.low(i) < a && a < n.high(i))) return 0;
  return !n.relu || a > 0 ? da : 0;
}

// What an element adds to its clip's gradient.
inline double norm_beyond(const NormRows &n, int64_t i, double x, double da) {
  const double a = norm_value(n, i, x);
  return a >= n.high(i) ? da : !n.relu && a <= n.low(i) && n.low(i) < 0 ? -da : 0;
}

inline Known norm_gradient(const NormRows &n, int64_t i, double x, double da) {
  double g = norm_masked(n, i, x, da), bent = (x - n.mean(i)) * n.slope(i);
  return {n.scale(i) * (g - n.centre(i) - bent), std::fabs(n.scale(i)) * (std::fabs(g) + std::fabs(n.centre(i)) + std::fabs(bent))};
}

// Mean and variance of y [pixels][c], as [2][c].
template <class T>
std::vector<T> norm_moments(const std::vector<T> &y, int64_t c) {
  std::vector<T> moments(2 * c);
  const int64_t pixels = static_cast<int64_t>(y.size()) / c;
  for (int64_t i = 0; i < c; i++) {
    T sum = 0, deviations = 0;
    for (int64_t p = 0; p < pixels; p++) sum += y[p * c + i];
    T mean = sum / T(pixels);
    for (int64_t p = 0; p < pixels; p++) deviations += (y[p * c + i] - mean) * (y[p * c + i] - mean);
    moments[i] = mean;
    moments[c + i] = deviations / T(pixels);
  }
  return moments;
}

}  // namespace segnas::ref
