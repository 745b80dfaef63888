#include <cmath>

#include "../ops/optimiser/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {
// The deepest chain of roundings in w beyond its two terms: g clip, + decay w, + momentum m, momentum m again, +, times lr.
constexpr int64_t kStepRoundings = 5;

struct Case {
  int64_t sizes[5];
  float lr, momentum, decay, clip;
  int32_t nesterov, accumulate;
  std::vector<int64_t> shape() const {
    std::vector<int64_t> shape;
    for (int64_t size : sizes)
      if (size) shape.push_back(size);
    return shape;
  }
  bool dyadic() const {
    for (float v : {lr, momentum, decay, clip})
      if (v * 8 != float(int(v * 8))) return false;
    return true;
  }
  ref::SgdOptions options() const { return {lr, momentum, decay, clip, nesterov != 0}; }
  std::string text() const {
    char rest[120];
    std::snprintf(rest, sizeof rest, " lr %g momentum %g decay %g clip %g nesterov %d accumulate %d", lr, momentum, decay, clip, nesterov,
                  accumulate);
    return sizes_text(shape()) + rest;
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(a, b, c, d, e, ...) {{a, b, c, d, e}, __VA_ARGS__},
#include "../ops/optimiser/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  auto fraction = [&r] { return float(r.uniform(0, 1)); };
  Case c{{}, fraction(), fraction(), fraction() / 100, fraction(), int32_t(r.integer(0, 1)), int32_t(r.integer(0, 1))};
  for (int64_t d = r.integer(0, 4); d >= 0; d--) c.sizes[d] = r.integer(1, 24);
  return c;
}

Problem sum_squares(const Case &c) {
  Argument result{"result", Kind::kVector, c.accumulate ? Role::kInOut : Role::kOut, {1}};
  result.dtype = SEGNAS_F64;
  Problem p{c.text(),
            {{"x", Kind::kFree, Role::kIn, c.shape()}, result},
            [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_sum_squares(s, t[0], c.accumulate, t[1], err); },
            [c](Data data, const Values &v) {
              const long double squares = ref::sum_squares(elements(c.shape()), v[0].data()), old = c.accumulate ? v[1][0] : 0.0;
              Expected expected;
              expected.value = {double(old + squares)};
              expected.bound = {double(std::fabs(old) + squares) * double(v[0].size() + 2) * 0x1p-53};
              expected.exact = data == Data::kInteger;
              return std::vector<Expected>{expected};
            }};
  p.arguments[0].free_dims = ~0u;
  return p;
}

Problem sgd(const Case &c) {
  Argument w{"w", Kind::kFree, Role::kInOut, c.shape()}, m{"m", Kind::kFree, Role::kInOut, c.shape()};
  w.special = m.special = Special::kNaN;
  return {c.text(),
          {w, m, {"g", Kind::kFree, Role::kIn, c.shape()}},
          [c](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
            return segnas_sgd(s, t[0], t[1], t[2], c.lr, c.momentum, c.decay, c.clip, c.nesterov, err);
          },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> w_after, m_after;
            for (size_t i = 0; i < v[0].size(); i++) {
              ref::SgdStep step = ref::sgd(c.options(), v[0][i], v[1][i], v[2][i]);
              w_after.push_back(step.w);
              m_after.push_back(step.m);
            }
            std::vector<Expected> expected{expected_sums(w_after, kStepRoundings), expected_sums(m_after)};
            for (Expected &e : expected) e.exact = data == Data::kInteger && c.dyadic();
            return expected;
          }};
}
}  // namespace

void add_optimiser(std::vector<Function> &functions) {
  add_functions(functions, "optimiser", kCases, draw, SameBits::kOnInstructionSets, {{"sum_squares", sum_squares}});
  add_functions(functions, "optimiser", kCases, draw, SameBits::kOnEveryBackend, {{"sgd", sgd}});
}

}  // namespace segnas::check
