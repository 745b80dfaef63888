// segnas_avg_pool_*: checks, bins, and the split into rows.
#include "pool.h"

#include <algorithm>

#include "../../core/interpolation.h"
#include "../../core/view.h"

namespace segnas {
namespace {

// Floats of the large side in a piece: 64 KiB.
constexpr int64_t kPiece = 16384;
// Rows of a segment that are added in float32.
constexpr int64_t kMostRows = 64;

PoolBin bin(int64_t in, int64_t out, int64_t i) { return {i * in / out, ((i + 1) * in + out - 1) / out}; }
// The first and the last bin that hold a position.
int64_t first_bin(int64_t in, int64_t out, int64_t position) { return position * out / in; }
int64_t last_bin(int64_t in, int64_t out, int64_t position) { return ((position + 1) * out - 1) / in; }
// Positions of the largest bin, or one more.
int64_t largest_bin(int64_t in, int64_t out) { return in % out == 0 ? in / out : std::min(in, in / out + 2); }

segnas_status check_picture(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_stored_pixels(s, op, name, t, out, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,C)", op, name, t->rank);
  if (out->h < kAxisLimit && out->w < kAxisLimit) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %lld x %lld, sizes should be below %lld", op, name, static_cast<long long>(out->h),
              static_cast<long long>(out->w), static_cast<long long>(kAxisLimit));
}

segnas_status check_pool(const segnas_stream *s, const char *op, const segnas_tensor *x, const char *x_name, Pixels *xp, const segnas_tensor *y,
                         const char *y_name, Pixels *yp, segnas_error *err) {
  SEGNAS_TRY(check_picture(s, op, x_name, x, xp, err));
  SEGNAS_TRY(check_picture(s, op, y_name, y, yp, err));
  SEGNAS_TRY(check_alike(op, x_name, x, y_name, y, err));
  if (xp->n != yp->n || xp->channels != yp->channels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s and %s differ in pictures or channels", op, x_name, y_name);
  if (yp->h <= xp->h && yp->w <= xp->w) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %lld x %lld, should be at most %s's %lld x %lld", op, y_name, static_cast<long long>(yp->h),
              static_cast<long long>(yp->w), x_name, static_cast<long long>(xp->h), static_cast<long long>(xp->w));
}

// Scratch: the bins along the row, and float lines [bins * channels].
struct Workspace {
  PoolBin *bins;
  float *lines;
  int64_t line_floats;

  bool take(segnas_stream *s, const Pixels &x, const Pixels &y, int64_t count) {
    const size_t bin_bytes = cache_lines(static_cast<size_t>(y.w) * sizeof(PoolBin));
    const size_t line = cache_lines(static_cast<size_t>(y.w * y.channels) * sizeof(float));
    char *memory = static_cast<char *>(s->scratch.reserve(bin_bytes + line * static_cast<size_t>(count)));
    if (!memory) return false;
    bins = reinterpret_cast<PoolBin *>(memory);
    for (int64_t j = 0; j < y.w; j++) bins[j] = bin(x.w, y.w, j);
    lines = reinterpret_cast<float *>(memory + bin_bytes);
    line_floats = static_cast<int64_t>(line / sizeof(float));
    return true;
  }
};

// Row i of the bins of one picture from the lines of its segments.
void average(const Workspace &work, const float *lines, int64_t segments, int64_t height, const Pixels &yp, float *y) {
  for (int64_t j = 0; j < yp.w; j++) {
    const double count = static_cast<double>(height * (work.bins[j].end - work.bins[j].begin));
    for (int64_t c = 0; c < yp.channels; c++) {
      double sum = 0;
      for (int64_t segment = 0; segment < segments; segment++) sum += static_cast<double>(lines[segment * work.line_floats + j * yp.channels + c]);
      y[j * yp.pitch + c] = static_cast<float>(sum / count);
    }
  }
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_avg_pool_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels xp, yp;
  SEGNAS_TRY(check_pool(s, __func__, x, "x", &xp, y, "y", &yp, err));
  SEGNAS_DISPATCH(s, avg_pool_forward, err, x, y);

  const int64_t rows = std::clamp<int64_t>(kPiece / (xp.w * xp.channels), 1, kMostRows), segments = (largest_bin(xp.h, yp.h) + rows - 1) / rows;
  Workspace work;
  if (!work.take(s, xp, yp, yp.n * yp.h * segments)) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  s->context->pool->run(yp.n * yp.h * segments, [&](int64_t piece, int) {
    const int64_t row = piece / segments;
    const PoolBin span = bin(xp.h, yp.h, row % yp.h);
    const int64_t begin = span.begin + piece % segments * rows, end = std::min(span.end, begin + rows), row_pitch = xp.w * xp.pitch;
    s->context->kernels->pool.sum({f32(*x) + (row / yp.h * xp.h + begin) * row_pitch, xp.pitch, row_pitch, xp.channels, std::max<int64_t>(0, end - begin),
                                   work.bins, yp.w, work.lines + piece * work.line_floats});
  });
  s->context->pool->run(yp.n * yp.h, [&](int64_t row, int) {
    const PoolBin span = bin(xp.h, yp.h, row % yp.h);
    average(work, work.lines + row * segments * work.line_floats, segments, span.end - span.begin, yp, f32(*y) + row * yp.w * yp.pitch);
  });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_avg_pool_backward(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels dxp, dyp;
  SEGNAS_TRY(check_pool(s, __func__, dx, "dx", &dxp, dy, "dy", &dyp, err));
  SEGNAS_DISPATCH(s, avg_pool_backward, err, dy, dx);

  Workspace work;
  if (!work.take(s, dxp, dyp, s->context->pool->threads())) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  const int64_t total = dxp.n * dxp.h, rows = std::max<int64_t>(1, kPiece / (dxp.w * dxp.channels));
  s->context->pool->run((total + rows - 1) / rows, [&](int64_t piece, int worker) {
    for (int64_t i = piece * rows; i < std::min(total, (piece + 1) * rows); i++) {
      const int64_t row = i % dxp.h, first = first_bin(dxp.h, dyp.h, row), last = last_bin(dxp.h, dyp.h, row);
      const PoolBin upper = bin(dxp.h, dyp.h, first), lower = bin(dxp.h, dyp.h, last);
      const float *at = f32(*dy) + (i / dxp.h * dyp.h + first) * dyp.w * dyp.pitch;
      s->context->kernels->pool.spread({{at, last > first ? at + dyp.w * dyp.pitch : nullptr}, {upper.end - upper.begin, lower.end - lower.begin},
                                        dyp.pitch, dyp.channels, work.bins, dyp.w, f32(*dx) + i * dxp.w * dxp.pitch, dxp.pitch,
                                        work.lines + worker * work.line_floats});
    }
  });
  return succeed(err);
}

}  // extern "C"
