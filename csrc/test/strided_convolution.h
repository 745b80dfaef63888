// The three problems of a strided convolution: conv3x3 and dwconv have the same signatures and views, and differ in Case, which gives the
// shapes, the references and the public functions.
#pragma once
#include "functions.h"

namespace segnas::check {

// Calls with strides that there are none of.
template <class CallWith>
std::vector<std::pair<std::string, Call>> stride_refusals(CallWith call) {
  std::vector<std::pair<std::string, Call>> refusals;
  for (int32_t stride : {0, 3, -1}) refusals.push_back({"stride " + std::to_string(stride), call(stride)});
  return refusals;
}

template <class Case>
Problem forward(const Case &c) {
  auto call = [](int32_t stride) -> Call {
    return [stride](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return Case::kForward(s, t[0], t[1], stride, t[2], err); };
  };
  Problem p{c.text(),
            {{"x", Kind::kPixels, Role::kIn, c.x()}, {"w", Kind::kMatrix, Role::kIn, c.weights()}, {"y", Kind::kPixels, Role::kOut, c.y()}},
            call(c.stride),
            [c](Data data, const Values &v) {
              std::vector<ref::Sum> y(size_t(elements(c.y())));
              Case::kReferenceForward(c.shape(), v[0].data(), v[1].data(), y.data());
              return std::vector<Expected>{expected_products(data, y)};
            }};
  p.refusals = stride_refusals(call);
  return p;
}

template <class Case>
Problem backward_input(const Case &c) {
  auto call = [](int32_t stride) -> Call {
    return [stride](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return Case::kBackwardInput(s, t[0], t[1], stride, t[2], err);
    };
  };
  Problem p{c.text(),
            {{"dy", Kind::kPixels, Role::kIn, c.y()}, {"w", Kind::kMatrix, Role::kIn, c.weights()}, {"dx", Kind::kPixels, Role::kOut, c.x()}},
            call(c.stride),
            [c](Data data, const Values &v) {
              std::vector<ref::Sum> dx(size_t(elements(c.x())));
              Case::kReferenceInput(c.shape(), v[0].data(), v[1].data(), dx.data());
              return std::vector<Expected>{expected_products(data, dx)};
            }};
  p.refusals = stride_refusals(call);
  return p;
}

template <class Case>
Problem backward_weight(const Case &c) {
  auto call = [c](int32_t stride) -> Call {
    return [c, stride](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return Case::kBackwardWeight(s, t[0], t[1], stride, c.accumulate, t[2], err);
    };
  };
  Role role = c.accumulate ? Role::kInOut : Role::kOut;
  Problem p{c.text(),
            {{"x", Kind::kPixels, Role::kIn, c.x()}, {"dy", Kind::kPixels, Role::kIn, c.y()}, {"dw", Kind::kMatrix, role, c.weights()}},
            call(c.stride),
            [c](Data data, const Values &v) {
              std::vector<ref::Sum> dw = sums_onto(v[2], elements(c.weights()), c.accumulate);
              Case::kReferenceWeight(c.shape(), v[0].data(), v[1].data(), dw.data());
              return std::vector<Expected>{expected_products(data, dw)};
            }};
  p.refusals = stride_refusals(call);
  return p;
}

// illegal: shapes that the op must refuse.
template <class Case, size_t N>
void add_convolution(std::vector<Function> &functions, const std::string &op, const Case (&cases)[N], const std::vector<Case> &illegal) {
  for (auto [suffix, make] :
       {NamedProblem<Case>{"_forward", forward<Case>}, {"_backward_input", backward_input<Case>}, {"_backward_weight", backward_weight<Case>}}) {
    std::string name = op + suffix;
    add_functions(functions, op, cases, &Case::draw, SameBits::kNowhere, {{name.c_str(), make}});
    for (const Case &c : illegal) functions.back().illegal.push_back(make(c));
  }
}

// Case::kReferenceInput and kReferenceWeight are the gradients of Case::kReferenceForward.
template <class Case>
void prove_convolution(GradientProof &proof, const std::string &op, const Case &c) {
  std::vector<double> x = proof.draw(elements(c.x())), w = proof.draw(elements(c.weights())), dy = proof.draw(elements(c.y()));
  auto loss = [&](const std::vector<double> &x_at, const std::vector<double> &w_at) {
    std::vector<ref::Sum> y(dy.size());
    Case::kReferenceForward(c.shape(), x_at.data(), w_at.data(), y.data());
    return dot(values_of(y), dy);
  };
  std::vector<ref::Sum> dx(x.size()), dw(w.size());
  Case::kReferenceInput(c.shape(), dy.data(), w.data(), dx.data());
  Case::kReferenceWeight(c.shape(), x.data(), dy.data(), dw.data());
  proof.check(op + "_backward_input", [&](const std::vector<double> &at) { return loss(at, w); }, x, values_of(dx));
  proof.check(op + "_backward_weight", [&](const std::vector<double> &at) { return loss(x, at); }, w, values_of(dw));
}

}  // namespace segnas::check
