// Dense 3x3 in double: plain loops over dense arrays, as segnas.h words it.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct Conv3x3Shape {
  int64_t n, h, w, cin, cout, stride;
  int64_t ho() const { return strided_size(h, stride); }
  int64_t wo() const { return strided_size(w, stride); }
};

// visit(x index, w index, y index) for every product of the sum.
template <class Visit>
void conv3x3_products(const Conv3x3Shape &s, Visit visit) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t i = 0; i < s.ho(); i++)
      for (int64_t j = 0; j < s.wo(); j++)
        for (int64_t u = 0; u < 3; u++)
          for (int64_t v = 0; v < 3; v++) {
            int64_t a = i * s.stride + u - 1, b = j * s.stride + v - 1;
            if (a < 0 || a >= s.h || b < 0 || b >= s.w) continue;
            for (int64_t c = 0; c < s.cin; c++)
              for (int64_t o = 0; o < s.cout; o++)
                visit(((n * s.h + a) * s.w + b) * s.cin + c, ((3 * u + v) * s.cin + c) * s.cout + o, ((n * s.ho() + i) * s.wo() + j) * s.cout + o);
          }
}

inline void conv3x3_forward(const Conv3x3Shape &s, const double *x, const double *w, Sum *y) {
  conv3x3_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { y[iy].add(x[ix] * w[iw]); });
}

inline void conv3x3_backward_input(const Conv3x3Shape &s, const double *dy, const double *w, Sum *dx) {
  conv3x3_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { dx[ix].add(dy[iy] * w[iw]); });
}

// Adds to dw: give it the old gradient as a first term to accumulate.
inline void conv3x3_backward_weight(const Conv3x3Shape &s, const double *x, const double *dy, Sum *dw) {
  conv3x3_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { dw[iw].add(x[ix] * dy[iy]); });
}

}  // namespace segnas::ref
