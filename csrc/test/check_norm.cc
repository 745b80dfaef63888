// Normalised activations and the convolutions between them. Errors of a value that was normalised on the way refer to what it was made of, so the
// bounds are those of the convolutions with a few roundings more a term.
#include <algorithm>
#include <cmath>

#include "functions.h"
#include "norm_case.h"

namespace segnas::check {
namespace {

using Case = NormCase;

const Case kAll[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../train/cases.inc"
#undef SEGNAS_CASE
};

Argument pixels(const char *name, Role role, const std::vector<int64_t> &shape) {
  Argument a{name, Kind::kPixels, role, shape};
  a.special = Special::kNaN;
  return a;
}

Argument vector(const char *name, Role role, int64_t c, double low = -1, double high = 1) {
  Argument a{name, Kind::kVector, role, {c}};
  a.special = Special::kNone;
  a.low = low;
  a.high = high;
  return a;
}

// No entry near zero: ReLU's sign would hang on roundings.
Argument norm_argument(const char *name, const Case &c, int64_t channels, Role role = Role::kIn) {
  Argument a{name, Kind::kMatrix, role, {c.norm_rows(), channels}};
  a.element = [](Random &r) { return r.uniform(0.25, 1.25) * (r.one_in(2) ? 1 : -1); };
  return a;
}

Argument weight(const char *name, Role role, const Case &c) {
  Argument a{name, Kind::kMatrix, role, c.weights()};
  a.special = Special::kNaN;
  return a;
}

Argument totals(const char *name, Role role, int64_t rows, int64_t c) { return {name, Kind::kMatrix, role, {rows, c}, SEGNAS_F64}; }

// ---------------------------------------------------------------- the norm itself

constexpr float kEps = 1e-5f, kUpdate = 0.1f;
constexpr double kUlp = 0x1p-23;

// value within so many ulps of weight
struct Near {
  Expected expected;
  void add(double value, double weight, double ulps) {
    expected.value.push_back(value);
    expected.bound.push_back(ulps * kUlp * weight);
  }
};

// The norm to be made; the range of one that quantises is left alone.
Argument made_norm(const Case &c) { return norm_argument("norm", c, c.cin, c.quantised() ? Role::kInOut : Role::kOut); }

// The norm that mean and var make of an old one; rows centre and slope 0.
Expected expect_norm(const std::vector<double> &mean, const std::vector<double> &var, const std::vector<double> &gamma, const std::vector<double> &beta,
                     const std::vector<double> &old) {
  Near norm;
  auto inv_std = [&](size_t i) { return 1 / std::sqrt(var[i] + double(kEps)); };
  for (double v : mean) norm.add(v, 0, 0);
  for (size_t i = 0; i < gamma.size(); i++) norm.add(inv_std(i) * gamma[i], std::fabs(inv_std(i) * gamma[i]), 2);
  for (double v : beta) norm.add(v, 0, 0);
  for (size_t i = 0; i < gamma.size(); i++) norm.add(inv_std(i), inv_std(i), 1);
  for (size_t i = 0; i < 2 * gamma.size(); i++) norm.add(0, 0, 0);
  for (size_t i = 6 * gamma.size(); i < old.size(); i++) norm.add(old[i], 0, 0);
  return norm.expected;
}

Problem from_moments(const Case &c) {
  auto call = [c](int64_t count, float eps, float update, bool keep_mean, bool keep_var) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_norm_from_moments(s, t[0], count, t[1], t[2], eps, update, keep_mean ? t[3] : nullptr, keep_var ? t[4] : nullptr, t[5], err);
    };
  };
  const int64_t count = c.x_pixels();
  Argument moments = totals("moments", Role::kIn, 2, c.cin);
  moments.element = [](Random &r) { return r.uniform(0.01, 2); };
  Problem p{c.text(),
            {moments, vector("gamma", Role::kIn, c.cin), vector("beta", Role::kIn, c.cin), vector("running_mean", Role::kInOut, c.cin),
             vector("running_var", Role::kInOut, c.cin, 0.1, 2), made_norm(c)},
            call(count, kEps, kUpdate, true, true),
            [c, count](Data, const Values &v) {
              const size_t channels = size_t(c.cin);
              const std::vector<double> mean(v[0].begin(), v[0].begin() + c.cin), var(v[0].begin() + c.cin, v[0].end());
              Near means, vars;
              for (size_t i = 0; i < channels; i++) {
                const double unbiased = count > 1 ? var[i] * double(count) / double(count - 1) : var[i], update = kUpdate;
                means.add((1 - update) * v[3][i] + update * mean[i], std::fabs(v[3][i]) + std::fabs(mean[i]), 2);
                vars.add((1 - update) * v[4][i] + update * unbiased, v[4][i] + unbiased, 2);
              }
              return std::vector<Expected>{means.expected, vars.expected, expect_norm(mean, var, v[1], v[2], v[5])};
            }};
  p.refusals = {{"no pixels", call(0, kEps, kUpdate, true, true)},        {"eps -1", call(count, -1, kUpdate, true, true)},
                {"update 1.5", call(count, kEps, 1.5f, true, true)},      {"update -0.5", call(count, kEps, -0.5f, true, true)},
                {"running_var alone", call(count, kEps, kUpdate, false, true)}, {"running_mean alone", call(count, kEps, kUpdate, true, false)}};
  return p;
}

