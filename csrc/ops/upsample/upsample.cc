// segnas_upsample_*: checks, positions, and the split into rows.
#include "upsample.h"

#include <algorithm>

#include "../../core/view.h"

namespace segnas {
namespace {

segnas_status check_picture(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_stored_pixels(s, op, name, t, out, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,C)", op, name, t->rank);
  if (out->h < kAxisLimit && out->w < kAxisLimit) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %lld x %lld, sizes should be below %lld", op, name, static_cast<long long>(out->h),
              static_cast<long long>(out->w), static_cast<long long>(kAxisLimit));
}

// The small and the large side of a resizing (whichever is larger): same pictures and channels.
segnas_status check_resize(const segnas_stream *s, const char *op, const segnas_tensor *from, const char *from_name, Pixels *from_pixels,
                           const segnas_tensor *to, const char *to_name, Pixels *to_pixels, int32_t mode, segnas_error *err) {
  SEGNAS_TRY(check_picture(s, op, from_name, from, from_pixels, err));
  SEGNAS_TRY(check_picture(s, op, to_name, to, to_pixels, err));
  SEGNAS_TRY(check_alike(op, from_name, from, to_name, to, err));
  if (from_pixels->n != to_pixels->n || from_pixels->channels != to_pixels->channels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s and %s differ in pictures or channels", op, from_name, to_name);
  if (mode == SEGNAS_BILINEAR || mode == SEGNAS_NEAREST) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: mode is %d, should be 0 (bilinear) or 1 (nearest)", op, mode);
}

// Scratch of one call: the two axes (input x, output y sizes), and a line per worker.
struct Workspace {
  Axis rows, columns;
  float *lines;
  size_t line_floats;

  bool take(segnas_stream *s, int32_t mode, const Pixels &in, const Pixels &out) {
    size_t row_bytes = axis_bytes(in.h, out.h), column_bytes = axis_bytes(in.w, out.w);
    size_t line = cache_lines(static_cast<size_t>(in.w * in.channels) * sizeof(float));
    char *memory = static_cast<char *>(s->scratch.reserve(row_bytes + column_bytes + line * static_cast<size_t>(s->context->pool->threads())));
    if (!memory) return false;
    rows = make_axis(mode == SEGNAS_NEAREST, in.h, out.h, memory);
    columns = make_axis(mode == SEGNAS_NEAREST, in.w, out.w, memory + row_bytes);
    lines = reinterpret_cast<float *>(memory + row_bytes + column_bytes);
    line_floats = line / sizeof(float);
    return true;
  }
};

// y = upsample(x), plus add when it is not NULL.
segnas_status forward(segnas_stream *s, const char *op, const float *x, const Pixels &xp, int32_t mode, const float *add, int64_t add_pitch, float *y,
                      const Pixels &yp, segnas_error *err) {
  Workspace work;
  if (!work.take(s, mode, xp, yp)) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", op);
  int64_t total = yp.n * yp.h, rows = std::max<int64_t>(1, 16384 / (yp.w * yp.channels));  // rows of a piece: 64 KiB of output
  s->context->pool->run((total + rows - 1) / rows, [&](int64_t piece, int worker) {
    for (int64_t i = piece * rows; i < std::min(total, (piece + 1) * rows); i++) {
      int64_t o = i % yp.h;
      const float *top = x + (i / yp.h * xp.h + work.rows.lo[o]) * xp.w * xp.pitch;
      s->context->kernels->upsample.row({top, top + xp.w * xp.pitch, work.rows.w0[o], work.rows.w1[o], xp.pitch, xp.channels, work.columns,
                                         add ? add + i * yp.w * add_pitch : nullptr, add_pitch, 0, y + i * yp.w * yp.pitch, yp.pitch,
                                         work.lines + static_cast<size_t>(worker) * work.line_floats});
    }
  });
  return succeed(err);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_upsample_forward(segnas_stream *s, const segnas_tensor *x, int32_t mode, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels xp, yp;
  SEGNAS_TRY(check_resize(s, __func__, x, "x", &xp, y, "y", &yp, mode, err));
  SEGNAS_DISPATCH(s, upsample_forward, err, x, mode, y);
  return forward(s, __func__, f32(*x), xp, mode, nullptr, 0, f32(*y), yp, err);
}

SEGNAS_API segnas_status segnas_upsample_add_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *a, int32_t mode,
                                                     const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels xp, ap, yp;
  SEGNAS_TRY(check_resize(s, __func__, x, "x", &xp, y, "y", &yp, mode, err));
  SEGNAS_TRY(check_picture(s, __func__, "a", a, &ap, err));
  SEGNAS_TRY(check_alike(__func__, "a", a, "y", y, err));
  if (!same_shape(*a, *y)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: a and y differ in shape", __func__);
  SEGNAS_DISPATCH(s, upsample_add_forward, err, x, a, mode, y);
  return forward(s, __func__, f32(*x), xp, mode, f32(*a), ap.pitch, f32(*y), yp, err);
}

SEGNAS_API segnas_status segnas_upsample_backward(segnas_stream *s, const segnas_tensor *dy, int32_t mode, const segnas_tensor *dx,
                                                  segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels dyp, dxp;
  SEGNAS_TRY(check_resize(s, __func__, dx, "dx", &dxp, dy, "dy", &dyp, mode, err));
  SEGNAS_DISPATCH(s, upsample_backward, err, dy, mode, dx);
  Workspace work;
  if (!work.take(s, mode, dxp, dyp)) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  // Neighbouring bands both read the rows of dy between them: few bands, enough for the threads.
  int64_t bands = std::min(dxp.h, (16 + dxp.n - 1) / dxp.n), rows = (dxp.h + bands - 1) / bands;
  bands = (dxp.h + rows - 1) / rows;
  s->context->pool->run(dxp.n * bands, [&](int64_t piece, int worker) {
    int64_t n = piece / bands, begin = piece % bands * rows;
    s->context->kernels->upsample.backward({f32(*dy) + n * dyp.h * dyp.w * dyp.pitch, dyp.pitch, f32(*dx) + n * dxp.h * dxp.w * dxp.pitch,
                                            dxp.pitch, dxp.channels, work.rows, work.columns, begin, std::min(dxp.h, begin + rows),
                                            work.lines + static_cast<size_t>(worker) * work.line_floats});
  });
  return succeed(err);
}

}  // extern "C"
