// ReLU, addition and axpy on runs of consecutive floats; elementwise.cc cuts views of any rank and strides into such runs. Nothing is
// reduced, so neither the cut nor the thread count can change a bit; no FMA, so instruction sets agree as well.
#pragma once
#include <cstdint>

namespace segnas {

constexpr int64_t kNormalisePixels = 16;

struct ElementwiseKernels {
  // y = max(x, 0); NaN stays NaN. y may be x.
  void (*relu)(int64_t n, const float *x, float *y);
  // dx = dy where y > 0, else 0. dx may be dy.
  void (*relu_backward)(int64_t n, const float *y, const float *dy, float *dx);
  // y = a + b, then max(., 0) when relu. y may be a or b.
  void (*add)(int64_t n, const float *a, const float *b, int32_t relu, float *y);
  // y += alpha x.
  void (*axpy)(int64_t n, float alpha, const float *x, float *y);
  // Pictures of bytes, for sessions: y[p,c] = x[p,c] scale[c] + shift[c]. scale and shift hold the channels' values kNormalisePixels times over.
  void (*normalise)(const uint8_t *x, int64_t pixels, int64_t channels, const float *scale, const float *shift, float *y);
};

}  // namespace segnas
