// Labels of rows in memory: what the operation argmax and sessions share. argmax.cu has the kernels.
#pragma once
#include "../../plugin/op.h"

namespace segnas::gpu {

// float32 logits [pictures, h, w] of `classes` <= 256, their pixels `pitch` elements apart.
struct Logits {
  const float *at;
  int64_t pitch, pictures, h, w, classes;
};

// labels [pictures, h, w] of the logits upsampled bilinearly: the first class of the largest.
segnas_status label_pixels(const char *name, Stream *s, const Logits &logits, uint8_t *labels, int64_t h, int64_t w, segnas_error *err);

}  // namespace segnas::gpu
