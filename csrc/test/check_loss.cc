#include <memory>

#include "../ops/loss/ref.h"
#include "functions.h"
#include "loss_case.h"

namespace segnas::check {
namespace {
// Confusion takes more classes than logits have.
const LossCase kConfusionCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/loss/cases.inc"
#undef SEGNAS_CASE
    {1, 1, 1, 111, 60, 75, 0, 0, 1, 1, 0, 0},
    {1, 1, 1, 256, 70, 90, 0, 0, 1, 1, 0, 0},
};

Expected expected_result(const ref::CrossEntropy &exact, int64_t extra) {
  Expected loss = expected_sums({exact.loss}, extra);
  Expected expected;
  expected.value = {loss.value[0], exact.total};
  expected.bound = {loss.bound[0], 0x1p-24 * exact.total};
  return expected;
}

Problem cross_entropy(const LossCase &c) {
  constexpr float kScale = 0.4f;
  auto call = [](int32_t ignore) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_cross_entropy(s, t[0], t[1], ignore, t[2], kScale, t[3], t[4], err);
    };
  };
  Argument class_weights{"class_weights", Kind::kVector, Role::kIn, {c.classes}}, result{"result", Kind::kVector, Role::kOut, {2}};
  Argument dlogits{"dlogits", Kind::kPixels, Role::kOut, c.logits()};
  class_weights.low = 0.25;
  class_weights.high = 2;
  class_weights.null = !c.weights;
  result.dtype = SEGNAS_F64;
  dlogits.null = !c.gradient;
  class_weights.optional = dlogits.optional = true;
  Problem p{c.text(), {logits_of(c), labels_of("labels", Role::kIn, c), class_weights, result, dlogits}, call(kIgnore), [c](Data, const Values &v) {
              auto exact = ref::cross_entropy(c.shape(), v[0].data(), v[1].data(), kIgnore, c.weights ? v[2].data() : nullptr, kScale);
              int64_t extra = c.classes + kSoftmaxRoundings;
              std::vector<Expected> expected{expected_result(exact, extra)};
              if (c.gradient) expected.push_back(expected_sums(exact.dlogits, extra));
              return expected;
            }};
  p.arguments[1].free_dims = 0b110;
  p.refusals = {{"ignore 256", call(256)}, {"ignore -1", call(-1)}};
  return p;
}

// Any class within the bound of the best, or on integers that are resized exactly, the least of the best.
Expected best_classes(const LossCase &c, bool exact, const std::vector<double> &logits) {
  Expected expected;
  auto right = std::make_shared<std::vector<std::vector<bool>>>();
  std::vector<ref::Sum> z;
  for (int64_t p = 0; p < c.n * c.rows * c.columns; p++) {
    ref::upsampled_logits(c.shape(), logits.data(), p / (c.rows * c.columns), ref::corners_of(c.shape(), p / c.columns % c.rows, p % c.columns), z);
    Expected bounds = expected_sums(z);
    size_t best = 0;
    for (size_t k = 1; k < z.size(); k++)
      if (z[k].value > z[best].value) best = k;
    std::vector<bool> allowed(z.size());
    for (size_t k = 0; k < z.size(); k++) allowed[k] = exact ? k == best : z[k].value + bounds.bound[k] >= z[best].value - bounds.bound[best];
    expected.value.push_back(double(best));
    right->push_back(allowed);
  }
  expected.accepts = [right](size_t i, double got) { return got >= 0 && size_t(got) < (*right)[i].size() && (*right)[i][size_t(got)]; };
  return expected;
}

bool power_of_two_multiple(int64_t small, int64_t large) { return large % small == 0 && ((large / small) & (large / small - 1)) == 0; }

Problem argmax(const LossCase &c) {
  Problem p{c.text(),
            {logits_of(c), labels_of("labels", Role::kOut, c)},
            [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_argmax(s, t[0], t[1], err); },
            [c](Data data, const Values &v) {
              bool exact = data == Data::kInteger && power_of_two_multiple(c.h, c.rows) && power_of_two_multiple(c.w, c.columns);
              return std::vector<Expected>{best_classes(c, exact, v[0])};
            }};
  p.arguments[0].free_dims = 0b1110;
  p.arguments[1].free_dims = 0b110;
  return p;
}

Problem confusion(const LossCase &c) {
  auto call = [](int32_t ignore) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_confusion(s, t[0], t[1], ignore, t[2], err); };
  };
  Argument predicted = labels_of("predicted", Role::kIn, c);
  predicted.element = [c](Random &r) { return double(r.integer(0, c.classes - 1)); };
  Argument counts{"counts", Kind::kMatrix, Role::kInOut, {c.classes, c.classes}};
  counts.dtype = SEGNAS_I64;
  counts.element = [](Random &r) { return double(r.integer(0, 1000)); };
  Problem p{c.text(), {labels_of("truth", Role::kIn, c), predicted, counts}, call(kIgnore), [c](Data, const Values &v) {
              std::vector<double> expected = v[2];
              ref::confusion(int64_t(v[0].size()), c.classes, v[0].data(), v[1].data(), kIgnore, expected.data());
              return std::vector<Expected>{expected_exactly(expected)};
            }};
  p.data = {Data::kUniform};
  p.refusals = {{"ignore 256", call(256)}, {"ignore -1", call(-1)}};
  return p;
}
}  // namespace

void add_loss(std::vector<Function> &functions) {
  add_functions(functions, "loss", kLossCases, draw_loss, SameBits::kNowhere, {{"cross_entropy", cross_entropy}});
  LossCase too_many = kLossCases[0];
  too_many.classes = 65;
  functions.back().illegal = {cross_entropy(too_many), with_wrong_label(cross_entropy(kLossCases[0]), 1, double(kLossCases[0].classes)),
                              with_wrong_label(cross_entropy(kLossCases[0]), 1, 254)};
  add_functions(functions, "loss", kLossCases, draw_loss, SameBits::kOnEveryBackend, {{"argmax", argmax}});
  functions.back().illegal = {argmax(too_many)};
  add_functions(functions, "loss", kConfusionCases, draw_loss, SameBits::kOnEveryBackend, {{"confusion", confusion}});
  functions.back().illegal = {with_wrong_label(confusion(kLossCases[0]), 0, double(kLossCases[0].classes)),
                              with_wrong_label(confusion(kLossCases[0]), 1, double(kLossCases[0].classes))};
}

void prove_loss(GradientProof &proof) {
  for (bool weighted : {false, true}) {
    ref::LossShape s{2, 2, 3, 4, 5, 4};
    std::vector<double> logits = proof.draw(s.n * s.h * s.w * s.k, -2, 2), weights = proof.draw(s.k, 0.25, 2), labels;
    for (double v : proof.draw(s.n * s.rows * s.cols, 0, 5)) labels.push_back(v >= 4 ? kIgnore : double(int(v)));
    const double *class_weights = weighted ? weights.data() : nullptr;
    auto loss = [&](const std::vector<double> &at) {
      return 0.7 * ref::cross_entropy(s, at.data(), labels.data(), kIgnore, class_weights, 0.7).loss.value;
    };
    auto exact = ref::cross_entropy(s, logits.data(), labels.data(), kIgnore, class_weights, 0.7);
    proof.check(weighted ? "cross_entropy weighted" : "cross_entropy", loss, logits, values_of(exact.dlogits));
  }
}

}  // namespace segnas::check
