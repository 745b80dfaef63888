// What the checks of normalised activations share: a case, the products of its convolution, and what readers make of a raw tensor.
#pragma once
#include <cmath>
#include <cstdlib>

#include "../ops/conv3x3/ref.h"
#include "../ops/dwconv/ref.h"
#include "../ops/fakequant/ref.h"
#include "../train/ref.h"
#include "problem.h"

namespace segnas::check {

enum ConvKind { kNorm, kPointwise, kDepthwise, kDense };

struct NormCase {
  ConvKind kind;
  int64_t n, h, w, cin, cout, k;
  int32_t stride, x_norm, relu, accumulate;
  int32_t bits = 0;  // of quantised activations; negative: with a sign

  bool quantised() const { return bits != 0; }
  int64_t norm_rows() const { return quantised() ? 10 : 6; }
  int64_t sums_rows() const { return quantised() ? 3 : 2; }
  segnas_quantiser quantiser() const { return {sizeof(segnas_quantiser), std::abs(bits), bits < 0, SEGNAS_CLIP_PACT, 1}; }

  int64_t pictures() const { return n ? n : 1; }
  int64_t ho() const { return ref::strided_size(h, stride); }
  int64_t wo() const { return ref::strided_size(w, stride); }
  int64_t x_pixels() const { return pictures() * h * w; }
  int64_t y_pixels() const { return pictures() * ho() * wo(); }
  bool y_norm() const { return n > 0; }
  // Backwards: is the input's gradient wanted.
  bool dx() const { return kind != kDense && (x_norm || !accumulate); }
  std::vector<int64_t> x() const { return view(h, w, cin); }
  std::vector<int64_t> y() const { return view(ho(), wo(), cout); }
  std::vector<int64_t> weights() const {
    if (kind == kDepthwise) return {k * k, cin};
    return {k * k * cin, cout};
  }
  std::string text() const {
    static const char *const kNames[] = {"norm", "pointwise", "depthwise", "dense"};
    char line[160];
    std::snprintf(line, sizeof line, "%s %dx%dx%dx%d->%d k%d s%d x_norm %d relu %d accumulate %d bits %d", kNames[kind], int(n), int(h), int(w), int(cin),
                  int(cout), int(k), stride, x_norm, relu, accumulate, bits);
    return line;
  }

 private:
  std::vector<int64_t> view(int64_t rows, int64_t columns, int64_t channels) const {
    if (n == 0) return {rows * columns, channels};
    return {n, rows, columns, channels};
  }
};

// visit(x index, w index, y index) for every product of a convolution.
template <class Visit>
void products(const NormCase &c, Visit visit) {
  if (c.kind == kDepthwise) return ref::dwconv_products({c.n, c.h, c.w, c.cin, c.k, c.stride}, visit);
  if (c.kind == kDense) return ref::conv3x3_products({c.n, c.h, c.w, c.cin, c.cout, c.stride}, visit);
  for (int64_t p = 0; p < c.x_pixels(); p++)
    for (int64_t i = 0; i < c.cin; i++)
      for (int64_t o = 0; o < c.cout; o++) visit(p * c.cin + i, i * c.cout + o, p * c.cout + o);
}

// Roundings of a normalised value, and of a gradient that was taken through a norm, beyond its product's.
constexpr int64_t kActivationRoundings = 4, kGradientRoundings = 6;

inline ref::NormRows norm_rows(const std::vector<double> &norm, int64_t c, bool relu) { return {norm.data(), c, relu, int64_t(norm.size()) == 10 * c}; }

// What readers make of a raw tensor: its activation, or itself where there is no norm.
inline std::vector<ref::Known> read(const std::vector<double> &x, const std::vector<double> &norm, int64_t c, bool relu) {
  std::vector<ref::Known> a;
  for (size_t i = 0; i < x.size(); i++) {
    ref::Known plain{x[i], std::fabs(x[i])};
    a.push_back(norm.empty() ? plain : ref::norm_activation(norm_rows(norm, c, relu), int64_t(i) % c, x[i]));
  }
  return a;
}

// The gradient of y, given its activation's.
inline std::vector<ref::Known> differentiate(const std::vector<double> &y, const std::vector<double> &norm, int64_t c, bool relu, const std::vector<double> &da) {
  std::vector<ref::Known> dy;
  for (size_t i = 0; i < da.size(); i++) {
    ref::Known plain{da[i], std::fabs(da[i])};
    dy.push_back(norm.empty() ? plain : ref::norm_gradient(norm_rows(norm, c, relu), int64_t(i) % c, y[i], da[i]));
  }
  return dy;
}

// Whether float32 may see another side than double: of ReLU's kink, of a clip or of a tie between two levels.
inline bool undecided(const ref::NormRows &n, int64_t c, double x) {
  const double a = ref::norm_value(n, c, x);
  if (std::fabs(a) < 1e-4) return true;
  if (!n.quantised) return false;
  const double level = a * n.r(c);
  return std::fabs(a - n.low(c)) < 1e-4 || std::fabs(a - n.high(c)) < 1e-4 || std::fabs(level - std::floor(level) - 0.5) < 2e-3;
}

inline void leave_kink(std::vector<double> &x, const std::vector<double> &norm, int64_t c) {
  if (norm.empty()) return;
  for (size_t i = 0; i < x.size(); i++)
    for (int tries = 0; tries < 8 && undecided(norm_rows(norm, c, true), int64_t(i) % c, x[i]); tries++) x[i] = float(x[i] + 0.01);
}

// Fills the last rows of a norm that quantises, with clips that leave some of its activations outside.
inline void fit_range(const NormCase &c, std::vector<double> &norm) {
  if (norm.empty() || !c.quantised()) return;
  const size_t channels = norm.size() / 10;
  for (size_t i = 0; i < channels; i++) {
    const ref::QuantiserLevels<float> q(std::abs(c.bits), c.bits < 0, float(0.5 + std::fabs(norm[i])));
    norm[6 * channels + i] = q.low, norm[7 * channels + i] = q.high, norm[8 * channels + i] = q.r, norm[9 * channels + i] = q.s;
  }
}

// Sums of g and g (x - mean), when dx is known like this; those beyond the clip after them, where the norm quantises.
inline std::vector<ref::Sum> gradient_sums(const std::vector<double> &x, const std::vector<double> &norm, int64_t c, bool relu, const std::vector<ref::Known> &da) {
  const ref::NormRows rows = norm_rows(norm, c, relu);
  std::vector<ref::Sum> sums(size_t((rows.quantised ? 3 : 2) * c));
  for (size_t i = 0; i < x.size(); i++) {
    const int64_t k = int64_t(i) % c;
    const double g = ref::norm_masked(rows, k, x[i], da[i].value), weight = g == 0 ? 0 : da[i].weight, centred = x[i] - rows.mean(k);
    sums[size_t(k)].add(g, weight);
    sums[size_t(c + k)].add(g * centred, weight * std::fabs(centred));
    if (!rows.quantised) continue;
    const double beyond = ref::norm_beyond(rows, k, x[i], da[i].value);
    sums[size_t(2 * c + k)].add(beyond, beyond == 0 ? 0 : da[i].weight);
  }
  return sums;
}

}  // namespace segnas::check
