// segnas_conv3x3_*: checks, packing, and the split into pieces.
#include "conv3x3.h"

#include <algorithm>

#include "../../core/view.h"

namespace segnas {
namespace {

struct Conv3x3 {
  int64_t n, in_h, in_w, out_h, out_w, cin, cout, stride;
};

segnas_status check_picture(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_pixels(s, op, name, t, out, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,C)", op, name, t->rank);
  return SEGNAS_OK;
}

// x and y are the input and output of the forward pass or their gradients; w [9*Cin, Cout] or its gradient.
segnas_status check(const segnas_stream *s, const char *op, const char *x_name, const segnas_tensor *x, const char *w_name, const segnas_tensor *w,
                    const char *y_name, const segnas_tensor *y, int32_t stride, Conv3x3 *d, int64_t *w_pitch, segnas_error *err) {
  Pixels in, out;
  SEGNAS_TRY(check_picture(s, op, x_name, x, &in, err));
  SEGNAS_TRY(check_picture(s, op, y_name, y, &out, err));
  SEGNAS_TRY(check_matrix(s, op, w_name, w, 9 * in.channels, out.channels, w_pitch, err));
  if (stride != 1 && stride != 2) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: stride is %d, should be 1 or 2", op, stride);
  if (in.channels > kConv3x3MostChannels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has %lld channels, should be at most %lld", op, x_name, static_cast<long long>(in.channels), static_cast<long long>(kConv3x3MostChannels));
  SEGNAS_TRY(check_equal(op, "number of pictures of the output", out.n, in.n, err));
  SEGNAS_TRY(check_equal(op, "height of the output", out.h, (in.h - 1) / stride + 1, err));
  SEGNAS_TRY(check_equal(op, "width of the output", out.w, (in.w - 1) / stride + 1, err));
  *d = {in.n, in.h, in.w, out.h, out.w, in.channels, out.channels, stride};
  return SEGNAS_OK;
}

int64_t parts(int64_t total, int64_t most) { return (total + most - 1) / most; }

// The input rows under the three tap rows of output row `row`.
struct RowPointers {
  const float *rows[3];
  RowPointers(const Conv3x3 &d, const float *picture, int64_t pitch, int64_t row) {
    for (int64_t u = 0; u < 3; u++) {
      int64_t in = row * d.stride + u - 1;
      rows[u] = in < 0 || in >= d.in_h ? nullptr : picture + in * d.in_w * pitch;
    }
  }
};

// Rows that one piece makes.
constexpr int64_t kBandRows = 8;

// Pixels of a slab, whose rows' sums are added in float32 before the slabs are added pairwise; a row longer than kStretch is summed in stretches.
constexpr int64_t kSlabPixels = 2048, kStretch = 512;

struct WeightGradient {
  const float *x, *dy;
  int64_t x_pitch, dy_pitch;
};

// The sums [9*Cin][Cout] over rows [row, row_end) of one picture.
void sum_slab(const Conv3x3Kernels &kernels, const Conv3x3 &d, const WeightGradient &g, int64_t picture, int64_t row, int64_t row_end, float *sums) {
  std::fill_n(sums, 9 * d.cin * d.cout, 0.0f);
  const float *x = g.x + picture * d.in_h * d.in_w * g.x_pitch;
  for (int64_t i = row; i < row_end; i++) {
    const RowPointers at(d, x, g.x_pitch, i);
    const float *dy = g.dy + (picture * d.out_h + i) * d.out_w * g.dy_pitch;
    for (int64_t j = 0; j < d.out_w; j += kStretch)
      kernels.weight_row(at.rows, d.in_w, g.x_pitch, j * d.stride, d.stride, d.cin, dy + j * g.dy_pitch, g.dy_pitch, d.cout, std::min(kStretch, d.out_w - j), sums);
  }
}

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_conv3x3_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Conv3x3 d;
  int64_t w_pitch;
  SEGNAS_TRY(check(s, __func__, "x", x, "w", w, "y", y, stride, &d, &w_pitch, err));
  SEGNAS_DISPATCH(s, conv3x3_forward, err, x, w, stride, y);
  const Conv3x3Kernels &kernels = s->context->kernels->conv3x3;
  float *packed = static_cast<float *>(s->scratch.reserve(static_cast<size_t>(conv3x3_packed_floats(s->context->kernels->lanes, d.cin, d.cout)) * sizeof(float)));
  if (!packed) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  kernels.pack(f32(*w), w_pitch, d.cin, d.cout, packed);
  const int64_t x_pitch = x->stride[2], y_pitch = y->stride[2], bands = parts(d.out_h, kBandRows);
  s->context->pool->run(d.n * bands, [&](int64_t index, int) {
    const int64_t picture = index / bands, row = index % bands * kBandRows;
    for (int64_t i = row; i < std::min(row + kBandRows, d.out_h); i++) {
      const RowPointers at(d, f32(*x) + picture * d.in_h * d.in_w * x_pitch, x_pitch, i);
      kernels.row[stride - 1](at.rows, d.in_w, x_pitch, 0, d.cin, packed, nullptr, false, d.cout, d.out_w, y_pitch,
                              f32(*y) + (picture * d.out_h + i) * d.out_w * y_pitch);
    }
  });
  return succeed(err);
}

segnas_status segnas_conv3x3_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx,
                                            segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Conv3x3 d;
  int64_t w_pitch;
  SEGNAS_TRY(check(s, __func__, "dx", dx, "w", w, "dy", dy, stride, &d, &w_pitch, err));
  SEGNAS_DISPATCH(s, conv3x3_backward_input, err, dy, w, stride, dx);
  const Conv3x3Kernels &kernels = s->context->kernels->conv3x3;
  const int64_t dy_pitch = dy->stride[2], dx_pitch = dx->stride[2], bands = parts(d.in_h, kBandRows);
  s->context->pool->run(d.n * bands, [&](int64_t index, int) {
    const int64_t picture = index / bands, row = index % bands * kBandRows;
    for (int64_t p = row; p < std::min(row + kBandRows, d.in_h); p++) {
      const float *rows[3];
      for (int64_t u = 0; u < 3; u++) {
        int64_t i = (p + 1 - u) / stride;
        bool there = p + 1 >= u && (p + 1 - u) % stride == 0 && i < d.out_h;
        rows[u] = there ? f32(*dy) + (picture * d.out_h + i) * d.out_w * dy_pitch : nullptr;
      }
      kernels.input_row(rows, d.out_w, dy_pitch, stride, f32(*w), w_pitch, d.cin, d.cout, d.in_w, dx_pitch, f32(*dx) + (picture * d.in_h + p) * d.in_w * dx_pitch);
    }
  });
  return succeed(err);
}

segnas_status segnas_conv3x3_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate,
                                             const segnas_tensor *dw, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Conv3x3 d;
  int64_t dw_pitch;
  SEGNAS_TRY(check(s, __func__, "x", x, "dw", dw, "dy", dy, stride, &d, &dw_pitch, err));
  SEGNAS_DISPATCH(s, conv3x3_backward_weight, err, x, dy, stride, accumulate, dw);
  const int64_t taps = 9 * d.cin, rows = std::max<int64_t>(1, kSlabPixels / d.out_w), bands = parts(d.out_h, rows), slabs = d.n * bands;
  const int64_t distance = static_cast<int64_t>(cache_lines(static_cast<size_t>(taps * d.cout) * sizeof(float)) / sizeof(float));
  float *sums = static_cast<float *>(s->scratch.reserve(static_cast<size_t>(slabs * distance) * sizeof(float)));
  if (!sums) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  const Conv3x3Kernels &kernels = s->context->kernels->conv3x3;
  const WeightGradient g = {f32(*x), f32(*dy), x->stride[2], dy->stride[2]};
  s->context->pool->run(slabs, [&](int64_t slab, int) {
    const int64_t row = slab % bands * rows;
    sum_slab(kernels, d, g, slab / bands, row, std::min(row + rows, d.out_h), sums + slab * distance);
  });
  float *target = f32(*dw);
  s->context->pool->run(taps, [&](int64_t tap, int) {
    kernels.fold(sums + tap * d.cout, slabs, distance, d.cout, accumulate != 0, target + tap * dw_pitch);
  });
  return succeed(err);
}
