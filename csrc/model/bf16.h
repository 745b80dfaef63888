// The contract of the bfloat16 kernels of sessions.
//
// In memory a pixel's channels come in groups of 2*lanes, the last one filled up with zeros; within a group position 2i holds channel i and
// position 2i+1 channel lanes+i. A group read as pairs then splits into two vectors of neighbouring channels by a shift and a mask, which is what
// a depthwise convolution in float32 wants, and pairs are what a bfloat16 product sums over anyway. "Stored" below means this layout.
//
// Orders: products are one chain per output over ascending positions, the odd one of a pair first; depthwise sums are one chain of FMAs in
// float32 from the bias, taps in row-major order. Rows, stretches and tiles do not change them.
#pragma once
#include <cstdint>

#include "../core/ahead.h"
#include "../core/interpolation.h"
#include "../ops/conv3x3/conv3x3.h"
#include "../ops/elementwise/elementwise.h"

namespace segnas {

// One output row of y = add + upsampled x (ReLU after it; add nullptr: zero): stored rows; sums in float32.
struct Bf16UpsampleRow {
  const uint16_t *top, *bottom;  // bottom is not read when bottom_weight is 0
  float top_weight, bottom_weight;
  int64_t stored;  // numbers of a pixel
  Axis columns;
  const uint16_t *add;
  bool relu;
  uint16_t *y;
  float *line;  // workspace [columns.in * stored]
};

// A stretch of a picture's row as bfloat16: pixels [first, first + columns), zeros where they lie outside the picture.
struct Bf16Line {
  const void *row;  // nullptr: outside
  bool bytes;       // u8 pictures: value * scale[c] + shift[c]; else float32
  int64_t in_w, cin, first, columns;
  const float *scale, *shift;  // [cin], kNormalisePixels times over
  uint16_t *line;  // [columns * cin]
};

// Dense 3x3 on the lines of the three tap rows: output column j reads pixels [j*stride, j*stride + 3) of each. out stored.
struct Bf16Dense {
  const uint16_t *lines[3];
  int64_t cin, stride, columns, cout;
  const uint16_t *packed;
  const float *bias;
  bool relu;
  int64_t out_pitch;
  uint16_t *out;
};

// y row or stretch of one, stored: as DwconvRow (ops/dwconv/dwconv.h), w [groups][k*k][2*lanes] and bias [groups][2*lanes] in channel order.
using Bf16Depthwise = void(const uint16_t *const *rows, int64_t in_w, int64_t first, const float *w, const float *bias, bool relu, int64_t stored,
                           int64_t out_w, uint16_t *out);

struct Bf16Kernels {
  int lanes;
  // w [k,n] to panels of 2*lanes columns, [panel][pairs][2*lanes][2]: pairs of rows, by positions of the group layout.
  void (*pack)(const float *w, int64_t k, int64_t n, uint16_t *packed);
  // w [9*cin,n], by tap rows: three runs of 3*cin rows in order, each filled up to whole pairs.
  void (*pack_dense)(const float *w, int64_t cin, int64_t n, uint16_t *packed);
  // c[rows, n] = a[rows, pairs] packed + bias [n filled up] + residual (stored), then ReLU. c: stored, its fill zero where all sums are finite; or float32 [n]
  // when floats is set.
  void (*rows)(const uint16_t *a, int64_t a_pitch, int64_t rows, const uint16_t *packed, int64_t pairs, int64_t n, const float *bias,
               const uint16_t *residual, int64_t residual_pitch, bool relu, bool floats, void *c, int64_t c_pitch, Ahead ahead);
  Bf16Depthwise *depthwise[3][2];  // [(k-3)/2][s-1]
  void (*line)(const Bf16Line &);
  void (*dense)(const Bf16Dense &);
  void (*upsample)(const Bf16UpsampleRow &);
  // Between float32 [pixels, c] and stored pixels.
  void (*to_stored)(const float *x, int64_t pixels, int64_t c, uint16_t *y);
  void (*to_float)(const uint16_t *x, int64_t pixels, int64_t c, float *y);
};

constexpr int64_t bf16_stored(int64_t lanes, int64_t channels) { return (channels + 2 * lanes - 1) / (2 * lanes) * (2 * lanes); }
// Pairs of rows that a product sums over: of stored pixels, of a dense 3x3 layer.
constexpr int64_t bf16_pairs(int64_t lanes, int64_t k) { return bf16_stored(lanes, k) / 2; }
constexpr int64_t bf16_dense_pairs(int64_t cin) { return 3 * ((3 * cin + 1) / 2); }
constexpr int64_t bf16_packed(int64_t lanes, int64_t pairs, int64_t n) { return bf16_stored(lanes, n) * 2 * pairs; }

}  // namespace segnas
