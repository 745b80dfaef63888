// Resizing of N,H,W,C activations, bilinear or nearest, one output row at a time; also the way a session fuses two branches.
//
// A value is interpolated down the column first, then along the row: with t(j) = v0 top(j) + v1 bottom(j), y = w0 t(lo) + w1 t(lo+1), each
// product and sum rounded (no FMA): the same bits on every instruction set. Taps of weight 0 are not read, so an infinity spreads no
// further than its weights. The transpose adds in ascending order of outputs, first along the row, then down the column: depth (terms in
// one sum) at most 2 ceil(Wo/W) + 2 ceil(Ho/H).
#pragma once
#include <cstdint>

#include "../../core/interpolation.h"

namespace segnas {

// One output row of one picture.
struct UpsampleRow {
  const float *top, *bottom;  // source rows of w pixels, x_pitch floats apart; bottom is not read when bottom_weight is 0
  float top_weight, bottom_weight;
  int64_t x_pitch, channels;
  Axis columns;
  const float *add;  // NULL, or the output row's addend: y = add + upsampled
  int64_t add_pitch;
  int32_t relu;  // max(., 0) at the end
  float *y;      // may be add
  int64_t y_pitch;
  float *line;  // workspace [columns.in * channels]
};

// dx rows [row_begin, row_end) of one picture: the transpose of the upsampling of dy.
struct UpsampleBackward {
  const float *dy;  // the picture's first pixel
  int64_t dy_pitch;
  float *dx;
  int64_t dx_pitch;
  int64_t channels;
  Axis rows, columns;
  int64_t row_begin, row_end;
  float *line;  // workspace [columns.in * channels]
};

struct UpsampleKernels {
  void (*row)(const UpsampleRow &);
  void (*backward)(const UpsampleBackward &);
};

}  // namespace segnas
