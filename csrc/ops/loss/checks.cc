#include "checks.h"

#include <algorithm>

#include "loss.h"

namespace segnas {

segnas_status check_logits(const segnas_stream *s, const char *op, const segnas_tensor *logits, Pixels *low, const segnas_tensor *labels, int64_t *h,
                           int64_t *w, segnas_error *err) {
  SEGNAS_TRY(check_pixels(s, op, "logits", logits, low, err));
  SEGNAS_TRY(check_labels(s, op, "labels", labels, err));
  if (logits->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: logits has rank %d, should be 4 (N,H,W,K)", op, logits->rank);
  if (low->channels > kMostClasses)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %lld classes, should be at most %d", op, static_cast<long long>(low->channels), kMostClasses);
  SEGNAS_TRY(check_equal(op, "labels' pictures", labels->shape[0], low->n, err));
  *h = labels->shape[1];
  *w = labels->shape[2];
  if (std::max({*h, *w, low->h, low->w}) < kAxisLimit) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: sizes should be below %lld", op, static_cast<long long>(kAxisLimit));
}

segnas_status check_ignore(const char *op, int32_t ignore, segnas_error *err) {
  if (ignore >= 0 && ignore <= 255) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: ignore is %d, should be 0 to 255", op, ignore);
}

segnas_status check_loss_result(const segnas_stream *s, const char *op, const segnas_tensor *result, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, "result", result, SEGNAS_F64, err));
  if (result->rank == 1 && result->shape[0] == 2 && result->stride[0] == 1) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: result should be a dense vector of 2", op);
}

namespace {
// Adds each label's number to counts[256]. Four sub-counts, so that a run of equal labels does not wait for its own last store.
void count_piece(const uint8_t *labels, int64_t n, int64_t *counts) {
  uint32_t parts[4][256] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t j = 0; j < 4; j++) parts[j][labels[i + j]]++;
  for (; i < n; i++) parts[0][labels[i]]++;
  for (int v = 0; v < 256; v++) counts[v] += int64_t{parts[0][v]} + parts[1][v] + parts[2][v] + parts[3][v];
}
}  // namespace

void count_labels(segnas_stream *s, const uint8_t *labels, int64_t n, int64_t *counts) {
  int threads = s->context->pool->threads();
  std::fill_n(counts, threads * 256, 0);
  s->context->pool->run((n + kLabelPiece - 1) / kLabelPiece, [&](int64_t piece, int worker) {
    count_piece(labels + piece * kLabelPiece, std::min(kLabelPiece, n - piece * kLabelPiece), counts + worker * 256);
  });
  for (int worker = 1; worker < threads; worker++)
    for (int v = 0; v < 256; v++) counts[v] += counts[worker * 256 + v];
}

segnas_status check_counted_labels(const char *op, const int64_t *counts, int64_t classes, int32_t ignore, segnas_error *err) {
  for (int v = 0; v < 256; v++)
    if (v != ignore && v >= classes && counts[v] > 0)
      return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: labels holds %d, should be below %lld or %d (ignored)", op, v,
                  static_cast<long long>(classes), ignore);
  return SEGNAS_OK;
}

}  // namespace segnas
