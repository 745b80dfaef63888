// segnas_ktransform_*: checks, and where the middle taps lie.
#include "ktransform.h"

#include "../../core/view.h"

namespace segnas {
namespace {

struct Ktransform {
  int64_t large, small, channels;
  int64_t taps() const { return small * small; }
};

segnas_status check(const segnas_stream *s, const char *op, const segnas_tensor *w_large, const segnas_tensor *t, const char *small_name,
                    const segnas_tensor *w_small, Ktransform *k, segnas_error *err) {
  int64_t pitch;
  SEGNAS_TRY(check_matrix(s, op, "w_large", w_large, -1, -1, &pitch, err));
  k->channels = w_large->shape[1];
  if (w_large->shape[0] != 25 && w_large->shape[0] != 49)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: w_large has %lld rows, should be 25 or 49", op, static_cast<long long>(w_large->shape[0]));
  k->large = w_large->shape[0] == 25 ? 5 : 7;
  k->small = k->large - 2;
  SEGNAS_TRY(check_matrix(s, op, "t", t, k->taps(), k->taps(), &pitch, err));
  return check_matrix(s, op, small_name, w_small, k->taps(), k->channels, &pitch, err);
}

// Where the rows of a [taps, C] matrix begin.
struct Rows {
  int64_t at[kKtransformMostTaps];
};

Rows all_rows(const Ktransform &k, int64_t pitch) {
  Rows rows;
  for (int64_t i = 0; i < k.taps(); i++) rows.at[i] = i * pitch;
  return rows;
}

// The middle taps of the large kernel, in row-major order.
Rows middle_rows(const Ktransform &k, int64_t pitch) {
  Rows rows;
  for (int64_t i = 0; i < k.taps(); i++) rows.at[i] = ((i / k.small + 1) * k.large + i % k.small + 1) * pitch;
  return rows;
}

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_ktransform_forward(segnas_stream *s, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *w_small, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Ktransform k;
  SEGNAS_TRY(check(s, __func__, w_large, t, "w_small", w_small, &k, err));
  SEGNAS_DISPATCH(s, ktransform_forward, err, w_large, t, w_small);
  const KtransformKernels &kernels = s->context->kernels->ktransform;
  const Rows middle = middle_rows(k, w_large->stride[0]);
  s->context->pool->run(k.taps(), [&](int64_t i, int) {
    kernels.mix(f32(*t) + i * t->stride[0], 1, k.taps(), f32(*w_large), middle.at, k.channels, false, f32(*w_small) + i * w_small->stride[0]);
  });
  return succeed(err);
}

segnas_status segnas_ktransform_backward(segnas_stream *s, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *dw_small,
                                         const segnas_tensor *dw_large, const segnas_tensor *dt, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Ktransform k;
  int64_t pitch;
  SEGNAS_TRY(check(s, __func__, w_large, t, "dw_small", dw_small, &k, err));
  SEGNAS_TRY(check_matrix(s, __func__, "dw_large", dw_large, k.large * k.large, k.channels, &pitch, err));
  SEGNAS_TRY(check_matrix(s, __func__, "dt", dt, k.taps(), k.taps(), &pitch, err));
  SEGNAS_DISPATCH(s, ktransform_backward, err, w_large, t, dw_small, dw_large, dt);
  const KtransformKernels &kernels = s->context->kernels->ktransform;
  const Rows middle = middle_rows(k, w_large->stride[0]), gradient = middle_rows(k, dw_large->stride[0]), small = all_rows(k, dw_small->stride[0]);
  // Pieces: a row of dw_large each, then a row of dt each.
  s->context->pool->run(2 * k.taps(), [&](int64_t piece, int) {
    int64_t i = piece % k.taps();
    if (piece < k.taps()) {
      kernels.mix(f32(*t) + i, t->stride[0], k.taps(), f32(*dw_small), small.at, k.channels, true, f32(*dw_large) + gradient.at[i]);
    } else {
      kernels.dot(f32(*dw_small) + small.at[i], f32(*w_large), middle.at, k.taps(), k.channels, f32(*dt) + i * dt->stride[0]);
    }
  });
  return succeed(err);
}
