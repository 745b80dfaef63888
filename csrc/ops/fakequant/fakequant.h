// Fake quantisation of pixels' channels, and its gradients (segnas.h, "fake quantisation"): the contract of the kernels.
//
// y and dx are element by element, every operation one rounding and none contracted: the same bits on every instruction set, and on other backends.
// min and max are choices: what is below low becomes low, what is above high becomes high, and all else, -0 and NaN among it, stays. A clip that is
// infinite makes NaN of everything.
//
// The clip's gradient is summed by channel, also where one clip is shared by all: float32 over blocks of kFakequantBlock pixels, then double over the
// blocks, the slabs and, for a shared clip, the channels, in order. No lane ever meets another, so these bits too are the same on every instruction set.
#pragma once
#include <cstdint>

namespace segnas {

constexpr int64_t kFakequantBlock = 256;

// [channels] each, or [1] for all channels.
struct FakequantRange {
  const float *low, *high, *r, *s;
  bool per_channel;
};

// y = round(min(max(x, low), high) r) s. y may be x.
struct FakequantForward {
  const float *x;
  int64_t x_pitch;
  float *y;
  int64_t y_pitch;
  int64_t pixels, channels;
  FakequantRange range;
};

// dx = dy where low < x < high, else 0. sums[c] = sum over the pixels of dy where x >= high; with a sign less dy where x <= low; with a step and
// low < x < high also of dy (round(x r) - x r) step. dx may be dy.
struct FakequantBackward {
  const float *x;
  int64_t x_pitch;
  const float *dy;
  int64_t dy_pitch;
  float *dx;
  int64_t dx_pitch;
  int64_t pixels, channels;
  FakequantRange range;
  bool is_signed;
  float step;     // 1 / L; 0: none
  float *block;   // workspace [channels]
  double *sums;   // [channels]
};

struct FakequantKernels {
  void (*forward)(const FakequantForward &);
  void (*backward)(const FakequantBackward &);
};

}  // namespace segnas
