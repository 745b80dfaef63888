#include "../ops/ktransform/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

struct Case {
  int64_t large, small, c;
  ref::KtransformShape shape() const { return {large, small, c}; }
  std::vector<int64_t> w_large() const { return {large * large, c}; }
  std::vector<int64_t> w_small() const { return {small * small, c}; }
  std::vector<int64_t> t() const { return {small * small, small * small}; }
  std::string text() const { return std::to_string(large) + "->" + std::to_string(small) + " c" + std::to_string(c); }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/ktransform/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  int64_t small = r.one_in(2) ? 3 : 5;
  return {small + 2, small, r.integer(1, 200)};
}

Problem forward(const Case &c) {
  return {c.text(),
          {{"w_large", Kind::kMatrix, Role::kIn, c.w_large()},
           {"t", Kind::kMatrix, Role::kIn, c.t()},
           {"w_small", Kind::kMatrix, Role::kOut, c.w_small()}},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_ktransform_forward(s, t[0], t[1], t[2], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> w_small(size_t(elements(c.w_small())));
            ref::ktransform_forward(c.shape(), v[0].data(), v[1].data(), w_small.data());
            return std::vector<Expected>{expected_products(data, w_small)};
          }};
}

Problem backward(const Case &c) {
  return {c.text(),
          {{"w_large", Kind::kMatrix, Role::kIn, c.w_large()},
           {"t", Kind::kMatrix, Role::kIn, c.t()},
           {"dw_small", Kind::kMatrix, Role::kIn, c.w_small()},
           {"dw_large", Kind::kMatrix, Role::kInOut, c.w_large()},
           {"dt", Kind::kMatrix, Role::kInOut, c.t()}},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
            return segnas_ktransform_backward(s, t[0], t[1], t[2], t[3], t[4], err);
          },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> dw_large = sums_onto(v[3], elements(c.w_large()), true), dt = sums_onto(v[4], elements(c.t()), true);
            ref::ktransform_backward(c.shape(), v[0].data(), v[1].data(), v[2].data(), dw_large.data(), dt.data());
            return std::vector<Expected>{expected_products(data, dw_large), expected_products(data, dt)};
          }};
}

// Pairs of kernel sizes that there is no transform of.
const Case kTwoSteps = {7, 3, 4}, kSame = {3, 3, 4}, kFromNine = {9, 7, 4};
}  // namespace

void add_ktransform(std::vector<Function> &functions) {
  add_functions(functions, "ktransform", kCases, draw, SameBits::kNowhere, {{"ktransform_forward", forward}, {"ktransform_backward", backward}});
  for (const Case &c : {kTwoSteps, kSame, kFromNine}) {
    functions[functions.size() - 2].illegal.push_back(forward(c));
    functions.back().illegal.push_back(backward(c));
  }
}

void prove_ktransform(GradientProof &proof) {
  for (int64_t small : {3, 5}) {
    ref::KtransformShape s{small + 2, small, 3};
    std::vector<double> w = proof.draw(s.large * s.large * s.c), t = proof.draw(s.taps() * s.taps()), dy = proof.draw(s.taps() * s.c);
    auto loss = [&](const std::vector<double> &w_at, const std::vector<double> &t_at) {
      std::vector<ref::Sum> y(dy.size());
      ref::ktransform_forward(s, w_at.data(), t_at.data(), y.data());
      return dot(values_of(y), dy);
    };
    std::vector<ref::Sum> dw(w.size()), dt(t.size());
    ref::ktransform_backward(s, w.data(), t.data(), dy.data(), dw.data(), dt.data());
    proof.check("ktransform_backward (dw_large)", [&](const std::vector<double> &at) { return loss(at, t); }, w, values_of(dw));
    proof.check("ktransform_backward (dt)", [&](const std::vector<double> &at) { return loss(w, at); }, t, values_of(dt));
  }
}

}  // namespace segnas::check
