#include <cmath>

#include "../ops/batchnorm/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {
constexpr float kEps = 1e-5f, kUpdate = 0.1f;
// Closer to zero than this, float32 may see the other side of ReLU than double.
constexpr double kUndecided = 1e-3;

struct Case {
  int64_t n, h, w, c;
  int32_t relu, in_place, running, frozen, accumulate;
  double mean;
  ref::BatchnormShape shape() const { return {(n ? n : 1) * h * w, c}; }
  std::vector<int64_t> activation() const {
    if (n == 0) return {h * w, c};
    return {n, h, w, c};
  }
  std::string text() const {
    char line[160];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d relu %d in place %d running %d frozen %d accumulate %d mean %g", int(n), int(h), int(w), int(c),
                  relu, in_place, running, frozen, accumulate, mean);
    return line;
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/batchnorm/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  static const double kMeans[] = {0, 0, 1, -20, 1000};
  auto coin = [&r] { return int32_t(r.integer(0, 1)); };
  return {r.integer(0, 3), r.integer(1, 20), r.integer(1, 40), r.integer(1, 60), coin(), coin(), coin(), coin(), coin(), r.pick(kMeans)};
}

Argument pixels(const char *name, Role role, const Case &c) {
  Argument a{name, Kind::kPixels, role, c.activation()};
  a.special = Special::kNaN;
  return a;
}

Argument channels(const char *name, Role role, const Case &c, double low = -1, double high = 1) {
  Argument a{name, Kind::kVector, role, {c.c}};
  a.special = Special::kNaN;
  a.low = low;
  a.high = high;
  return a;
}

Argument input(const Case &c) {
  Argument x = pixels("x", Role::kIn, c);
  if (c.mean != 0) x.element = [mean = c.mean](Random &r) { return r.uniform(mean - 1, mean + 1); };
  return x;
}

Argument result(const char *name, const Case &c, int alias) {
  Argument y = pixels(name, Role::kOut, c);
  if (c.in_place) y.alias = alias;
  return y;
}

std::vector<float> single(const std::vector<double> &v) { return {v.begin(), v.end()}; }

// The float32 references add their pixels in this many orders: forwards, backwards, from the middle, and every other one.
constexpr int kOrders = 4;

int64_t pixel_at(int order, int64_t p, int64_t pixels) {
  const int64_t half = (pixels + 1) / 2;
  switch (order) {
    case 1: return pixels - 1 - p;
    case 2: return (p + pixels / 3) % pixels;
    case 3: return p < half ? 2 * p : 2 * (p - half) + 1;
    default: return p;
  }
}

std::vector<float> in_order(int order, const Case &c, const std::vector<double> &v) {
  std::vector<float> r(v.size());
  for (size_t i = 0; i < v.size(); i++) r[i] = float(v[size_t(pixel_at(order, int64_t(i) / c.c, c.shape().pixels) * c.c) + i % size_t(c.c)]);
  return r;
}

// Puts the pixels of an output of in_order's inputs back.
std::vector<float> back_in_place(int order, const Case &c, const std::vector<float> &v) {
  std::vector<float> r(v.size());
  for (size_t i = 0; i < v.size(); i++) r[size_t(pixel_at(order, int64_t(i) / c.c, c.shape().pixels) * c.c) + i % size_t(c.c)] = v[i];
  return r;
}

std::vector<Expected> expect_forward(const Case &c, const Values &v) {
  auto exact = ref::batchnorm_forward<double>(c.shape(), v[0], v[1], v[2], kEps, kUpdate, c.relu, v[3], v[4]);
  std::vector<std::vector<float>> running_mean, running_var, mean, inv_std, y;
  for (int order = 0; order < kOrders; order++) {
    auto plain = ref::batchnorm_forward<float>(c.shape(), in_order(order, c, v[0]), single(v[1]), single(v[2]), kEps, kUpdate, c.relu, single(v[3]),
                                               single(v[4]));
    running_mean.push_back(plain.running_mean);
    running_var.push_back(plain.running_var);
    mean.push_back(plain.mean);
    inv_std.push_back(plain.inv_std);
    y.push_back(back_in_place(order, c, plain.y));
  }
  std::vector<Expected> expected;
  if (c.running) expected.push_back(expected_within_eightfold(running_mean, exact.running_mean));
  if (c.running) expected.push_back(expected_within_eightfold(running_var, exact.running_var));
  expected.push_back(expected_within_eightfold(mean, exact.mean));
  expected.push_back(expected_within_eightfold(inv_std, exact.inv_std));
  expected.push_back(expected_within_eightfold(y, exact.y));
  return expected;
}

