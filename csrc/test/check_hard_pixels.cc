#include <algorithm>
#include <functional>
#include <limits>
#include <memory>

#include "../ops/loss/ref.h"
#include "functions.h"
#include "loss_case.h"

namespace segnas::check {
namespace {

// Which pixels must be hard and which must not be, on account of what the double losses and their bounds allow float32 losses to be. Sorted float32
// losses lie between the sorted least and the sorted largest ones, so the bound of hardness lies between those of the two.
struct Verdicts {
  std::vector<double> labels;
  std::vector<bool> may_be, may_not;
  int64_t least = 0;  // so many must be hard
  int64_t kept = 0;   // while one output is looked at
};

double bound_of(std::vector<double> losses, double loss, int64_t least) {
  if (int64_t(losses.size()) <= least) return 0;
  if (least == 0) return loss;
  std::nth_element(losses.begin(), losses.begin() + least - 1, losses.end(), std::greater<>());
  return std::min(loss, losses[size_t(least - 1)]);
}

std::shared_ptr<Verdicts> verdicts(const LossCase &c, const std::vector<double> &logits, const std::vector<double> &labels, float loss, int64_t least) {
  const std::vector<ref::Sum> exact = ref::pixel_losses(c.shape(), logits.data(), labels.data(), kIgnore);
  const std::vector<double> errors = expected_sums(exact, c.classes + kSoftmaxRoundings).bound;
  std::vector<double> low, high;
  auto error_of = [&](size_t p) { return errors[p] + 0x1p-24 * exact[p].value; };
  for (size_t p = 0; p < exact.size(); p++) {
    if (labels[p] == kIgnore) continue;
    low.push_back(std::max(0.0, exact[p].value - error_of(p)));
    high.push_back(exact[p].value + error_of(p));
  }
  auto v = std::make_shared<Verdicts>();
  v->labels = labels;
  v->least = std::min(least, int64_t(low.size()));
  const double lowest = bound_of(low, loss, least), highest = bound_of(high, loss, least);
  for (size_t p = 0; p < exact.size(); p++) {
    const bool labelled = labels[p] != kIgnore;
    v->may_be.push_back(labelled && exact[p].value + error_of(p) >= lowest);
    v->may_not.push_back(!labelled || std::max(0.0, exact[p].value - error_of(p)) < highest);
  }
  return v;
}

Problem hard_pixels(const LossCase &c) {
  const int64_t pixels = c.n * c.rows * c.columns, least = pixels * c.hard_least / 16;
  const float loss = float(c.hard_loss);
  auto call = [](int32_t ignore, float from, int64_t at_least) -> Call {
    return [=](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_hard_pixels(s, t[0], t[1], ignore, from, at_least, t[2], err);
    };
  };
  Argument hard = labels_of("hard", Role::kOut, c);
  if (!c.gradient) hard.alias = 1;
  Problem p{c.text(), {logits_of(c), labels_of("labels", Role::kIn, c), hard}, call(kIgnore, loss, least), [=](Data, const Values &v) {
              Expected expected = expected_exactly(v[1]);
              auto right = verdicts(c, v[0], v[1], loss, least);
              expected.accepts = [right](size_t i, double got) {
                if (i == 0) right->kept = 0;
                const bool kept = got == right->labels[i] && got != kIgnore;
                right->kept += kept;
                if (i + 1 == right->labels.size() && right->kept < right->least) return false;
                return kept ? right->may_be[i] : got == kIgnore && right->may_not[i];
              };
              return std::vector<Expected>{expected};
            }};
  p.arguments[0].free_dims = 0b0110;
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  p.refusals = {{"ignore 256", call(256, loss, least)}, {"ignore -1", call(-1, loss, least)}, {"loss -1", call(kIgnore, -1, least)},
                {"loss NaN", call(kIgnore, kNaN, least)},  {"least -1", call(kIgnore, loss, -1)}};
  return p;
}
}  // namespace

void add_hard_pixels(std::vector<Function> &functions) {
  add_functions(functions, "loss", kLossCases, draw_loss, SameBits::kNowhere, {{"hard_pixels", hard_pixels}});
  LossCase too_many = kLossCases[0];
  too_many.classes = 65;
  functions.back().illegal = {hard_pixels(too_many), with_wrong_label(hard_pixels(kLossCases[0]), 1, double(kLossCases[0].classes))};
}

}  // namespace segnas::check
