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
  SEGNAS_TRY(check_pixels(s, op, name, t, out, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,C)", op, name, t->rank);
  return SEGNAS_OK;
}

// x and y are the input and output of the forward pass or their gradients; w [k*k, C] or its gradient.
segnas_status check(const segnas_stream *s, const char *op, const char *x_name, const segnas_tensor *x, const char *w_name, const segnas_tensor *w,
                    const char *y_name, const segnas_tensor *y, int32_t stride, Dwconv *d, int64_t *w_pitch, segnas_error *err) {
  Pixels in, out;
  SEGNAS_TRY(check_picture(s, op, x_name, x, &in, err));
  SEGNAS_TRY(check_picture(s, op, y_name, y, &out, err));
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

// [N, H, W] cut into bands of rows by stretches of columns. Depends on the shape alone.
struct Pieces {
  int64_t h, w, rows, columns, bands, stretches, count;

  // columns: so many that k + 2s input rows of a stretch fill half of a 512 KiB L2, a multiple of the kernels' 8.
  Pieces(const Dwconv &d, int64_t out_h, int64_t out_w, int64_t most_rows, int64_t most_pixels) : h(out_h), w(out_w) {
    int64_t most = (256 << 10) / ((d.k + 2 * d.stride) * d.stride * d.channels * 4);
    most = std::clamp<int64_t>(most / 8 * 8, 16, 512);
    columns = parts(parts(w, parts(w, most)), 8) * 8;
    stretches = parts(w, columns);
    most_rows = std::min(most_rows, std::max<int64_t>(1, most_pixels / std::min(columns, w)));
    rows = parts(h, parts(h, most_rows));
    bands = parts(h, rows);
    count = d.n * bands * stretches;
  }

  struct Piece {
    int64_t picture, row, row_end, column, width;
  };
  Piece at(int64_t index) const {
    int64_t stretch = index % stretches, band = index / stretches % bands;
    int64_t row = band * rows, column = stretch * columns;
    return {index / stretches / bands, row, std::min(row + rows, h), column, std::min(columns, w - column)};
  }
};

// Rows of output that one piece makes: enough for the k - 1 rows that two bands both read, few enough that three threads share the work.
constexpr int64_t kBandRows = 16, kLeastPieces = 12;

Pieces bands_of(const Dwconv &d, int64_t out_h, int64_t out_w) {
  Pieces pieces(d, out_h, out_w, kBandRows, d.channels * out_h * out_w);
  return pieces.count >= kLeastPieces ? pieces : Pieces(d, out_h, out_w, kBandRows / 2, d.channels * out_h * out_w);
}

// The input rows under the k tap rows of one output row, and the rows that the next one needs besides.
struct RowPointers {
  const float *rows[7];
  const float *ahead[3] = {};
  bool has_ahead = false;

  // picture: its first pixel; column: the output column that the stretch begins with. Rows are asked for ahead up to output row row_end - 1.
  RowPointers(const Dwconv &d, const float *picture, int64_t pitch, int64_t row, int64_t row_end, int64_t column) {
    int64_t top = row * d.stride - d.k / 2, row_floats = d.in_w * pitch;
    for (int64_t u = 0; u < d.k; u++) rows[u] = top + u < 0 || top + u >= d.in_h ? nullptr : picture + (top + u) * row_floats;
    if (row + 1 == row_end || top + d.k >= d.in_h) return;
    has_ahead = true;
    const float *first = picture + (top + d.k) * row_floats + std::max<int64_t>(0, column * d.stride - d.k / 2) * pitch;
    for (int64_t i = 0; i < d.stride; i++) ahead[i] = first + (top + d.k + i < d.in_h ? i : 0) * row_floats;
  }
};

// out = depthwise(in, w); also the gradient of the input when the stride is 1 (w flipped).
void convolve(const segnas_stream *s, const Dwconv &d, const float *in, int64_t in_pitch, const float *w, int64_t w_pitch, float *out, int64_t out_pitch) {
  const Pieces pieces = bands_of(d, d.out_h, d.out_w);
  DwconvRow *kernel = s->context->kernels->dwconv.row[(d.k - 3) / 2][d.stride - 1];
  const bool far = in_memory(d);
  s->context->pool->run(pieces.count, [&](int64_t index, int) {
    const Pieces::Piece p = pieces.at(index);
    const float *picture = in + p.picture * d.in_h * d.in_w * in_pitch;
    for (int64_t i = p.row; i < p.row_end; i++) {
      const RowPointers at(d, picture, in_pitch, i, p.row_end, p.column);
      kernel(at.rows, d.in_w, in_pitch, p.column * d.stride, w, w_pitch, nullptr, false, d.channels, p.width, out_pitch,
             out + ((p.picture * d.out_h + i) * d.out_w + p.column) * out_pitch, far && at.has_ahead ? at.ahead : nullptr);
    }
  });
}

// dx for stride 2.
void spread(const segnas_stream *s, const Dwconv &d, const float *dy, int64_t dy_pitch, const float *w, int64_t w_pitch, float *dx, int64_t dx_pitch) {
  const int64_t bands = parts(d.in_h, kBandRows);
  DwconvSpreadRow *kernel = s->context->kernels->dwconv.spread_row[(d.k - 3) / 2];
  s->context->pool->run(d.n * bands, [&](int64_t index, int) {
    const int64_t picture = index / bands, first = index % bands * kBandRows;
    for (int64_t i = first; i < std::min(first + kBandRows, d.in_h); i++) {
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

// Output pixels whose products one float32 chain adds up, before the chains are added pairwise.
constexpr int64_t kSlabPixels = 512;

struct WeightGradient {
  const float *x, *dy;
  int64_t x_pitch, dy_pitch;
};

// One slab's sums [k*k][channels].
void sum_slab(const DwconvKernels &kernels, const Dwconv &d, const WeightGradient &g, const Pieces::Piece &p, float *sums) {
  DwconvWeightRow *kernel = kernels.weight_row[(d.k - 3) / 2][d.stride - 1];
  const float *picture = g.x + p.picture * d.in_h * d.in_w * g.x_pitch;
  const bool far = in_memory(d);
  std::fill_n(sums, d.k * d.k * d.channels, 0.0f);
  for (int64_t i = p.row; i < p.row_end; i++) {
    RowPointers at(d, picture, g.x_pitch, i, p.row_end, p.column);
    const float *dy = g.dy + ((p.picture * d.out_h + i) * d.out_w + p.column) * g.dy_pitch;
    at.ahead[d.stride] = dy + d.out_w * g.dy_pitch;
    kernel(at.rows, d.in_w, g.x_pitch, p.column * d.stride, dy, g.dy_pitch, d.channels, p.width, sums, far && at.has_ahead ? at.ahead : nullptr);
  }
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
  const Pieces slabs(d, d.out_h, d.out_w, d.out_h, kSlabPixels);
  const int64_t taps = d.k * d.k, distance = static_cast<int64_t>(cache_lines(static_cast<size_t>(taps * d.channels) * sizeof(float)) / sizeof(float));
  float *sums = static_cast<float *>(s->scratch.reserve(static_cast<size_t>(slabs.count * distance) * sizeof(float)));
  if (!sums) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  const DwconvKernels &kernels = s->context->kernels->dwconv;
  const WeightGradient g = {f32(*x), f32(*dy), x->stride[2], dy->stride[2]};
  s->context->pool->run(slabs.count, [&](int64_t i, int) { sum_slab(kernels, d, g, slabs.at(i), sums + i * distance); });
  float *target = f32(*dw);
  s->context->pool->run(taps, [&](int64_t tap, int) {
    kernels.fold(sums + tap * d.channels, slabs.count, distance, d.channels, accumulate != 0, target + tap * dw_pitch);
  });
  return succeed(err);
}
