// A row of csrc/ops/loss/cases.inc, and the arguments that the losses share.
#pragma once
#include <cstdio>

#include "../ops/loss/ref.h"
#include "problem.h"

namespace segnas::check {

constexpr int32_t kIgnore = 255;
// Roundings of exp and log, of the maximum's subtraction and of the class's and the pixel's weight.
constexpr int64_t kSoftmaxRoundings = 8;

struct LossCase {
  int64_t n, h, w, classes, rows, columns;
  int32_t weights, gradient;
  double range;
  int64_t ignored;
  double hard_loss;
  int64_t hard_least;
  ref::LossShape shape() const { return {n, h, w, classes, rows, columns}; }
  std::vector<int64_t> logits() const { return {n, h, w, classes}; }
  std::vector<int64_t> labels() const { return {n, rows, columns}; }
  std::string text() const {
    char line[160];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d->%dx%d weights %d gradient %d range %g ignored %d/8 hard from %g, least %d/16", int(n), int(h), int(w), int(classes),
                  int(rows), int(columns), weights, gradient, range, int(ignored), hard_loss, int(hard_least));
    return line;
  }
};

inline const LossCase kLossCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/loss/cases.inc"
#undef SEGNAS_CASE
};

inline LossCase draw_loss(Random &r) {
  static const double kRanges[] = {1, 3, 10, 100};
  return {r.integer(1, 2),  r.integer(1, 8),          r.integer(1, 12),         r.integer(1, 64), r.integer(1, 40),
          r.integer(1, 50), int32_t(r.integer(0, 1)), int32_t(r.integer(0, 1)), r.pick(kRanges),  r.integer(0, 8),
          r.uniform(0, 4),  r.integer(0, 16)};
}

inline Argument logits_of(const LossCase &c) {
  Argument a{"logits", Kind::kPixels, Role::kIn, c.logits()};
  a.low = -c.range;
  a.high = c.range;
  a.special = Special::kNone;
  return a;
}

inline Argument labels_of(const char *name, Role role, const LossCase &c) {
  Argument a{name, Kind::kLabels, role, c.labels()};
  a.dtype = SEGNAS_U8;
  a.element = [c](Random &r) { return double(r.integer(1, 8) <= c.ignored ? kIgnore : r.integer(0, c.classes - 1)); };
  return a;
}

// A label that is no class, in an otherwise legal problem.
inline Problem with_wrong_label(Problem problem, size_t argument, double label) {
  problem.text += std::string(" with a label ") + std::to_string(int(label)) + " in " + problem.arguments[argument].name;
  problem.adjust = [argument, label](Values &v) { v[argument].back() = label; };
  problem.clobbers = true;
  return problem;
}

}  // namespace segnas::check
