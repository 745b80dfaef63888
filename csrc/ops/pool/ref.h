// Adaptive average pooling in double: plain loops over dense arrays, as segnas.h words it.
#pragma once
#include "../../test/sum.h"

namespace segnas::ref {

struct PoolShape {
  int64_t n, h, w, rows, columns, c;  // x [n,h,w,c], y [n,rows,columns,c]
};

struct Bin {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Floor and ceiling by search, so that no formula is shared with the library.
inline Bin bin_of(int64_t in, int64_t out, int64_t i) {
  Bin bin{0, 0};
  while ((bin.begin + 1) * out <= i * in) bin.begin++;
  while (bin.end * out < (i + 1) * in) bin.end++;
  return bin;
}

// visit(x index, y index, 1/count) for every pixel of every bin.
template <class Visit>
void pool_products(const PoolShape &s, Visit visit) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t i = 0; i < s.rows; i++)
      for (int64_t j = 0; j < s.columns; j++) {
        const Bin down = bin_of(s.h, s.rows, i), across = bin_of(s.w, s.columns, j);
        for (int64_t a = down.begin; a < down.end; a++)
          for (int64_t b = across.begin; b < across.end; b++)
            for (int64_t c = 0; c < s.c; c++)
              visit(((n * s.h + a) * s.w + b) * s.c + c, ((n * s.rows + i) * s.columns + j) * s.c + c, 1 / double(down.size() * across.size()));
      }
}

inline void avg_pool_forward(const PoolShape &s, const double *x, Sum *y) {
  pool_products(s, [=](int64_t ix, int64_t iy, double weight) { y[iy].add(weight * x[ix]); });
}

inline void avg_pool_backward(const PoolShape &s, const double *dy, Sum *dx) {
  pool_products(s, [=](int64_t ix, int64_t iy, double weight) { dx[ix].add(weight * dy[iy]); });
}

}  // namespace segnas::ref