Problem from_statistics(const Case &c) {
  auto call = [](float eps) -> Call {
    return [eps](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_norm_from_statistics(s, t[0], t[1], t[2], t[3], eps, t[4], err);
    };
  };
  Problem p{c.text(),
            {vector("mean", Role::kIn, c.cin), vector("var", Role::kIn, c.cin, 0.1, 2), vector("gamma", Role::kIn, c.cin), vector("beta", Role::kIn, c.cin),
             made_norm(c)},
            call(kEps),
            [](Data, const Values &v) { return std::vector<Expected>{expect_norm(v[0], v[1], v[2], v[3], v[4])}; }};
  p.refusals = {{"eps -1", call(-1)}};
  return p;
}

Expected expect_known(const std::vector<ref::Known> &known, int64_t roundings) {
  std::vector<ref::Sum> sums(known.size());
  for (size_t i = 0; i < known.size(); i++) sums[i].add(known[i].value, known[i].weight);
  return expected_sums(sums, roundings);
}

// Of problems that begin with x and its norm.
std::function<void(Values &)> adjusted(const Case &c) {
  return [c](Values &v) {
    fit_range(c, v[1]);
    leave_kink(v[0], v[1], c.cin);
  };
}

std::vector<std::pair<std::string, Call>> relu_refusals(const std::function<Call(int32_t)> &call) { return {{"relu 2", call(2)}, {"relu -1", call(-1)}}; }

Problem norm_forward(const Case &c) {
  auto call = [](int32_t relu) -> Call {
    return [relu](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_norm_forward(s, t[0], t[1], relu, t[2], err); };
  };
  Argument y = pixels("y", Role::kOut, c.x());
  if (c.accumulate) y.alias = 0;
  Problem p{c.text(), {pixels("x", Role::kIn, c.x()), norm_argument("norm", c, c.cin), y}, call(c.relu), [c](Data, const Values &v) {
              return std::vector<Expected>{expect_known(read(v[0], v[1], c.cin, c.relu), kActivationRoundings)};
            }};
  p.refusals = relu_refusals(call);
  if (c.quantised()) p.adjust = adjusted(c);
  return p;
}

Problem norm_sums(const Case &c) {
  auto call = [](int32_t relu) -> Call {
    return [relu](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_norm_sums(s, t[0], t[1], relu, t[2], t[3], err); };
  };
  Problem p{c.text(),
            {pixels("x", Role::kIn, c.x()), norm_argument("norm", c, c.cin), pixels("da", Role::kIn, c.x()), totals("sums", Role::kOut, c.sums_rows(), c.cin)},
            call(c.relu),
            [c](Data, const Values &v) {
              return std::vector<Expected>{expected_sums(gradient_sums(v[0], v[1], c.cin, c.relu, differentiate({}, {}, c.cin, false, v[2])), 2)};
            }};
  p.refusals = relu_refusals(call);
  p.adjust = adjusted(c);
  return p;
}

