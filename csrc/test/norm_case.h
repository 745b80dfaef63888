// What the checks of normalised activations share: a case, the products of its convolution, and what readers make of a raw tensor.
#pragma once
#include <cmath>

#include "../ops/conv3x3/ref.h"
#include "../ops/dwconv/ref.h"
#include "../train/ref.h"
#include "problem.h"

namespace segnas::check {

enum ConvKind { kNorm, kPointwise, kDepthwise, kDense };

struct NormCase {
  ConvKind kind;
  int64_t n, h, w, cin, cout, k;
  int32_t stride, x_norm, relu, accumulate;

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
    std::snprintf(line, sizeof line, "%s %dx%dx%dx%d->%d k%d s%d x_norm %d relu %d accumulate %d", kNames[kind], int(n), int(h), int(w), int(cin),
                  int(cout), int(k), stride, x_norm, relu, accumulate);
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

// What readers make of a raw tensor: its activation, or itself where there is no norm.
inline std::vector<ref::Known> read(const std::vector<double> &x, const std::vector<double> &norm, int64_t c, bool relu) {
  std::vector<ref::Known> a;
  for (size_t i = 0; i < x.size(); i++) {
    ref::Known plain{x[i], std::fabs(x[i])};
    a.push_back(norm.empty() ? plain : ref::norm_activation({norm.data(), c, relu}, int64_t(i) % c, x[i]));
  }
  return a;
}

// The gradient of y, given its activation's.
inline std::vector<ref::Known> differentiate(const std::vector<double> &y, const std::vector<double> &norm, int64_t c, bool relu, const std::vector<double> &da) {
  std::vector<ref::Known> dy;
  for (size_t i = 0; i < da.size(); i++) {
    ref::Known plain{da[i], std::fabs(da[i])};
    dy.push_back(norm.empty() ? plain : ref::norm_gradient({norm.data(), c, relu}, int64_t(i) % c, y[i], da[i]));
  }
  return dy;
}

// Moves raw values off the kink of ReLU, where float32 may see the other side.
inline void leave_kink(std::vector<double> &x, const std::vector<double> &norm, int64_t c) {
  if (norm.empty()) return;
  const ref::NormRows rows{norm.data(), c, true};
  for (size_t i = 0; i < x.size(); i++)
    for (int tries = 0; tries < 3 && std::fabs(ref::norm_value(rows, int64_t(i) % c, x[i])) < 1e-4; tries++) x[i] = float(x[i] + 0.01);
}

// Sums of g and g (x - mean), when dx is known like this.
inline std::vector<ref::Sum> gradient_sums(const std::vector<double> &x, const std::vector<double> &norm, int64_t c, bool relu, const std::vector<ref::Known> &da) {
  std::vector<ref::Sum> sums(size_t(2 * c));
  const ref::NormRows rows{norm.data(), c, relu};
  for (size_t i = 0; i < x.size(); i++) {
    const int64_t k = int64_t(i) % c;
    const double g = ref::norm_masked(rows, k, x[i], da[i].value), weight = g == 0 ? 0 : da[i].weight, centred = x[i] - rows.mean(k);
    sums[size_t(k)].add(g, weight);
    sums[size_t(c + k)].add(g * centred, weight * std::fabs(centred));
  }
  return sums;
}

}  // namespace segnas::check
