// segnas_distillation: checks, and the split into pieces of pixels.
#include <algorithm>

#include "checks.h"
#include "loss.h"

namespace segnas {
namespace {

// Pixels of a piece.
constexpr int64_t kDistillationPiece = 1024;

// A map of logits: f32 [N,h,w,K], K at most kMostClasses.
segnas_status check_map(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *pixels, segnas_error *err) {
  SEGNAS_TRY(check_pixels(s, op, name, t, pixels, err));
  if (t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 4 (N,H,W,K)", op, name, t->rank);
  if (pixels->channels <= kMostClasses) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %lld classes, should be at most %d", op, static_cast<long long>(pixels->channels), kMostClasses);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_distillation(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *teacher, float scale,
                                             const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels z, t, gradient;
  SEGNAS_TRY(check_map(s, __func__, "logits", logits, &z, err));
  SEGNAS_TRY(check_map(s, __func__, "teacher", teacher, &t, err));
  if (!same_shape(*logits, *teacher)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: logits and teacher differ in shape", __func__);
  SEGNAS_TRY(check_loss_result(s, __func__, result, err));
  if (dlogits) {
    SEGNAS_TRY(check_pixels(s, __func__, "dlogits", dlogits, &gradient, err));
    if (!same_shape(*logits, *dlogits)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: logits and dlogits differ in shape", __func__);
  }
  SEGNAS_DISPATCH(s, distillation, err, logits, teacher, scale, result, dlogits);

  const int64_t total = z.count(), pieces = (total + kDistillationPiece - 1) / kDistillationPiece;
  const int32_t classes = static_cast<int32_t>(z.channels);
  const size_t loss_bytes = cache_lines(static_cast<size_t>(pieces) * sizeof(double));
  const size_t worker_bytes = cache_lines(static_cast<size_t>(distillation_scratch_floats(classes)) * sizeof(float));
  char *memory = static_cast<char *>(s->scratch.reserve(loss_bytes + worker_bytes * static_cast<size_t>(s->context->pool->threads())));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  double *losses = reinterpret_cast<double *>(memory);
  s->context->pool->run(pieces, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kDistillationPiece;
    s->context->kernels->loss.distillation({f32(*logits) + begin * z.pitch, z.pitch, f32(*teacher) + begin * t.pitch, t.pitch, classes,
                                            std::min(kDistillationPiece, total - begin),
                                            static_cast<float>(static_cast<double>(scale) / static_cast<double>(total)),
                                            dlogits ? f32(*dlogits) + begin * gradient.pitch : nullptr, gradient.pitch,
                                            reinterpret_cast<float *>(memory + loss_bytes + static_cast<size_t>(worker) * worker_bytes), losses + piece});
  });
  double loss = 0;
  for (int64_t piece = 0; piece < pieces; piece++) loss += losses[piece];
  f64(*result)[0] = loss / static_cast<double>(total);
  f64(*result)[1] = static_cast<double>(total);
  return succeed(err);
}

}  // extern "C"
