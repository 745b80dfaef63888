// Pointwise convolution in double: plain loops over dense arrays, as segnas.h words it.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct PwconvShape {
  int64_t pixels, cin, cout;
};

// bias may be NULL.
inline void pwconv_forward(const PwconvShape &s, const double *x, const double *w, const double *bias, Sum *y) {
  for (int64_t p = 0; p < s.pixels; p++)
    for (int64_t o = 0; o < s.cout; o++) {
      Sum &sum = y[p * s.cout + o];
      for (int64_t c = 0; c < s.cin; c++) sum.add(x[p * s.cin + c] * w[c * s.cout + o]);
      if (bias) sum.add(bias[o]);
    }
}

inline void pwconv_backward_input(const PwconvShape &s, const double *dy, const double *w, Sum *dx) {
  for (int64_t p = 0; p < s.pixels; p++)
    for (int64_t c = 0; c < s.cin; c++)
      for (int64_t o = 0; o < s.cout; o++) dx[p * s.cin + c].add(dy[p * s.cout + o] * w[c * s.cout + o]);
}

// Adds to dw and db: give them the old gradient as a first term to accumulate.
inline void pwconv_backward_weight(const PwconvShape &s, const double *x, const double *dy, Sum *dw) {
  for (int64_t p = 0; p < s.pixels; p++)
    for (int64_t c = 0; c < s.cin; c++)
      for (int64_t o = 0; o < s.cout; o++) dw[c * s.cout + o].add(x[p * s.cin + c] * dy[p * s.cout + o]);
}

inline void pwconv_backward_bias(const PwconvShape &s, const double *dy, Sum *db) {
  for (int64_t p = 0; p < s.pixels; p++)
    for (int64_t o = 0; o < s.cout; o++) db[o].add(dy[p * s.cout + o]);
}

}  // namespace segnas::ref
