// Depthwise k x k in double: plain loops over dense arrays, as segnas.h words it.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct DwconvShape {
  int64_t n, h, w, c, k, stride;
  int64_t ho() const { return strided_size(h, stride); }
  int64_t wo() const { return strided_size(w, stride); }
};

// visit(x index, w index, y index) for every product of the sum.
template <class Visit>
void dwconv_products(const DwconvShape &s, Visit visit) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t i = 0; i < s.ho(); i++)
      for (int64_t j = 0; j < s.wo(); j++)
        for (int64_t u = 0; u < s.k; u++)
          for (int64_t v = 0; v < s.k; v++) {
            int64_t a = i * s.stride + u - s.k / 2, b = j * s.stride + v - s.k / 2;
            if (a < 0 || a >= s.h || b < 0 || b >= s.w) continue;
            for (int64_t c = 0; c < s.c; c++)
              visit(((n * s.h + a) * s.w + b) * s.c + c, (u * s.k + v) * s.c + c, ((n * s.ho() + i) * s.wo() + j) * s.c + c);
          }
}

inline void dwconv_forward(const DwconvShape &s, const double *x, const double *w, Sum *y) {
  dwconv_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { y[iy].add(x[ix] * w[iw]); });
}

inline void dwconv_backward_input(const DwconvShape &s, const double *dy, const double *w, Sum *dx) {
  dwconv_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { dx[ix].add(dy[iy] * w[iw]); });
}

// Adds to dw: give it the old gradient as a first term to accumulate.
inline void dwconv_backward_weight(const DwconvShape &s, const double *x, const double *dy, Sum *dw) {
  dwconv_products(s, [=](int64_t ix, int64_t iw, int64_t iy) { dw[iw].add(x[ix] * dy[iy]); });
}

}  // namespace segnas::ref
