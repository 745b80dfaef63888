// Resizing in double: plain loops over dense arrays, as segnas.h words it. Half-pixel centres, positions from integers.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct UpsampleShape {
  int64_t n, h, w, ho, wo, c;
};

// The two source rows (or columns) of output index i, and the second one's weight.
struct Tap {
  int64_t first, second;
  double weight;
};

inline Tap resize_tap(int64_t i, int64_t in, int64_t out, bool nearest) {
  if (nearest) {
    int64_t source = (2 * i + 1) * in / (2 * out);
    return {source, source, 0};
  }
  // (i+0.5) in/out - 0.5 over the common denominator 2 out.
  int64_t denominator = 2 * out, numerator = (2 * i + 1) * in - out;
  if (numerator <= 0) return {0, 0, 0};
  if (numerator >= (in - 1) * denominator) return {in - 1, in - 1, 0};
  int64_t first = numerator / denominator;
  return {first, first + 1, double(numerator - first * denominator) / double(denominator)};
}

// visit(x index, y index, weight) for every tap with a weight.
template <class Visit>
void upsample_products(const UpsampleShape &s, bool nearest, Visit visit) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t i = 0; i < s.ho; i++) {
      Tap rows = resize_tap(i, s.h, s.ho, nearest);
      for (int64_t j = 0; j < s.wo; j++) {
        Tap cols = resize_tap(j, s.w, s.wo, nearest);
        for (int corner = 0; corner < 4; corner++) {
          double weight = (corner & 2 ? rows.weight : 1 - rows.weight) * (corner & 1 ? cols.weight : 1 - cols.weight);
          if (weight == 0) continue;
          int64_t a = corner & 2 ? rows.second : rows.first, b = corner & 1 ? cols.second : cols.first;
          for (int64_t c = 0; c < s.c; c++) visit(((n * s.h + a) * s.w + b) * s.c + c, ((n * s.ho + i) * s.wo + j) * s.c + c, weight);
        }
      }
    }
}

// a is added when it is not NULL.
inline void upsample_forward(const UpsampleShape &s, const double *x, const double *a, bool nearest, Sum *y) {
  upsample_products(s, nearest, [=](int64_t ix, int64_t iy, double weight) { y[iy].add(weight * x[ix]); });
  if (!a) return;
  for (int64_t i = 0; i < s.n * s.ho * s.wo * s.c; i++) y[i].add(a[i]);
}

inline void upsample_backward(const UpsampleShape &s, const double *dy, bool nearest, Sum *dx) {
  upsample_products(s, nearest, [=](int64_t ix, int64_t iy, double weight) { dx[ix].add(weight * dy[iy]); });
}

}  // namespace segnas::ref
