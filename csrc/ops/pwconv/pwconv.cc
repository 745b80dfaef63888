#include "pwconv.h"

#include <algorithm>

#include "../../core/view.h"

namespace segnas {
namespace {

segnas_status out_of_scratch(const char *op, size_t bytes, segnas_error *err) {
  return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for %zu bytes of scratch", op, bytes);
}

segnas_status check_same_pixels(const char *op, const Pixels &x, const Pixels &y, segnas_error *err) {
  return check_equal(op, "the number of output pixels", y.count(), x.count(), err);
}

// c[P,n] = a[P,k] times w (or its transpose): both directions of the product over pixels.
segnas_status multiply(segnas_stream *s, const char *op, const Pixels &a, const float *a_data, const float *w, int64_t pitch, bool transposed,
                       const float *bias, const Pixels &c, float *c_data, segnas_error *err) {
  const PwconvKernels &kernels = s->context->kernels->pwconv;
  int64_t k = a.channels, n = c.channels, pixels = a.count();
  size_t bytes = sizeof(float) * kernels.packed_floats(k, n);
  float *packed = static_cast<float *>(s->scratch.reserve(bytes));
  if (!packed) return out_of_scratch(op, bytes, err);
  kernels.pack(w, pitch, transposed, k, n, packed);
  // Pieces of some 30 us: enough to hide the hand-over, few enough rows for 3 threads to end together.
  int64_t rows = std::clamp<int64_t>((int64_t{1} << 21) / (k * n), 24, 1024) / 24 * 24;
  s->context->pool->run((pixels + rows - 1) / rows, [&](int64_t piece, int) {
    int64_t first = piece * rows, count = std::min(rows, pixels - first);
    kernels.rows(a_data + first * a.pitch, a.pitch, count, packed, k, n, bias, nullptr, 0, false, c_data + first * c.pitch, c.pitch, {});
  });
  return succeed(err);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_pwconv_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, const segnas_tensor *bias,
                                               const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels px, py;
  int64_t pitch = 0;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "x", x, &px, err));
  SEGNAS_TRY(check_stored_pixels(s, __func__, "y", y, &py, err));
  SEGNAS_TRY(check_same_pixels(__func__, px, py, err));
  SEGNAS_TRY(check_result(__func__, "x", x, "y", y, err));
  SEGNAS_TRY(check_matrix(s, __func__, "w", w, px.channels, py.channels, &pitch, err));
  if (bias) SEGNAS_TRY(check_vector(s, __func__, "bias", bias, py.channels, err));
  SEGNAS_DISPATCH(s, pwconv_forward, err, x, w, bias, y);
  return multiply(s, __func__, px, f32(*x), f32(*w), pitch, false, bias ? f32(*bias) : nullptr, py, f32(*y), err);
}

SEGNAS_API segnas_status segnas_pwconv_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx,
                                                      segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels pdy, pdx;
  int64_t pitch = 0;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "dy", dy, &pdy, err));
  SEGNAS_TRY(check_stored_pixels(s, __func__, "dx", dx, &pdx, err));
  SEGNAS_TRY(check_same_pixels(__func__, pdx, pdy, err));
  SEGNAS_TRY(check_result(__func__, "dx", dx, "dy", dy, err));
  SEGNAS_TRY(check_matrix(s, __func__, "w", w, pdx.channels, pdy.channels, &pitch, err));
  SEGNAS_DISPATCH(s, pwconv_backward_input, err, dy, w, dx);
  return multiply(s, __func__, pdy, f32(*dy), f32(*w), pitch, true, nullptr, pdx, f32(*dx), err);
}

SEGNAS_API segnas_status segnas_pwconv_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t accumulate,
                                                       const segnas_tensor *dw, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels px, pdy;
  int64_t pitch = 0;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "x", x, &px, err));
  SEGNAS_TRY(check_stored_pixels(s, __func__, "dy", dy, &pdy, err));
  SEGNAS_TRY(check_same_pixels(__func__, px, pdy, err));
  SEGNAS_TRY(check_result(__func__, "x", x, "dy", dy, err));
  SEGNAS_TRY(check_matrix(s, __func__, "dw", dw, px.channels, pdy.channels, &pitch, err));
  SEGNAS_DISPATCH(s, pwconv_backward_weight, err, x, dy, accumulate, dw);
  const PwconvKernels &kernels = s->context->kernels->pwconv;
  ThreadPool &pool = *s->context->pool;
  int64_t m = px.channels, n = pdy.channels, pixels = px.count();
  int64_t slab = pwconv_slab_pixels(pixels), slabs = (pixels + slab - 1) / slab;
  int64_t partial = kernels.partial_floats(m, n);
  size_t worker_bytes = cache_lines(sizeof(float) * kernels.partial_scratch_floats(m, n));
  size_t partial_bytes = cache_lines(sizeof(float) * partial * slabs);
  size_t bytes = partial_bytes + worker_bytes * pool.threads();
  char *scratch = static_cast<char *>(s->scratch.reserve(bytes));
  if (!scratch) return out_of_scratch(__func__, bytes, err);
  float *partials = reinterpret_cast<float *>(scratch);
  pool.run(slabs, [&](int64_t piece, int worker) {
    int64_t first = piece * slab;
    kernels.weight_slab(f32(*x) + first * px.pitch, px.pitch, f32(*dy) + first * pdy.pitch, pdy.pitch, std::min(slab, pixels - first), m, n, false,
                        {nullptr, nullptr}, partials + piece * partial, reinterpret_cast<float *>(scratch + partial_bytes + worker * worker_bytes));
  });
  constexpr int64_t kRows = 24;
  pool.run((m + kRows - 1) / kRows, [&](int64_t piece, int) {
    kernels.weight_sum(partials, slabs, m, n, piece * kRows, std::min(m, piece * kRows + kRows), accumulate != 0, f32(*dw), pitch);
  });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_pwconv_backward_bias(segnas_stream *s, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *db,
                                                     segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels pdy;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "dy", dy, &pdy, err));
  SEGNAS_TRY(check_vector(s, __func__, "db", db, pdy.channels, err));
  SEGNAS_DISPATCH(s, pwconv_backward_bias, err, dy, accumulate, db);
  int64_t n = pdy.channels, pixels = pdy.count();
  int64_t slab = pwconv_slab_pixels(pixels), slabs = (pixels + slab - 1) / slab;
  size_t slab_bytes = cache_lines(sizeof(double) * n);
  char *scratch = static_cast<char *>(s->scratch.reserve(slab_bytes * slabs));
  if (!scratch) return out_of_scratch(__func__, slab_bytes * slabs, err);
  s->context->pool->run(slabs, [&](int64_t piece, int) {
    int64_t first = piece * slab;
    s->context->kernels->pwconv.bias_slab(f32(*dy) + first * pdy.pitch, pdy.pitch, std::min(slab, pixels - first), n,
                                          reinterpret_cast<double *>(scratch + piece * slab_bytes));
  });
  float *out = f32(*db);
  for (int64_t c = 0; c < n; c++) {
    double sum = 0;
    for (int64_t i = 0; i < slabs; i++) sum += reinterpret_cast<const double *>(scratch + i * slab_bytes)[c];
    out[c] = static_cast<float>(accumulate ? out[c] + sum : sum);
  }
  return succeed(err);
}

}  // extern "C"
