// Batch norm over the pixels of an N,H,W,C activation (Ioffe and Szegedy 2015), with the ReLU that follows it.
//
// Pixels are split into slabs; a slab's sums are f32 within blocks of kBatchnormBlock pixels and double over the blocks, and slabs are
// added in order, in double. The split depends on the shape alone. Sums are taken about a per-channel shift near the mean (the mean of up
// to 16 of x's pixels), so that a large mean does not cancel the variance away; a constant channel has variance exactly 0.
// The normalised value is fma(x - mean, scale, beta) with scale = inv_std * gamma rounded to float, in the forward pass, in inference and
// in the mask that the backward pass recomputes: one function, so the same bits on one instruction set.
// inv_std = float(1 / sqrt(double(var) + double(eps))) everywhere.
#pragma once
#include <cstdint>

namespace segnas {

constexpr int64_t kBatchnormBlock = 256;

// Of an activation that is quantised: round(min(max(., low), high) r) s takes the place of the activation. low NULL: it is not.
struct BatchnormRange {
  const float *low = nullptr, *high = nullptr, *r = nullptr, *s = nullptr;  // [channels]
};

// sums[0][c] = sum over the slab's pixels of x - shift, sums[1][c] = sum of (x - shift)^2.
struct BatchnormSums {
  const float *x;
  int64_t pitch, pixels, channels;
  const float *shift;  // [channels]
  float *block;        // workspace [2][channels]
  double *sums;        // [2][channels], overwritten, or added to when more
  bool more = false;
};

// y = (x - mean) scale + beta, then max(., 0) when relu, then quantised. y may be x.
struct BatchnormApply {
  const float *x;
  int64_t x_pitch;
  float *y;
  int64_t y_pitch;
  int64_t pixels, channels;
  const float *mean, *scale, *beta;  // [channels]
  int32_t relu;
  int64_t ahead = 0;  // x this many floats further on is asked for, to be read soon; 0: nothing is
  BatchnormRange range = {};
};

// With g = dy, masked by the forward value's sign when relu: sums[0][c] = sum of g, sums[1][c] = sum of g (x - mean). Frozen statistics
// (dx not NULL): also dx = scale g, in the same pass; dx may be dy. Quantised (never frozen): g = dy where low < activation < high too, and
// sums[2][c] = sum of dy where activation >= high, less dy where activation <= low < 0.
struct BatchnormGradientSums {
  const float *x;
  int64_t x_pitch;
  const float *dy;
  int64_t dy_pitch;
  int64_t pixels, channels;
  const float *mean, *scale, *beta;
  int32_t relu;
  float *dx;  // or NULL
  int64_t dx_pitch;
  float *block;  // workspace [2][channels], or [3] when quantised
  double *sums;  // the same, overwritten, or added to when more
  bool more = false;
  BatchnormRange range = {};
};

// dx = scale (g - centre - (x - mean) slope), centre = mean(g), slope = inv_std^2 mean(g (x - mean)), g as above. dx may be dy.
struct BatchnormGradient {
  const float *x;
  int64_t x_pitch;
  const float *dy;
  int64_t dy_pitch;
  int64_t pixels, channels;
  const float *mean, *scale, *beta, *centre, *slope;
  int32_t relu;
  float *dx;
  int64_t dx_pitch;
  int64_t ahead = 0;  // x and dy this many floats further on are asked for, to be read soon; 0: nothing is
  BatchnormRange range = {};
};

struct BatchnormKernels {
  void (*sums)(const BatchnormSums &);
  void (*apply)(const BatchnormApply &);
  void (*gradient_sums)(const BatchnormGradientSums &);
  void (*gradient)(const BatchnormGradient &);
};

}  // namespace segnas