std::vector<Expected> expect_backward(const Case &c, const Values &v) {
  std::vector<double> zeros(size_t(c.c)), old_gamma = c.accumulate ? v[6] : zeros, old_beta = c.accumulate ? v[7] : zeros;
  auto exact = ref::batchnorm_backward<double>(c.shape(), v[0], v[1], v[2], v[3], v[4], v[5], c.relu, c.frozen, old_gamma, old_beta);
  std::vector<std::vector<float>> dgamma, dbeta, dx;
  for (int order = 0; order < kOrders; order++) {
    auto plain =
        ref::batchnorm_backward<float>(c.shape(), in_order(order, c, v[0]), in_order(order, c, v[1]), single(v[2]), single(v[3]), single(v[4]),
                                       single(v[5]), c.relu, c.frozen, single(old_gamma), single(old_beta));
    dgamma.push_back(plain.dgamma);
    dbeta.push_back(plain.dbeta);
    dx.push_back(back_in_place(order, c, plain.dx));
  }
  return {expected_within_eightfold(dgamma, exact.dgamma), expected_within_eightfold(dbeta, exact.dbeta), expected_within_eightfold(dx, exact.dx)};
}

Problem forward(const Case &c) {
  Argument running_mean = channels("running_mean", Role::kInOut, c), running_var = channels("running_var", Role::kInOut, c, 0.1, 2);
  running_mean.null = running_var.null = !c.running;
  auto call = [c](float update, bool keep_mean, bool keep_var) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_batchnorm_forward(s, t[0], t[1], t[2], kEps, update, c.relu, keep_mean ? t[3] : nullptr, keep_var ? t[4] : nullptr, t[5], t[6],
                                      t[7], err);
    };
  };
  Problem p{c.text(),
            {input(c), channels("gamma", Role::kIn, c), channels("beta", Role::kIn, c), running_mean, running_var, channels("mean", Role::kOut, c),
             channels("inv_std", Role::kOut, c), result("y", c, 0)},
            call(kUpdate, true, true),
            [c](Data, const Values &v) { return expect_forward(c, v); }};
  p.refusals = {{"update 1.5", call(1.5f, true, true)},
                {"update -0.5", call(-0.5f, true, true)},
                {"running_var alone", call(kUpdate, false, true)},
                {"running_mean alone", call(kUpdate, true, false)}};
  return p;
}

Problem inference(const Case &c) {
  return {c.text(),
          {input(c), channels("gamma", Role::kIn, c), channels("beta", Role::kIn, c), channels("mean", Role::kIn, c),
           channels("var", Role::kIn, c, 0.1, 2), result("y", c, 0)},
          [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
            return segnas_batchnorm_inference(s, t[0], t[1], t[2], t[3], t[4], kEps, c.relu, t[5], err);
          },
          [c](Data, const Values &v) {
            auto exact = ref::batchnorm_inference<double>(c.shape(), v[0], v[1], v[2], v[3], v[4], kEps, c.relu);
            auto plain =
                ref::batchnorm_inference<float>(c.shape(), single(v[0]), single(v[1]), single(v[2]), single(v[3]), single(v[4]), kEps, c.relu);
            return std::vector<Expected>{expected_within_eightfold({plain}, exact)};
          }};
}

// Pixels on which float32 and double may mask differently get no gradient.
void silence_undecided(const Case &c, Values &v) {
  const std::vector<double> &x = v[0], &gamma = v[2], &beta = v[3], &mean = v[4], &inv_std = v[5];
  for (size_t i = 0; i < x.size(); i++) {
    size_t k = i % size_t(c.c);
    if (std::fabs((x[i] - mean[k]) * inv_std[k] * gamma[k] + beta[k]) < kUndecided * (1 + std::fabs(c.mean))) v[1][i] = 0;
  }
}

// mean and inv_std are any constants: segnas.h words the gradients in them.
Problem backward(const Case &c) {
  Role sums = c.accumulate ? Role::kInOut : Role::kOut;
  Problem p{c.text(),
            {input(c), pixels("dy", Role::kIn, c), channels("gamma", Role::kIn, c), channels("beta", Role::kIn, c),
             channels("mean", Role::kIn, c, c.mean - 0.5, c.mean + 0.5), channels("inv_std", Role::kIn, c, 0.5, 2), channels("dgamma", sums, c),
             channels("dbeta", sums, c), result("dx", c, 1)},
            [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
              return segnas_batchnorm_backward(s, t[0], t[1], t[2], t[3], t[4], t[5], c.relu, c.frozen, c.accumulate, t[6], t[7], t[8], err);
            },
            [c](Data, const Values &v) { return expect_backward(c, v); }};
  if (c.relu) p.adjust = [c](Values &v) { silence_undecided(c, v); };
  return p;
}

Expected anything(int64_t count) {
  Expected expected;
  expected.value.resize(size_t(count));
  expected.accepts = [](size_t, double) { return true; };
  return expected;
}

