// segnas_dwconv_*: checks, and the split into pieces.
#include "dwconv.h"

#include <algorithm>

#include "../../core/view.h"

namespace segnas {
namespace {

struct Dwconv {
  int64_t n, in_h, in_w, out_h, out_w, channels, k, stride;
};

segnas_status check_picture(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_stored_pixels(s, op, name, t, out, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,C)", op, name, t->rank);
  return SEGNAS_OK;
}

// x and y are the input and output of the forward pass or their gradients; w [k*k, C] or its gradient.
segnas_status check(const segnas_stream *s, const char *op, const char *x_name, const segnas_tensor *x, const char *w_name, const segnas_tensor *w,
                    const char *y_name, const segnas_tensor *y, int32_t stride, Dwconv *d, int64_t *w_pitch, segnas_error *err) {
  Pixels in, out;
  SEGNAS_TRY(check_picture(s, op, x_name, x, &in, err));
  SEGNAS_TRY(check_picture(s, op, y_name, y, &out, err));
  SEGNAS_TRY(check_alike(op, x_name, x, y_name, y, err));
  SEGNAS_TRY(check_matrix(s, op, w_name, w, -1, in.channels, w_pitch, err));
  if (stride != 1 && stride != 2) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: stride is %d, should be 1 or 2", op, stride);
  int64_t k = w->shape[0] == 9 ? 3 : w->shape[0] == 25 ? 5 : w->shape[0] == 49 ? 7 : 0;
  if (k == 0) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has %lld rows, should be 9, 25 or 49", op, w_name, static_cast<long long>(w->shape[0]));
  SEGNAS_TRY(check_equal(op, "number of pictures of the output", out.n, in.n, err));
  SEGNAS_TRY(check_equal(op, "height of the output", out.h, (in.h - 1) / stride + 1, err));
  SEGNAS_TRY(check_equal(op, "width of the output", out.w, (in.w - 1) / stride + 1, err));
  SEGNAS_TRY(check_equal(op, "number of channels of the output", out.channels, in.channels, err));
  *d = {in.n, in.h, in.w, out.h, out.w, in.channels, k, stride};
  return SEGNAS_OK;
}

// Beyond this many bytes of input and output the tensors are taken to lie in memory, not in the last-level cache.
constexpr int64_t kCacheBytes = int64_t{12} << 20;

bool in_memory(const Dwconv &d) { return d.n * d.channels * 4 * (d.in_h * d.in_w + d.out_h * d.out_w) > kCacheBytes; }

int64_t parts(int64_t total, int64_t most) { return (total + most - 1) / most; }

// Rows of output that one kernel call makes. The kernels walk a band in strips of 8 columns and ask for the next strip while one is in work:
// two strips of all channels fill three quarters of a 512 KiB L2. Narrow pixels go nearly row by row, as they lie in memory.
constexpr int64_t kMostBandRows = 8;

int64_t band_rows(const Dwconv &d) {
  int64_t input_rows = (384 << 10) / (2 * 8 * d.stride * d.channels * 4);
  return std::clamp<int64_t>(std::min((input_rows - d.k) / d.stride + 1, d.channels / 48), 2, kMostBandRows);
}

// The input rows of a band of output rows, from output row `row` on.
struct BandPointers {
  const float *rows[(kMostBandRows - 1) * 2 + 7];

  BandPointers(const Dwconv &d, const float *picture, int64_t pitch, int64_t row, int64_t count) {
    int64_t top = row * d.stride - d.k / 2;
    for (int64_t u = 0; u < (count - 1) * d.stride + d.k; u++)
      rows[u] = top + u < 0 || top + u >= d.in_h ? nullptr : picture + (top + u) * d.in_w * pitch;
  }
};

// out = depthwise(in, w); also the gradient of the input when the stride is 1 (w flipped).
void convolve(const segnas_stream *s, const Dwconv &d, const float *in, int64_t in_pitch, const float *w, int64_t w_pitch, float *out, int64_t out_pitch) {
  const int64_t rows = band_rows(d), bands = parts(d.out_h, rows);
  DwconvRow *kernel = s->context->kernels->dwconv.row[(d.k - 3) / 2][d.stride - 1];
  s->context->pool->run(d.n * bands, [&](int64_t index, int) {
    const int64_t picture = index / bands, row = index % bands * rows;
    const DwconvBand band = {std::min(rows, d.out_h - row), d.out_w * out_pitch, in_memory(d)};
    const BandPointers at(d, in + picture * d.in_h * d.in_w * in_pitch, in_pitch, row, band.rows);
    kernel(at.rows, d.in_w, in_pitch, 0, w, w_pitch, nullptr, false, d.channels, d.out_w, out_pitch,
           out + (picture * d.out_h + row) * d.out_w * out_pitch, &band);
  });
}

// Rows of dx that one piece makes.
constexpr int64_t kSpreadRows = 8;

// dx for stride 2.
void spread(const segnas_stream *s, const Dwconv &d, const float *dy, int64_t dy_pitch, const float *w, int64_t w_pitch, float *dx, int64_t dx_pitch) {
  const int64_t bands = parts(d.in_h, kSpreadRows);
  DwconvSpreadRow *kernel = s->context->kernels->dwconv.spread_row[(d.k - 3) / 2];
  s->context->pool->run(d.n * bands, [&](int64_t index, int) {
    const int64_t picture = index / bands, first = index % bands * kSpreadRows;
    for (int64_t i = first; i < std::min(first + kSpreadRows, d.in_h); i++) {
      const float *rows[7];
      for (int64_t u = 0; u < d.k; u++) {
        int64_t twice = i + d.k / 2 - u;
        bool there = twice >= 0 && twice % 2 == 0 && twice / 2 < d.out_h;
        rows[u] = there ? dy + (picture * d.out_h + twice / 2) * d.out_w * dy_pitch : nullptr;
      }
      kernel(rows, d.out_w, dy_pitch, w, w_pitch, d.channels, d.in_w, dx_pitch, dx + (picture * d.in_h + i) * d.in_w * dx_pitch);
    }
  });
}

// Output pixels whose products one float32 chain adds up at most, before the chains are added pairwise.
constexpr int64_t kSlabPixels = 1024;

// Vectors of channels that one piece of the final addition takes.
constexpr int64_t kFoldVectors = 8;

// The output cut into slabs: bands of rows by stretches of columns. Depends on the shape alone.
struct Slabs {
  int64_t rows, columns, bands, stretches, count;