Problem norm_backward(const Case &c) {
  auto call = [c](int64_t count, int32_t frozen, int32_t accumulate) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_norm_backward(s, t[0], count, frozen, accumulate, t[1], t[2], t[3], err);
    };
  };
  const int64_t count = c.x_pixels();
  const Role role = c.accumulate ? Role::kInOut : Role::kOut;
  Problem p{c.text(),
            {totals("sums", Role::kIn, c.sums_rows(), c.cin), norm_argument("norm", c, c.cin, Role::kInOut), vector("dgamma", role, c.cin),
             vector("dbeta", role, c.cin)},
            call(count, c.accumulate, c.accumulate),
            [c, count](Data, const Values &v) {
              const size_t channels = size_t(c.cin);
              Near norm, gamma, beta;
              for (size_t i = 0; i < 4 * channels; i++) norm.add(v[1][i], 0, 0);
              for (size_t i = 0; i < channels; i++) norm.add(c.accumulate ? 0 : v[0][i] / double(count), 0, 0);
              for (size_t i = 0; i < channels; i++) {
                const double inv_std = v[1][3 * channels + i], product = v[0][channels + i];
                const double old_gamma = c.accumulate ? v[2][i] : 0, old_beta = c.accumulate ? v[3][i] : 0;
                norm.add(c.accumulate ? 0 : product / double(count) * inv_std * inv_std, 0, 0);
                gamma.add(old_gamma + product * inv_std, std::fabs(old_gamma) + std::fabs(product * inv_std), 1);
                beta.add(old_beta + v[0][i], std::fabs(old_beta) + std::fabs(v[0][i]), 1);
              }
              for (size_t i = 6 * channels; i < v[1].size(); i++) norm.add(v[1][i], 0, 0);
              return std::vector<Expected>{norm.expected, gamma.expected, beta.expected};
            }};
  p.refusals = {{"no pixels", call(0, 0, 0)}, {"frozen 2", call(count, 2, 0)}, {"accumulate 2", call(count, 0, 2)}};
  return p;
}

Problem norm_gradient(const Case &c) {
  auto call = [](int32_t relu) -> Call {
    return [relu](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_norm_gradient(s, t[0], t[1], relu, t[2], t[3], err); };
  };
  Argument dx = pixels("dx", Role::kOut, c.x());
  if (c.accumulate) dx.alias = 2;
  Problem p{c.text(),
            {pixels("x", Role::kIn, c.x()), norm_argument("norm", c, c.cin), pixels("da", Role::kIn, c.x()), dx},
            call(c.relu),
            [c](Data, const Values &v) {
              return std::vector<Expected>{expect_known(differentiate(v[0], v[1], c.cin, c.relu, v[2]), kGradientRoundings)};
            }};
  p.refusals = relu_refusals(call);
  p.adjust = adjusted(c);
  return p;
}

// ---------------------------------------------------------------- forward

// Arguments: x, x_norm, w, bias, y, moments. Depthwise and dense have no bias, dense no x_norm.
Call forward_call(const Case &c, int32_t relu, int32_t stride) {
  return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
    if (c.kind == kPointwise) return segnas_pwconv_norm_forward(s, t[0], t[1], relu, t[2], t[3], t[4], t[5], err);
    if (c.kind == kDepthwise) return segnas_dwconv_norm_forward(s, t[0], t[1], relu, t[2], stride, t[4], t[5], err);
    return segnas_conv3x3_norm_forward(s, t[0], t[2], stride, t[4], t[5], err);
  };
}

