// Enlarging by bilinear or nearest weights, of rows in memory: what upsample's operations and sessions share. forward.cu has the kernels.
#pragma once
#include "../../plugin/interpolation.h"

namespace segnas::gpu {

// Pixels [n, h, w] of `channels` elements, `pitch` elements apart.
template <class Stored>
struct Resize {
  const Stored *x;
  int64_t x_pitch;
  const Stored *addend;  // at y's pixels, or NULL
  int64_t addend_pitch;
  Stored *y;
  int64_t y_pitch;
  int64_t pictures, channels;
  Axis rows, columns;
  int32_t relu = 0;  // of the sum
};

// y = relu(resized x + addend), computed in float32 and rounded once. Stored: float, Half or Bfloat16. y may be the addend's memory.
template <class Stored>
segnas_status resize(const char *name, Stream *s, const Resize<Stored> &r, segnas_error *err);

}  // namespace segnas::gpu
