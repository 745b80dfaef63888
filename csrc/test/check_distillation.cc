#include "../ops/loss/ref.h"
#include "functions.h"
#include "loss_case.h"

namespace segnas::check {
namespace {

Problem distillation(const LossCase &c) {
  constexpr float kScale = 0.4f;
  Argument teacher = logits_of(c), result{"result", Kind::kVector, Role::kOut, {2}}, dlogits{"dlogits", Kind::kPixels, Role::kOut, c.logits()};
  teacher.name = "teacher";
  result.dtype = SEGNAS_F64;
  dlogits.null = !c.gradient;
  dlogits.optional = true;
  return {c.text(),
          {logits_of(c), teacher, result, dlogits},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_distillation(s, t[0], t[1], kScale, t[2], t[3], err); },
          [c](Data, const Values &v) {
            const ref::Distillation exact = ref::distillation(c.n * c.h * c.w, c.classes, v[0].data(), v[1].data(), kScale);
            const int64_t extra = c.classes + kSoftmaxRoundings;
            const Expected loss = expected_sums({exact.loss}, extra);
            Expected both;
            both.value = {loss.value[0], double(c.n * c.h * c.w)};
            both.bound = {loss.bound[0], 0};
            std::vector<Expected> expected{both};
            if (c.gradient) expected.push_back(expected_sums(exact.dlogits, extra));
            return expected;
          }};
}
}  // namespace

void add_distillation(std::vector<Function> &functions) {
  add_functions(functions, "loss", kLossCases, draw_loss, SameBits::kNowhere, {{"distillation", distillation}});
  LossCase too_many = kLossCases[0];
  too_many.classes = 65;
  functions.back().illegal = {distillation(too_many)};
}

void prove_distillation(GradientProof &proof) {
  constexpr int64_t kPixels = 6, kClasses = 4;
  const std::vector<double> logits = proof.draw(kPixels * kClasses, -2, 2), teacher = proof.draw(kPixels * kClasses, -2, 2);
  auto loss = [&](const std::vector<double> &at) { return 0.7 * ref::distillation(kPixels, kClasses, at.data(), teacher.data(), 0.7).loss.value; };
  proof.check("distillation", loss, logits, values_of(ref::distillation(kPixels, kClasses, logits.data(), teacher.data(), 0.7).dlogits));
}

}  // namespace segnas::check