// The moments in plain float32, over the pixels in natural order and backwards, are the yardstick.
Expected expect_moments(const Case &c, const std::vector<ref::Known> &a, const std::vector<double> &w, const std::vector<double> &bias,
                        const std::vector<double> &exact_y) {
  std::vector<float> y(exact_y.size()), backwards;
  for (size_t i = 0; i < y.size() && !bias.empty(); i++) y[i] = float(bias[i % bias.size()]);
  products(c, [&](int64_t ix, int64_t iw, int64_t iy) { y[size_t(iy)] += float(a[size_t(ix)].value) * float(w[size_t(iw)]); });
  for (int64_t p = c.y_pixels() - 1; p >= 0; p--) backwards.insert(backwards.end(), y.begin() + p * c.cout, y.begin() + (p + 1) * c.cout);
  const std::vector<double> exact = ref::norm_moments(exact_y, c.cout);
  const std::vector<float> one = ref::norm_moments(y, c.cout), two = ref::norm_moments(backwards, c.cout);
  Expected moments;
  for (int64_t row = 0; row < 2; row++) {
    auto part = [&](const auto &v) { return std::decay_t<decltype(v)>(v.begin() + row * c.cout, v.begin() + (row + 1) * c.cout); };
    const Expected e = expected_within_eightfold({part(one), part(two)}, part(exact));
    moments.value.insert(moments.value.end(), e.value.begin(), e.value.end());
    moments.bound.insert(moments.bound.end(), e.bound.begin(), e.bound.end());
  }
  return moments;
}

std::vector<Expected> expect_forward(const Case &c, const Values &v) {
  const std::vector<ref::Known> a = read(v[0], v[1], c.cin, c.relu);
  std::vector<ref::Sum> y(size_t(c.y_pixels() * c.cout));
  for (size_t i = 0; i < y.size() && !v[3].empty(); i++) y[i].add(v[3][i % size_t(c.cout)]);
  products(c, [&](int64_t ix, int64_t iw, int64_t iy) {
    const ref::Known &from = a[size_t(ix)];
    y[size_t(iy)].add(from.value * v[2][size_t(iw)], from.weight * std::fabs(v[2][size_t(iw)]));
  });
  std::vector<Expected> expected{expected_sums(y, c.x_norm ? kActivationRoundings : 0)};
  if (!c.accumulate) expected.push_back(expect_moments(c, a, v[2], v[3], values_of(y)));
  return expected;
}

Problem forward(const Case &c) {
  Argument x_norm = norm_argument("x_norm", c, c.cin), bias = vector("bias", Role::kIn, c.cout), moments = totals("moments", Role::kOut, 2, c.cout);
  x_norm.optional = bias.optional = moments.optional = true;
  x_norm.null = !c.x_norm || c.kind == kDense;
  bias.null = c.kind != kPointwise || c.accumulate;
  moments.null = c.accumulate;
  Problem p{c.text(),
            {pixels("x", Role::kIn, c.x()), x_norm, weight("w", Role::kIn, c), bias, pixels("y", Role::kOut, c.y()), moments},
            forward_call(c, c.relu, c.stride),
            [c](Data, const Values &v) { return expect_forward(c, v); }};
  if (c.quantised()) p.adjust = adjusted(c);
  if (c.kind != kDense) p.refusals.push_back({"relu 2", forward_call(c, 2, c.stride)});
  if (c.kind != kPointwise)
    for (int32_t stride : {0, 3, -1}) p.refusals.push_back({"stride " + std::to_string(stride), forward_call(c, c.relu, stride)});
  return p;
}

// ---------------------------------------------------------------- backward

// Arguments: x, x_norm, w, y, y_norm, da, dw, dx, sums. Dense has neither x_norm nor w, dx and sums.
Call backward_call(const Case &c, int32_t relu, int32_t stride, int32_t accumulate) {
  return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
    if (c.kind == kPointwise) return segnas_pwconv_norm_backward(s, t[0], t[1], relu, t[2], t[3], t[4], relu, t[5], accumulate, t[6], t[7], t[8], err);
    if (c.kind == kDepthwise)
      return segnas_dwconv_norm_backward(s, t[0], t[1], relu, t[2], stride, t[3], t[4], relu, t[5], accumulate, t[6], t[7], t[8], err);
    return segnas_conv3x3_norm_backward_weight(s, t[0], stride, t[3], t[4], relu, t[5], accumulate, t[6], err);
  };
}

