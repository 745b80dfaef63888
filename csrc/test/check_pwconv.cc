#include "../ops/pwconv/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

struct Case {
  int64_t n, h, w, cin, cout;
  int32_t bias, accumulate;
  ref::PwconvShape shape() const { return {(n ? n : 1) * h * w, cin, cout}; }
  std::vector<int64_t> activation(int64_t channels) const {
    if (n == 0) return {h * w, channels};
    return {n, h, w, channels};
  }
  std::vector<int64_t> weights() const { return {cin, cout}; }
  std::string text() const {
    char line[120];
    std::snprintf(line, sizeof line, "%dx%dx%d %d->%d bias %d accumulate %d", int(n), int(h), int(w), int(cin), int(cout), bias, accumulate);
    return line;
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/pwconv/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  return {r.integer(0, 2),   r.integer(1, 12),         r.integer(1, 24),        r.integer(1, 150),
          r.integer(1, 150), int32_t(r.integer(0, 1)), int32_t(r.integer(0, 1))};
}

Problem forward(const Case &c) {
  Argument bias{"bias", Kind::kVector, Role::kIn, {c.cout}};
  bias.optional = true;
  bias.null = !c.bias;
  return {c.text(),
          {{"x", Kind::kPixels, Role::kIn, c.activation(c.cin)},
           {"w", Kind::kMatrix, Role::kIn, c.weights()},
           bias,
           {"y", Kind::kPixels, Role::kOut, c.activation(c.cout)}},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_pwconv_forward(s, t[0], t[1], t[2], t[3], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> y(size_t(c.shape().pixels * c.cout));
            ref::pwconv_forward(c.shape(), v[0].data(), v[1].data(), c.bias ? v[2].data() : nullptr, y.data());
            return std::vector<Expected>{expected_products(data, y)};
          }};
}

Problem backward_input(const Case &c) {
  return {c.text(),
          {{"dy", Kind::kPixels, Role::kIn, c.activation(c.cout)},
           {"w", Kind::kMatrix, Role::kIn, c.weights()},
           {"dx", Kind::kPixels, Role::kOut, c.activation(c.cin)}},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_pwconv_backward_input(s, t[0], t[1], t[2], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> dx(size_t(c.shape().pixels * c.cin));
            ref::pwconv_backward_input(c.shape(), v[0].data(), v[1].data(), dx.data());
            return std::vector<Expected>{expected_products(data, dx)};
          }};
}

Problem backward_weight(const Case &c) {
  return {c.text(),
          {{"x", Kind::kPixels, Role::kIn, c.activation(c.cin)},
           {"dy", Kind::kPixels, Role::kIn, c.activation(c.cout)},
           {"dw", Kind::kMatrix, c.accumulate ? Role::kInOut : Role::kOut, c.weights()}},
          [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
            return segnas_pwconv_backward_weight(s, t[0], t[1], c.accumulate, t[2], err);
          },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> dw = sums_onto(v[2], c.cin * c.cout, c.accumulate);
            ref::pwconv_backward_weight(c.shape(), v[0].data(), v[1].data(), dw.data());
            return std::vector<Expected>{expected_products(data, dw)};
          }};
}

Problem backward_bias(const Case &c) {
  Problem p{c.text(),
            {{"dy", Kind::kPixels, Role::kIn, c.activation(c.cout)}, {"db", Kind::kVector, c.accumulate ? Role::kInOut : Role::kOut, {c.cout}}},
            [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
              return segnas_pwconv_backward_bias(s, t[0], c.accumulate, t[1], err);
            },
            [c](Data data, const Values &v) {
              std::vector<ref::Sum> db = sums_onto(v[1], c.cout, c.accumulate);
              ref::pwconv_backward_bias(c.shape(), v[0].data(), db.data());
              return std::vector<Expected>{expected_products(data, db)};
            }};
  p.arguments[0].free_dims = 0b111;  // any number of pixels
  return p;
}
}  // namespace

void add_pwconv(std::vector<Function> &functions) {
  add_functions(functions, "pwconv", kCases, draw, SameBits::kNowhere,
                {{"pwconv_forward", forward},
                 {"pwconv_backward_input", backward_input},
                 {"pwconv_backward_weight", backward_weight},
                 {"pwconv_backward_bias", backward_bias}});
}

void prove_pwconv(GradientProof &proof) {
  ref::PwconvShape s{6, 3, 4};
  std::vector<double> x = proof.draw(s.pixels * s.cin), w = proof.draw(s.cin * s.cout), bias = proof.draw(s.cout), dy = proof.draw(s.pixels * s.cout);
  auto loss = [&](const std::vector<double> &x_at, const std::vector<double> &w_at, const std::vector<double> &bias_at) {
    std::vector<ref::Sum> y(dy.size());
    ref::pwconv_forward(s, x_at.data(), w_at.data(), bias_at.data(), y.data());
    return dot(values_of(y), dy);
  };
  std::vector<ref::Sum> dx(x.size()), dw(w.size()), db(bias.size());
  ref::pwconv_backward_input(s, dy.data(), w.data(), dx.data());
  ref::pwconv_backward_weight(s, x.data(), dy.data(), dw.data());
  ref::pwconv_backward_bias(s, dy.data(), db.data());
  proof.check("pwconv_backward_input", [&](const std::vector<double> &at) { return loss(at, w, bias); }, x, values_of(dx));
  proof.check("pwconv_backward_weight", [&](const std::vector<double> &at) { return loss(x, at, bias); }, w, values_of(dw));
  proof.check("pwconv_backward_bias", [&](const std::vector<double> &at) { return loss(x, w, at); }, bias, values_of(db));
}

}  // namespace segnas::check