  explicit Slabs(const Dwconv &d) : rows(std::min(band_rows(d), d.out_h)) {
    columns = parts(d.out_w, parts(d.out_w, kSlabPixels / rows));
    bands = parts(d.out_h, rows);
    stretches = parts(d.out_w, columns);
    count = d.n * bands * stretches;
  }
};

struct WeightGradient {
  const float *x, *dy;
  int64_t x_pitch, dy_pitch;
};

// One slab's sums.
void sum_slab(const DwconvKernels &kernels, const Dwconv &d, const WeightGradient &g, const Slabs &slabs, int64_t index, int64_t size, float *sums) {
  const int64_t column = index % slabs.stretches * slabs.columns, row = index / slabs.stretches % slabs.bands * slabs.rows;
  const int64_t picture = index / slabs.stretches / slabs.bands;
  const DwconvBand band = {std::min(slabs.rows, d.out_h - row), d.out_w * g.dy_pitch, in_memory(d)};
  const BandPointers at(d, g.x + picture * d.in_h * d.in_w * g.x_pitch, g.x_pitch, row, band.rows);
  const float *dy = g.dy + ((picture * d.out_h + row) * d.out_w + column) * g.dy_pitch;
  std::fill_n(sums, size, 0.0f);
  kernels.weight[(d.k - 3) / 2][d.stride - 1](at.rows, d.in_w, g.x_pitch, column * d.stride, dy, g.dy_pitch, d.channels,
                                              std::min(slabs.columns, d.out_w - column), sums, &band);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_dwconv_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Dwconv d;
  int64_t w_pitch;
  SEGNAS_TRY(check(s, __func__, "x", x, "w", w, "y", y, stride, &d, &w_pitch, err));
  SEGNAS_DISPATCH(s, dwconv_forward, err, x, w, stride, y);
  convolve(s, d, f32(*x), x->stride[2], f32(*w), w_pitch, f32(*y), y->stride[2]);
  return succeed(err);
}

segnas_status segnas_dwconv_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx,
                                           segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Dwconv d;
  int64_t w_pitch;
  SEGNAS_TRY(check(s, __func__, "dx", dx, "w", w, "dy", dy, stride, &d, &w_pitch, err));
  SEGNAS_DISPATCH(s, dwconv_backward_input, err, dy, w, stride, dx);
  if (stride == 1) {
    convolve(s, d, f32(*dy), dy->stride[2], f32(*w) + (d.k * d.k - 1) * w_pitch, -w_pitch, f32(*dx), dx->stride[2]);
  } else {
    spread(s, d, f32(*dy), dy->stride[2], f32(*w), w_pitch, f32(*dx), dx->stride[2]);
  }
  return succeed(err);
}

segnas_status segnas_dwconv_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate,
                                            const segnas_tensor *dw, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Dwconv d;
  int64_t dw_pitch;
  SEGNAS_TRY(check(s, __func__, "x", x, "dw", dw, "dy", dy, stride, &d, &dw_pitch, err));
  SEGNAS_DISPATCH(s, dwconv_backward_weight, err, x, dy, stride, accumulate, dw);
  const Slabs slabs(d);
  const Kernels &kernels = *s->context->kernels;
  const int64_t size = dwconv_sums_floats(kernels.lanes, d.k, d.channels);
  const int64_t distance = static_cast<int64_t>(cache_lines(static_cast<size_t>(size) * sizeof(float)) / sizeof(float));
  float *sums = static_cast<float *>(s->scratch.reserve(static_cast<size_t>(slabs.count * distance) * sizeof(float)));
  if (!sums) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  const WeightGradient g = {f32(*x), f32(*dy), x->stride[2], dy->stride[2]};
  s->context->pool->run(slabs.count, [&](int64_t i, int) { sum_slab(kernels.dwconv, d, g, slabs, i, size, sums + i * distance); });
  const int64_t vectors = parts(d.channels, kernels.lanes);
  s->context->pool->run(parts(vectors, kFoldVectors), [&](int64_t i, int) {
    const int64_t vector = i * kFoldVectors;
    kernels.dwconv.fold(sums, slabs.count, distance, d.k * d.k, vector, std::min(kFoldVectors, vectors - vector), d.channels, accumulate != 0, f32(*dw), dw_pitch);
  });
  return succeed(err);
}