std::vector<Expected> expect_backward(const Case &c, const Values &v) {
  const std::vector<ref::Known> a = read(v[0], v[1], c.cin, c.relu), dy = differentiate(v[3], v[4], c.cout, c.relu, v[5]);
  std::vector<ref::Sum> dw = sums_onto(v[6], elements(c.weights()), c.accumulate), dx(size_t(c.x_pixels() * c.cin));
  products(c, [&](int64_t ix, int64_t iw, int64_t iy) {
    const ref::Known &from = a[size_t(ix)], &g = dy[size_t(iy)];
    dw[size_t(iw)].add(from.value * g.value, from.weight * g.weight);
    if (c.dx()) dx[size_t(ix)].add(g.value * v[2][size_t(iw)], g.weight * std::fabs(v[2][size_t(iw)]));
  });
  std::vector<Expected> expected{expected_sums(dw, kActivationRoundings + kGradientRoundings)};
  if (!c.dx()) return expected;
  expected.push_back(expected_sums(dx, kGradientRoundings));
  if (!c.x_norm) return expected;
  std::vector<ref::Known> known;
  int64_t deepest = 0;
  for (const ref::Sum &sum : dx) {
    known.push_back({sum.value, sum.magnitude});
    deepest = std::max(deepest, summation_depth(sum.terms));
  }
  expected.push_back(expected_sums(gradient_sums(v[0], v[1], c.cin, c.relu, known), deepest + kGradientRoundings + 2));
  return expected;
}

Problem backward(const Case &c) {
  const bool dense = c.kind == kDense;
  Argument x_norm = norm_argument("x_norm", c, c.cin), w = weight("w", Role::kIn, c), y = pixels("y", Role::kIn, c.y()),
           y_norm = norm_argument("y_norm", c, c.cout), dw = weight("dw", c.accumulate ? Role::kInOut : Role::kOut, c),
           dx = pixels("dx", Role::kOut, c.x()), sums = totals("sums", Role::kOut, c.sums_rows(), c.cin);
  x_norm.null = !c.x_norm || dense;
  w.null = dense;
  y.null = y_norm.null = !c.y_norm();
  dx.null = !c.dx();
  sums.null = !c.dx() || !c.x_norm;
  sums.optional = true;
  Problem p{c.text(),
            {pixels("x", Role::kIn, c.x()), x_norm, w, y, y_norm, pixels("da", Role::kIn, c.y()), dw, dx, sums},
            backward_call(c, c.relu, c.stride, c.accumulate),
            [c](Data, const Values &v) { return expect_backward(c, v); }};
  p.adjust = [c](Values &v) {
    adjusted(c)(v);
    fit_range(c, v[4]);
    leave_kink(v[3], v[4], c.cout);
  };
  p.refusals = {{"relu 2", backward_call(c, 2, c.stride, c.accumulate)}, {"accumulate 2", backward_call(c, c.relu, c.stride, 2)}};
  if (c.kind != kPointwise)
    for (int32_t stride : {0, 3, -1}) p.refusals.push_back({"stride " + std::to_string(stride), backward_call(c, c.relu, stride, c.accumulate)});
  return p;
}

// ---------------------------------------------------------------- tables

int32_t coin(Random &r) { return int32_t(r.integer(0, 1)); }
int32_t some_bits(Random &r) { return r.one_in(2) ? 0 : int32_t(r.integer(2, 8)) * (r.one_in(2) ? 1 : -1); }

