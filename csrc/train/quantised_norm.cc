// segnas_norm_quantise*: the range of a norm's activation, and the gradient of its clip.
#include "../core/quantiser.h"
#include "norm.h"

using namespace segnas;

segnas_status segnas_norm_quantise(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *clip, const segnas_tensor *norm, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  int64_t pitch;
  SEGNAS_TRY(check_quantiser(__func__, q, err));
  SEGNAS_TRY(check_matrix(s, __func__, "norm", norm, kNormQuantisedRows, -1, &pitch, err));
  const int64_t channels = norm->shape[1];
  int64_t clips;
  SEGNAS_TRY(check_clip(s, __func__, "clip", clip, channels, &clips, err));
  SEGNAS_DISPATCH(s, norm_quantise, err, q, clip, norm);
  float *rows = f32(*norm);
  for (int64_t c = 0; c < channels; c++) {
    const QuantiserRange range = range_of(*q, f32(*clip)[clips > 1 ? c : 0]);
    rows[kNormLow * pitch + c] = range.low, rows[kNormHigh * pitch + c] = range.high;
    rows[kNormR * pitch + c] = range.r, rows[kNormS * pitch + c] = range.s;
  }
  return succeed(err);
}

segnas_status segnas_norm_quantise_backward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *sums, int32_t accumulate,
                                            const segnas_tensor *dclip, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Totals totals;
  SEGNAS_TRY(check_quantiser(__func__, q, err));
  if (q->gradient != SEGNAS_CLIP_PACT)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: gradient is %d; in passing there is SEGNAS_CLIP_PACT alone", __func__, q->gradient);
  SEGNAS_TRY(check_view(s, __func__, "sums", sums, SEGNAS_F64, err));
  if (sums->rank != 2) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: sums has rank %d, should be 2", __func__, sums->rank);
  const int64_t channels = sums->shape[1];
  SEGNAS_TRY(check_totals(s, __func__, "sums", sums, Norm::sums_of(true), channels, &totals, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  int64_t clips;
  SEGNAS_TRY(check_clip(s, __func__, "dclip", dclip, channels, &clips, err));
  SEGNAS_DISPATCH(s, norm_quantise_backward, err, q, sums, accumulate, dclip);
  double all = 0;
  for (int64_t c = 0; c < channels; c++) all += totals.rows[2][c];
  for (int64_t c = 0; c < clips; c++) add_clip_gradient(*q, clips > 1 ? totals.rows[2][c] : all, accumulate != 0, f32(*dclip) + c);
  return succeed(err);
}
