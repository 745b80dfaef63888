#include "../ops/elementwise/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

struct Case {
  int64_t sizes[5];
  int32_t relu, alias;
  float scalar;
  std::vector<int64_t> shape() const {
    std::vector<int64_t> shape;
    for (int64_t size : sizes)
      if (size) shape.push_back(size);
    return shape;
  }
  std::string text() const {
    return sizes_text(shape()) + " relu " + std::to_string(relu) + " alias " + std::to_string(alias) + " scalar " + std::to_string(scalar);
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(a, b, c, d, e, ...) {{a, b, c, d, e}, __VA_ARGS__},
#include "../ops/elementwise/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  Case c{{}, int32_t(r.integer(0, 1)), int32_t(r.integer(0, 2)), float(r.integer(-8, 8)) / 4};
  for (int64_t d = r.integer(0, 4); d >= 0; d--) c.sizes[d] = r.integer(1, 24);
  return c;
}

Argument any(const char *name, Role role, const Case &c, Kind kind = Kind::kAny) { return {name, kind, role, c.shape()}; }

// The output, which may be the `which`th input where the case says so.
Argument output(const char *name, const Case &c, int inputs) {
  Argument y = any(name, Role::kOut, c);
  if (c.alias >= 1 && c.alias <= inputs) y.alias = c.alias - 1;
  return y;
}

Problem relu_forward(const Case &c) {
  return {c.text(),
          {any("x", Role::kIn, c), output("y", c, 1)},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_relu_forward(s, t[0], t[1], err); },
          [](Data, const Values &v) {
            std::vector<double> y;
            for (double x : v[0]) y.push_back(ref::relu_forward(x));
            return std::vector<Expected>{expected_exactly(y)};
          }};
}

Problem relu_backward(const Case &c) {
  Argument dx = any("dx", Role::kOut, c);
  if (c.alias == 2) dx.alias = 1;
  return {c.text(),
          {any("y", Role::kIn, c), any("dy", Role::kIn, c), dx},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_relu_backward(s, t[0], t[1], t[2], err); },
          [](Data, const Values &v) {
            std::vector<double> dx_values;
            for (size_t i = 0; i < v[0].size(); i++) dx_values.push_back(ref::relu_backward(v[0][i], v[1][i]));
            return std::vector<Expected>{expected_exactly(dx_values)};
          }};
}

Problem add_forward(const Case &c) {
  return {c.text(),
          {any("a", Role::kIn, c), any("b", Role::kIn, c), output("y", c, 2)},
          [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_add_forward(s, t[0], t[1], c.relu, t[2], err); },
          [c](Data, const Values &v) {
            std::vector<double> y;
            for (size_t i = 0; i < v[0].size(); i++) y.push_back(ref::add_forward(v[0][i], v[1][i], c.relu));
            return std::vector<Expected>{expected_exactly(y)};
          }};
}

Problem fill(const Case &c) {
  Problem p{
      c.text(),
      {any("x", Role::kOut, c, Kind::kFree)},
      [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_fill(s, t[0], c.scalar, err); },
      [c](Data, const Values &) { return std::vector<Expected>{expected_exactly(std::vector<double>(size_t(elements(c.shape())), c.scalar))}; }};
  p.data = {Data::kUniform};
  p.arguments[0].free_dims = ~0u;
  return p;
}

Problem copy(const Case &c) {
  return {c.text(),
          {any("x", Role::kIn, c, Kind::kFree), any("y", Role::kOut, c, Kind::kFree)},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_copy(s, t[0], t[1], err); },
          [](Data, const Values &v) { return std::vector<Expected>{expected_exactly(v[0])}; }};
}

Problem axpy(const Case &c) {
  return {c.text(),
          {any("x", Role::kIn, c, Kind::kFree), any("y", Role::kInOut, c, Kind::kFree)},
          [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_axpy(s, c.scalar, t[0], t[1], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> y;
            for (size_t i = 0; i < v[0].size(); i++) y.push_back(ref::axpy(c.scalar, v[0][i], v[1][i]));
            return std::vector<Expected>{expected_products(data, y)};
          }};
}
}  // namespace

void add_elementwise(std::vector<Function> &functions) {
  add_functions(functions, "elementwise", kCases, draw, SameBits::kOnEveryBackend,
                {{"relu_forward", relu_forward},
                 {"relu_backward", relu_backward},
                 {"add_forward", add_forward},
                 {"fill", fill},
                 {"copy", copy},
                 {"axpy", axpy}});
}

void prove_elementwise(GradientProof &proof) {
  std::vector<double> x = proof.draw(20), dy = proof.draw(20), dx;
  auto loss = [&](const std::vector<double> &at) {
    double sum = 0;
    for (size_t i = 0; i < at.size(); i++) sum += dy[i] * ref::relu_forward(at[i]);
    return sum;
  };
  for (size_t i = 0; i < x.size(); i++) dx.push_back(ref::relu_backward(ref::relu_forward(x[i]), dy[i]));
  proof.check("relu_backward", loss, x, dx);
}

}  // namespace segnas::check