Case draw_norm(Random &r) { return {kNorm, r.integer(0, 2), r.integer(1, 20), r.integer(1, 40), r.integer(1, 90), 1, 1, 1, 1, coin(r), coin(r), some_bits(r)}; }
Case draw_pointwise(Random &r) {
  return {kPointwise, r.integer(0, 2), r.integer(1, 12), r.integer(1, 24), r.integer(1, 150), r.integer(1, 150), 1, 1, coin(r), coin(r), coin(r), some_bits(r)};
}
Case draw_depthwise(Random &r) {
  const int64_t channels = r.one_in(8) ? r.integer(400, 700) : r.integer(1, 70), small = channels > 70 ? 3 : 1;
  return {kDepthwise,           r.integer(1, 2), r.integer(1, 24 / small), r.integer(1, 60 / small), channels, channels,
          2 * r.integer(1, 3) + 1, int32_t(r.integer(1, 2)), coin(r), coin(r), coin(r), some_bits(r)};
}
Case draw_dense(Random &r) {
  return {kDense,  r.integer(1, 3), r.integer(1, 20), r.integer(1, 40), r.integer(1, 16), r.integer(1, 40), 3,
          int32_t(r.integer(1, 2)), 0, coin(r), coin(r), some_bits(r)};
}

void add_kind(std::vector<Function> &functions, ConvKind kind, Case (*draw)(Random &), std::initializer_list<NamedProblem<Case>> problems) {
  std::vector<Case> cases;
  for (const Case &c : kAll)
    if (c.kind == kind) cases.push_back(c);
  for (const auto &[name, problem] : problems) {
    Function function;
    function.op = "norm";
    function.name = name;
    function.cases = static_cast<int64_t>(cases.size());
    function.problem = [cases, problem = problem](int64_t row) { return problem(cases[size_t(row)]); };
    function.draw = [draw, problem = problem](Random &random) { return problem(draw(random)); };
    functions.push_back(std::move(function));
  }
}

// ---------------------------------------------------------------- proof

// loss = sum of r A(conv(x)) with batch norm by the batch's own statistics; its gradients by the stated formulas. Of what quantises, they are those of the
// clipped activation.
struct Proof {
  Case c;
  std::vector<double> x, w, gamma, beta, r;
  std::vector<double> clip = {0.5};

  std::vector<double> convolve(const std::vector<double> &x_at, const std::vector<double> &w_at) const {
    std::vector<double> y(r.size());
    products(c, [&](int64_t ix, int64_t iw, int64_t iy) { y[size_t(iy)] += x_at[size_t(ix)] * w_at[size_t(iw)]; });
    return y;
  }
  std::vector<double> norm(const std::vector<double> &y, const std::vector<double> &gamma_at, const std::vector<double> &beta_at) const {
    const size_t channels = size_t(c.cout);
    std::vector<double> moments = ref::norm_moments(y, c.cout), rows(6 * channels);
    for (size_t i = 0; i < channels; i++) {
      const double inv_std = 1 / std::sqrt(moments[channels + i] + double(kEps));
      rows[i] = moments[i], rows[channels + i] = inv_std * gamma_at[i], rows[2 * channels + i] = beta_at[i], rows[3 * channels + i] = inv_std;
    }
    const ref::QuantiserLevels<double> q(std::abs(c.bits), c.bits < 0, clip[0]);
    for (double row : {q.low, q.high, q.r, q.s})
      if (c.quantised()) rows.insert(rows.end(), channels, row);
    return rows;
  }
  double loss(const std::vector<double> &x_at, const std::vector<double> &w_at, const std::vector<double> &gamma_at, const std::vector<double> &beta_at) const {
    const std::vector<double> y = convolve(x_at, w_at), rows = norm(y, gamma_at, beta_at);
    const ref::NormRows n = norm_rows(rows, c.cout, c.relu);
    double sum = 0;
    for (size_t i = 0; i < y.size(); i++) {
      const int64_t k = int64_t(i) % c.cout;
      double a = ref::norm_value(n, k, y[i]);
      if (c.relu) a = std::max(a, 0.0);
      if (c.quantised()) a = std::clamp(a, n.low(k), n.high(k));
      sum += r[i] * a;
    }
    return sum;
  }
  double loss_of_clip(const std::vector<double> &clip_at) const {
    Proof p = *this;
    p.clip = clip_at;
    return p.loss(x, w, gamma, beta);
  }
};