// Sets beta so that the first pixel's normalised value is zero but for rounding.
void balance_on_zero(const Case &c, Values &v) {
  std::vector<double> zeros(size_t(c.c)), ones(size_t(c.c), 1.0);
  auto normal = ref::batchnorm_forward<double>(c.shape(), v[0], ones, zeros, kEps, kUpdate, false, {}, {});
  for (size_t k = 0; k < size_t(c.c); k++) v[2][k] = float(-normal.y[k] * v[1][k]);
}

// The backward pass masks exactly where the forward pass did, on values that are zero but for rounding: the gradient through the fused
// mask, less the one of a dy that was masked by the forward pass's y, is zero to the bit.
Problem mask(const Case &c) {
  auto call = [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) -> segnas_status {
    auto backward = [&](const segnas_tensor *dy, int32_t relu, const segnas_tensor *dx) {
      return segnas_batchnorm_backward(s, t[0], dy, t[1], t[2], t[5], t[6], relu, c.frozen, 0, t[7], t[8], dx, err);
    };
    segnas_status status = segnas_batchnorm_forward(s, t[0], t[1], t[2], kEps, 0, 1, nullptr, nullptr, t[5], t[6], t[4], err);
    if (status == SEGNAS_OK) status = segnas_relu_backward(s, t[4], t[3], t[9], err);
    if (status == SEGNAS_OK) status = backward(t[9], 0, t[10]);
    if (status == SEGNAS_OK) status = backward(t[3], 1, t[11]);
    if (status == SEGNAS_OK) status = segnas_axpy(s, -1, t[10], t[11], err);
    return status;
  };
  Argument x = pixels("x", Role::kIn, c);
  x.element = [](Random &r) { return r.one_in(2) ? 0.75 : -0.4375; };
  Problem p{c.text(),
            {x, channels("gamma", Role::kIn, c, 0.25, 1), channels("beta", Role::kIn, c), pixels("dy", Role::kIn, c), pixels("y", Role::kOut, c),
             channels("mean", Role::kOut, c), channels("inv_std", Role::kOut, c), channels("dgamma", Role::kOut, c), channels("dbeta", Role::kOut, c),
             pixels("masked dy", Role::kOut, c), pixels("dx of masked dy", Role::kOut, c), pixels("difference", Role::kOut, c)},
            call,
            [c](Data, const Values &v) {
              int64_t all = int64_t(v[0].size());
              return std::vector<Expected>{anything(all), anything(c.c), anything(c.c), anything(c.c),
                                           anything(c.c), anything(all), anything(all), expected_exactly(std::vector<double>(v[0].size()))};
            }};
  p.data = {Data::kUniform};
  p.adjust = [c](Values &v) { balance_on_zero(c, v); };
  return p;
}

void prove_statistics(GradientProof &proof, bool relu, bool frozen) {
  ref::BatchnormShape s{7, 3};
  const double eps = kEps;
  std::vector<double> x = proof.draw(s.pixels * s.c), dy = proof.draw(s.pixels * s.c), gamma = proof.draw(s.c, 0.5, 1), beta = proof.draw(s.c);
  std::vector<double> zeros(size_t(s.c));
  auto statistics = ref::batchnorm_forward<double>(s, x, gamma, beta, eps, 0, relu, {}, {});
  std::vector<double> var;
  for (double inv : statistics.inv_std) var.push_back(1 / (inv * inv) - eps);
  auto loss = [&](const std::vector<double> &x_at, const std::vector<double> &gamma_at, const std::vector<double> &beta_at) {
    if (frozen) return dot(ref::batchnorm_inference<double>(s, x_at, gamma_at, beta_at, statistics.mean, var, eps, relu), dy);
    return dot(ref::batchnorm_forward<double>(s, x_at, gamma_at, beta_at, eps, 0, relu, {}, {}).y, dy);
  };
  auto g = ref::batchnorm_backward<double>(s, x, dy, gamma, beta, statistics.mean, statistics.inv_std, relu, frozen, zeros, zeros);
  std::string name = std::string("batchnorm_backward ") + (relu ? "relu " : "") + (frozen ? "frozen " : "");
  proof.check(name + "dx", [&](const std::vector<double> &at) { return loss(at, gamma, beta); }, x, g.dx, 1e-5);
  proof.check(name + "dgamma", [&](const std::vector<double> &at) { return loss(x, at, beta); }, gamma, g.dgamma, 1e-5);
  proof.check(name + "dbeta", [&](const std::vector<double> &at) { return loss(x, gamma, at); }, beta, g.dbeta, 1e-5);
}
}  // namespace

void add_batchnorm(std::vector<Function> &functions) {
  add_functions(functions, "batchnorm", kCases, draw, SameBits::kNowhere,
                {{"batchnorm_forward", forward}, {"batchnorm_inference", inference}, {"batchnorm_backward", backward}, {"batchnorm_mask", mask}});
  functions.back().composed = true;
}

void prove_batchnorm(GradientProof &proof) {
  for (bool relu : {false, true})
    for (bool frozen : {false, true}) prove_statistics(proof, relu, frozen);
}

}  // namespace segnas::check
