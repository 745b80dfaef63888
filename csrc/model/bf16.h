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

#include "../core/interpolation.h"

namespace segnas {

// One output row of y = add + upsampled x (ReLU after it): stored rows; sums in float32.
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

// A stretch of a picture's 3x3 patches: patch j holds x[rows u][first + j*stride + v - 1][c] at (3u+v)*cin + c, zeros outside the picture and up to k.
struct Bf16Patches {
  const void *rows[3];  // nullptr: outside
  bool bytes;           // u8 pictures: value * scale[i] + shift[i], i = v*cin + c; else float32
  int64_t in_w, first, stride, cin, columns, k;
  const float *scale, *shift;  // [3*cin]
  uint16_t *patches;  // with room for a vector of `lanes` more
};

// y row or stretch of one, stored: as DwconvRow (ops/dwconv/dwconv.h), w [groups][k*k][2*lanes] and bias [groups][2*lanes] in channel order.
using Bf16Depthwise = void(const uint16_t *const *rows, int64_t in_w, int64_t first, const float *w, const float *bias, bool relu, int64_t stored,
                           int64_t out_w, uint16_t *out);

struct Bf16Kernels {
  int lanes;
  // w [k,n] to panels of 2*lanes columns, [panel][pairs][2*lanes][2]: pairs of rows (positions of the group layout when stored, else in order).
  void (*pack)(const float *w, int64_t k, int64_t n, bool stored, uint16_t *packed);
  // c[rows, n] = a[rows, pairs] packed + bias [n filled up] + residual (stored), then ReLU. c: stored, its fill zero where all sums are finite; or float32 [n]
  // when floats is set.
  void (*rows)(const uint16_t *a, int64_t a_pitch, int64_t rows, const uint16_t *packed, int64_t pairs, int64_t n, const float *bias,
               const uint16_t *residual, int64_t residual_pitch, bool relu, bool floats, void *c, int64_t c_pitch);
  Bf16Depthwise *depthwise[3][2];  // [(k-3)/2][s-1]
  void (*patches)(const Bf16Patches &);
  void (*upsample)(const Bf16UpsampleRow &);
  // Between float32 [pixels, c] and stored pixels.
  void (*to_stored)(const float *x, int64_t pixels, int64_t c, uint16_t *y);
  void (*to_float)(const uint16_t *x, int64_t pixels, int64_t c, float *y);
};

constexpr int64_t bf16_stored(int64_t lanes, int64_t channels) { return (channels + 2 * lanes - 1) / (2 * lanes) * (2 * lanes); }
// Pairs of rows that a product sums over.
constexpr int64_t bf16_pairs(int64_t lanes, int64_t k, bool stored) { return (stored ? bf16_stored(lanes, k) : k + k % 2) / 2; }
constexpr int64_t bf16_packed(int64_t lanes, int64_t k, int64_t n, bool stored) { return bf16_stored(lanes, n) * 2 * bf16_pairs(lanes, k, stored); }

}  // namespace segnas