void prove_kind(GradientProof &proof, const Case &c, const std::string &name) {
  Proof p{c, proof.draw(c.x_pixels() * c.cin), proof.draw(elements(c.weights())), proof.draw(c.cout, 0.5, 1), proof.draw(c.cout), {}};
  p.r = proof.draw(c.y_pixels() * c.cout);
  const std::vector<double> y = p.convolve(p.x, p.w);
  std::vector<double> rows = p.norm(y, p.gamma, p.beta), dgamma, dbeta, dx(p.x.size()), dw(p.w.size());
  const std::vector<double> sums = values_of(gradient_sums(y, rows, c.cout, c.relu, differentiate({}, {}, c.cout, false, p.r)));
  const size_t channels = size_t(c.cout);
  for (size_t i = 0; i < channels; i++) {
    const double inv_std = rows[3 * channels + i], count = double(c.y_pixels());
    dbeta.push_back(sums[i]);
    dgamma.push_back(sums[channels + i] * inv_std);
    rows[4 * channels + i] = sums[i] / count, rows[5 * channels + i] = sums[channels + i] / count * inv_std * inv_std;
  }
  const std::vector<ref::Known> dy = differentiate(y, rows, c.cout, c.relu, p.r);
  products(c, [&](int64_t ix, int64_t iw, int64_t iy) {
    dx[size_t(ix)] += dy[size_t(iy)].value * p.w[size_t(iw)];
    dw[size_t(iw)] += dy[size_t(iy)].value * p.x[size_t(ix)];
  });
  proof.check(name + " dx", [&](const std::vector<double> &at) { return p.loss(at, p.w, p.gamma, p.beta); }, p.x, dx, 1e-5);
  proof.check(name + " dw", [&](const std::vector<double> &at) { return p.loss(p.x, at, p.gamma, p.beta); }, p.w, dw, 1e-5);
  proof.check(name + " dgamma", [&](const std::vector<double> &at) { return p.loss(p.x, p.w, at, p.beta); }, p.gamma, dgamma, 1e-5);
  proof.check(name + " dbeta", [&](const std::vector<double> &at) { return p.loss(p.x, p.w, p.gamma, at); }, p.beta, dbeta, 1e-5);
  if (!c.quantised()) return;
  double dclip = 0;
  for (size_t i = 2 * channels; i < sums.size(); i++) dclip += sums[i];
  proof.check(name + " dclip", [&](const std::vector<double> &at) { return p.loss_of_clip(at); }, p.clip, {dclip}, 1e-5);
}
}  // namespace

void add_norm(std::vector<Function> &functions) {
  add_kind(functions, kNorm, draw_norm,
           {{"norm_from_moments", from_moments}, {"norm_from_statistics", from_statistics}, {"norm_forward", norm_forward}, {"norm_sums", norm_sums},
            {"norm_backward", norm_backward}, {"norm_gradient", norm_gradient}});
  add_kind(functions, kPointwise, draw_pointwise, {{"pwconv_norm_forward", forward}, {"pwconv_norm_backward", backward}});
  add_kind(functions, kDepthwise, draw_depthwise, {{"dwconv_norm_forward", forward}, {"dwconv_norm_backward", backward}});
  add_kind(functions, kDense, draw_dense, {{"conv3x3_norm_forward", forward}, {"conv3x3_norm_backward_weight", backward}});
}

void prove_norm(GradientProof &proof) {
  for (int32_t relu : {0, 1})
    for (int32_t bits : {0, 4, -4}) {
      prove_kind(proof, {kPointwise, 1, 2, 3, 3, 4, 1, 1, 0, relu, 0, bits}, "pwconv_norm_backward");
      prove_kind(proof, {kDepthwise, 2, 4, 5, 2, 2, 3, 2, 0, relu, 0, bits}, "dwconv_norm_backward");
      prove_kind(proof, {kDense, 1, 4, 3, 2, 3, 3, 1, 0, relu, 0, bits}, "conv3x3_norm_backward_weight");
    }
}

}  // namespace segnas::check
