// The passes over an activation that batch norm and its parts are made of. P pixels of C channels; geometry and sums: plugin/columns.h.
//
//                    reads     writes   operations an element
//   moments          x                  3      sums of x - shift and (x - shift)^2
//   apply            x         y        3      y = (x - mean) scale + beta, ReLU; 5 more where the norm quantises
//   gradient_sums    x, dy    (dx)      6      sums of g and g (x - mean), g = dy masked; with given statistics dx = scale g in the same pass
//   gradient         x, dy     dx       8      dx = scale (g - centre - (x - mean) slope)
//
// At 4 bytes an element read or written and at most one operation a byte every pass is bound by memory: on an H100 (3.35 TB/s) forward takes 12 P C
// bytes, 3.6 ps an element, backward 20 P C, 6 ps. So threads hold few registers and many loads: kBatch pixels are read before the first is used.
// Cache keeps what it can between the two passes of a call; nothing is staged.
#pragma once
#include "../../plugin/columns.h"

namespace segnas::gpu {

constexpr int kBatch = 4;

// ---------------------------------------------------------------- statistics

template <class Stored>
struct MomentsArgs {
  Columns columns;
  Matrix<Stored> x;
  double *slabs;  // [slab][channels][2]
  float *shift;   // [channels], about which the sums are
};

// Near the mean: of 16 pixels spread over x, as a tree, so that equal values give exactly themselves; 0 where that is not finite.
template <class Stored>
SEGNAS_DEVICE Quad shift_of(const Matrix<Stored> &x, int64_t pixels, int64_t channel, int64_t left) {
  Quad groups[4];
#pragma unroll
  for (int g = 0; g < 4; g++) {
    Quad q[4];
#pragma unroll
    for (int i = 0; i < 4; i++) q[i] = x.load((4 * g + i) * pixels / 16, channel, left);
#pragma unroll
    for (int i = 0; i < 4; i++) groups[g].at[i] = (q[0].at[i] + q[1].at[i]) + (q[2].at[i] + q[3].at[i]);
  }
  Quad shift;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float mean = ((groups[0].at[i] + groups[1].at[i]) + (groups[2].at[i] + groups[3].at[i])) * 0.0625f;
    shift.at[i] = mean - mean == 0 ? mean : 0.0f;
  }
  return shift;
}

template <class Stored>
SEGNAS_KERNEL(kColumnThreads) moments(const MomentsArgs<Stored> a) {
  const Column at = column_of(a.columns);
  const Quad shift = shift_of(a.x, a.columns.pixels, at.channel, at.left);
  if (block_x() == 0 && at.row == 0) store_quad(a.shift + at.channel, shift, at.left, false);
  ColumnSums<2> sums;
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      x[i] = a.x.load(pixel, at.channel, pixel < at.end ? at.left : 0);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      if (p + i * a.columns.rows >= at.end) break;
      Quad terms[2];
#pragma unroll
      for (int c = 0; c < 4; c++) {
        terms[0].at[c] = x[i].at[c] - shift.at[c];
        terms[1].at[c] = terms[0].at[c] * terms[0].at[c];
      }
      sums.add(terms);
    }
  }
  put_sums(a.columns, at, sums, a.slabs);
}

// ---------------------------------------------------------------- the activation

template <class Stored>
struct ApplyArgs {
  Columns columns;
  Matrix<Stored> x, y;
  QuadNorms norm;
};

template <bool kQuantised, class Stored>
SEGNAS_KERNEL(kColumnThreads) apply(const ApplyArgs<Stored> a) {
  const Column at = column_of(a.columns);
  const QuadNorm norm = load_norm(a.norm, at.channel, at.left);
  QuadRange range = {};
  if constexpr (kQuantised) range = load_range(a.norm, at.channel, at.left);
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      x[i] = a.x.load(pixel, at.channel, pixel < at.end ? at.left : 0);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      Quad y;
      if constexpr (kQuantised) {
        y = activations(x[i], norm, range, a.norm.rows);
      } else {
        y = activations(x[i], norm, a.norm.rows.relu);
      }
      a.y.store(pixel, at.channel, y, pixel < at.end ? at.left : 0);
    }
  }
}

// ---------------------------------------------------------------- gradients

template <class Stored>
struct GradientArgs {
  Columns columns;
  Matrix<Stored> x, dy, dx;
  QuadNorms norm;
  double *slabs;  // of sums: [slab][channels][2], or 3 where the norm quantises
};

// Of sums, where kFrozen with dx as well.
template <bool kFrozen, bool kQuantised, class Stored>
SEGNAS_KERNEL(kColumnThreads) gradient_sums(const GradientArgs<Stored> a) {
  constexpr int kSums = kQuantised ? 3 : 2;
  const Column at = column_of(a.columns);
  const QuadNorm norm = load_norm(a.norm, at.channel, at.left);
  QuadRange range = {};
  if constexpr (kQuantised) range = load_range(a.norm, at.channel, at.left);
  ColumnSums<kSums> sums;
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch], dy[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows, left = pixel < at.end ? at.left : 0;
      x[i] = a.x.load(pixel, at.channel, left);
      dy[i] = a.dy.load(pixel, at.channel, left);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      if (pixel >= at.end) break;
      Quad terms[kSums];
      if constexpr (kQuantised) {
        terms[0] = masked(x[i], dy[i], norm, range, a.norm.rows, terms[2]);
      } else {
        terms[0] = masked(x[i], dy[i], norm, a.norm.rows.relu);
      }
#pragma unroll
      for (int c = 0; c < 4; c++) terms[1].at[c] = terms[0].at[c] * (x[i].at[c] - norm.mean.at[c]);
      sums.add(terms);
      if constexpr (kFrozen) {
        Quad dx;
#pragma unroll
        for (int c = 0; c < 4; c++) dx.at[c] = norm.scale.at[c] * terms[0].at[c];
        a.dx.store(pixel, at.channel, dx, at.left);
      }
    }
  }
  put_sums(a.columns, at, sums, a.slabs);
}

template <bool kQuantised, class Stored>
SEGNAS_KERNEL(kColumnThreads) gradient(const GradientArgs<Stored> a) {
  const Column at = column_of(a.columns);
  const QuadNorm norm = load_norm(a.norm, at.channel, at.left);
  const QuadBend bend = load_bend(a.norm, at.channel, at.left);
  QuadRange range = {};
  if constexpr (kQuantised) range = load_range(a.norm, at.channel, at.left);
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch], dy[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows, left = pixel < at.end ? at.left : 0;
      x[i] = a.x.load(pixel, at.channel, left);
      dy[i] = a.dy.load(pixel, at.channel, left);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      Quad dx;
      if constexpr (kQuantised) {
        dx = gradients(x[i], dy[i], norm, bend, range, a.norm.rows);
      } else {
        dx = gradients(x[i], dy[i], norm, bend, a.norm.rows.relu);
      }
      a.dx.store(pixel, at.channel, dx, pixel < at.end ? at.left : 0);
    }
  }
}

}  // namespace segnas::gpu
