// Pointwise (1x1) convolution: y[p,o] = sum_c x[p,c] w[c,o] + b[o] over pixels p; rows of x, w and y at any pitch >= their length.
// Deployed networks use the same kernels with a residual and ReLU in the epilogue.
//
// Orders: forward and backward_input are one FMA chain per output over ascending channels (depth = channels). The weight gradient sums
// chunks of 128 pixels, chunks of a slab one after another, slabs in order; slabs depend on the number of pixels alone.
#pragma once
#include <cstdint>

#include "../../core/ahead.h"

namespace segnas {

struct PwconvKernels {
  // Floats that w, packed, takes: k rows (summed over), n columns.
  int64_t (*packed_floats)(int64_t k, int64_t n);
  // w [k,n], or its transpose when w is [n,k].
  void (*pack)(const float *w, int64_t pitch, bool transposed, int64_t k, int64_t n, float *packed);
  // c[rows,n] = a[rows,k] packed + bias + residual, then ReLU; bias and residual may be nullptr. c may be residual.
  void (*rows)(const float *a, int64_t a_pitch, int64_t rows, const float *packed, int64_t k, int64_t n, const float *bias,
               const float *residual, int64_t residual_pitch, bool relu, float *c, int64_t c_pitch, Ahead ahead);
  // Weight gradient of one slab of pixels into partial (padded to whole tiles), or onto it when more.
  int64_t (*partial_floats)(int64_t m, int64_t n);
  int64_t (*partial_scratch_floats)(int64_t m, int64_t n);
  void (*weight_slab)(const float *x, int64_t x_pitch, const float *dy, int64_t dy_pitch, int64_t pixels, int64_t m, int64_t n, bool more,
                      Ahead ahead, float *partial, float *scratch);
  // Rows [row_begin, row_end) of dw = (accumulate ? dw : 0) + the slabs' partials in order.
  void (*weight_sum)(const float *partials, int64_t slabs, int64_t m, int64_t n, int64_t row_begin, int64_t row_end, bool accumulate, float *dw,
                     int64_t dw_pitch);
  // sums[n] = column sums of one slab of dy: f32 over 128 pixels, then double.
  void (*bias_slab)(const float *dy, int64_t dy_pitch, int64_t pixels, int64_t n, double *sums);
};

// Pixels in a slab: at most 16 slabs, as equal as GEMM tiles allow, of 240 pixels or more where there are as many (a slab's partial sums are written
// and read once more).
inline int64_t pwconv_slab_pixels(int64_t pixels) {
  int64_t slabs = pixels / 240 < 1 ? 1 : pixels / 240 > 16 ? 16 : pixels / 240;
  return ((pixels + slabs - 1) / slabs + 11) / 12 * 12;
}

}  // namespace segnas
