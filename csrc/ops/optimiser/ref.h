// SGD and the sum of squares in double, one element or plain loops, as segnas.h words them.
#pragma once
#include <cstdint>

#include "../../test/sum.h"

namespace segnas::ref {

struct SgdOptions {
  double lr, momentum, decay, clip;
  bool nesterov;
};

struct SgdStep {
  Sum w, m;
};

// What one element becomes. Each Sum lists the products that its float32 arithmetic rounds.
inline SgdStep sgd(const SgdOptions &o, double w, double m, double g) {
  SgdStep r;
  Sum gradient;
  gradient.add(g * o.clip);
  gradient.add(o.decay * w);
  r.m.add(o.momentum * m);
  r.m.add(gradient.value, gradient.magnitude);
  double step = o.nesterov ? gradient.value + o.momentum * r.m.value : r.m.value;
  double step_magnitude = o.nesterov ? gradient.magnitude + o.momentum * r.m.magnitude : r.m.magnitude;
  r.w.add(w);
  r.w.add(-o.lr * step, o.lr * step_magnitude);
  return r;
}

// In long double, so that the reference is exact beside a sum in double.
inline long double sum_squares(int64_t count, const double *x) {
  long double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += static_cast<long double>(x[i]) * x[i];
  return sum;
}

}  // namespace segnas::ref
