// The kernel transform in double: plain loops over dense arrays, as segnas.h words it.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct KtransformShape {
  int64_t large, small, c;  // kernel sizes, channels
  int64_t taps() const { return small * small; }
  // Where tap j of the centre lies among the large kernel's taps.
  int64_t centre(int64_t j) const {
    int64_t ring = (large - small) / 2;
    return (j / small + ring) * large + j % small + ring;
  }
};

inline void ktransform_forward(const KtransformShape &s, const double *w_large, const double *t, Sum *w_small) {
  for (int64_t i = 0; i < s.taps(); i++)
    for (int64_t j = 0; j < s.taps(); j++)
      for (int64_t c = 0; c < s.c; c++) w_small[i * s.c + c].add(t[i * s.taps() + j] * w_large[s.centre(j) * s.c + c]);
}

// Adds to both gradients.
inline void ktransform_backward(const KtransformShape &s, const double *w_large, const double *t, const double *dw_small, Sum *dw_large, Sum *dt) {
  for (int64_t i = 0; i < s.taps(); i++)
    for (int64_t j = 0; j < s.taps(); j++)
      for (int64_t c = 0; c < s.c; c++) {
        dw_large[s.centre(j) * s.c + c].add(t[i * s.taps() + j] * dw_small[i * s.c + c]);
        dt[i * s.taps() + j].add(dw_small[i * s.c + c] * w_large[s.centre(j) * s.c + c]);
      }
}

}  // namespace segnas::ref
