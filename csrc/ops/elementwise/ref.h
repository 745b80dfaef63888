// ReLU, addition, fill, copy and axpy of one element in double, as segnas.h words them.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

// max(x, 0), and NaN stays NaN.
inline double relu_forward(double x) { return x <= 0 ? 0 : x; }
inline double relu_backward(double y, double dy) { return y > 0 ? dy : 0; }
inline double add_forward(double a, double b, bool relu) { return relu ? relu_forward(a + b) : a + b; }

inline Sum axpy(double alpha, double x, double y) {
  Sum sum;
  sum.add(y);
  sum.add(alpha * x);
  return sum;
}

}  // namespace segnas::ref
