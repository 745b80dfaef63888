// Softmax cross-entropy and argmax on logits that are upsampled bilinearly inside the kernel: logits of full size never exist.
//
// Both walk a band of one picture in column tiles that stay in the first-level cache. Two low-resolution rows are interpolated along the
// row into [class][tile] buffers, each row once per tile; an output row is their weighted sum, vectorised over pixels. Taps of weight 0
// take no part. Bands and tiles are fixed by shapes. A session calls argmax for any range of rows without a stream.
#pragma once
#include <cstdint>

#include "../../core/interpolation.h"

namespace segnas {

constexpr int32_t kMostClasses = 64;
// Low-resolution rows of one band of cross_entropy and argmax: enough bands for the threads, few enough that the row shared by two bands,
// which both interpolate, costs little.
constexpr int64_t kLossBandRows = 4;

// labels of output rows [row_begin, row_end): the argmax over classes, the least among equals; a NaN is never the largest (all NaN: 0).
// Products and sums are rounded one by one: the same labels on every instruction set.
struct ArgmaxRows {
  const float *logits;  // one picture: rows.in x columns.in pixels, pitch floats apart
  int64_t pitch;
  int32_t classes;
  Axis rows, columns;
  int64_t row_begin, row_end;
  uint8_t *labels;  // the picture's labels, rows.out x columns.out, dense
  float *scratch;   // argmax_scratch_floats(classes), 64-byte aligned
};

// Output rows whose upper source row is in [low_begin, low_end). With p = softmax(z), the gradient of a pixel's logits is
// gradient_scale loss_weight[y] (p - onehot(y)); the low-resolution one is the interpolation's transpose of it.
struct CrossEntropyBand {
  const float *logits;  // as in ArgmaxRows
  int64_t pitch;
  int32_t classes;
  Axis rows, columns;
  int64_t low_begin, low_end;
  const uint8_t *labels;     // the picture's; each is below classes or has weight 0
  const float *loss_weight;  // [256], by label value; 0: the pixel takes no part
  float gradient_scale;
  float *dlogits;  // the picture's gradient; rows [low_begin, low_end) are overwritten. NULL: loss alone
  int64_t dlogits_pitch;
  float *carry;    // [columns.in * classes], overwritten: what this band owes to row low_end (nothing when that is rows.in)
  float *scratch;  // cross_entropy_scratch_floats(classes), 64-byte aligned
  double *loss;    // receives the band's sum of loss_weight[y] (-log p[y])
  float *map;      // the picture's -log p[y], [rows.out * columns.out], never negative, 0 where the weight is 0; NULL: not wanted
};

// The mean cross-entropy of softmax(logits) against softmax(teacher) on maps of one size, a piece of their pixels: turned to classes outermost a tile at a
// time, vectorised over pixels.
struct Distillation {
  const float *logits;
  int64_t pitch;
  const float *teacher;
  int64_t teacher_pitch;
  int32_t classes;
  int64_t pixels;
  float gradient_scale;
  float *dlogits;  // gradient_scale (softmax(logits) - softmax(teacher)), overwritten; NULL: loss alone
  int64_t dlogits_pitch;
  float *scratch;  // distillation_scratch_floats(classes)
  double *loss;    // receives the pixels' sum
};

// Pixels of a column tile: what a tile holds (for 19 classes 29 KiB and 22 KiB) stays in the first-level cache. Buffers of
// [class][tile + padding] keep whole vectors written past a tile's end away from the next class.
constexpr int64_t kLossTile = 32;
constexpr int32_t kFewClasses = 32;
constexpr int64_t argmax_tile(int32_t classes) { return classes <= kFewClasses ? 128 : 64; }
constexpr int64_t kTilePadding = 16;
// Output rows that cross_entropy holds at a time.
constexpr int kLossGroup = 4;
constexpr int64_t argmax_scratch_floats(int32_t classes) {
  return 2 * classes * (argmax_tile(classes) + kTilePadding) + argmax_tile(classes) + kTilePadding;
}
constexpr int64_t cross_entropy_scratch_floats(int32_t classes) {
  return ((4 + kLossGroup) * classes + 3 + 2 * kLossGroup) * (kLossTile + kTilePadding);
}
constexpr int64_t distillation_scratch_floats(int32_t classes) { return (2 * classes + 1) * (kLossTile + kTilePadding); }

struct LossKernels {
  void (*argmax)(const ArgmaxRows &);
  void (*cross_entropy)(const CrossEntropyBand &);
  void (*distillation)(const Distillation &);
};

}  // namespace segnas
