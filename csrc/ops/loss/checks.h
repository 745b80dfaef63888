// What the losses ask of logits and labels.
#pragma once
#include "../../core/view.h"

namespace segnas {

// Labels that a thread takes at a time.
constexpr int64_t kLabelPiece = 65536;

// Logits [N,h,w,K] and labels [N,H,W] that belong together; receives H and W.
segnas_status check_logits(const segnas_stream *s, const char *op, const segnas_tensor *logits, Pixels *low, const segnas_tensor *labels, int64_t *h,
                           int64_t *w, segnas_error *err);
// 0 to 255.
segnas_status check_ignore(const char *op, int32_t ignore, segnas_error *err);
// A dense view of two f64.
segnas_status check_loss_result(const segnas_stream *s, const char *op, const segnas_tensor *result, segnas_error *err);
// Numbers of the label values, in the first 256 of counts[threads][256] (integers: the order does not matter).
void count_labels(segnas_stream *s, const uint8_t *labels, int64_t n, int64_t *counts);
// Every label that was counted is a class or ignored.
segnas_status check_counted_labels(const char *op, const int64_t *counts, int64_t classes, int32_t ignore, segnas_error *err);

}  // namespace segnas
