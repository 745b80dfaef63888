// What a segnas_quantiser and its clips make of channels.
#pragma once
#include <cmath>

#include "view.h"

namespace segnas {

// Values are cut to [low, high], multiplied by r, rounded and multiplied by s.
struct QuantiserRange {
  float low, high, r, s;
};

// Clips below count as this one, so that r is finite: learned clips may fall to zero and come back.
constexpr float kLeastClip = 0x1p-20f;

// L, the largest level.
inline float largest_level(const segnas_quantiser &q) { return static_cast<float>((1 << (q.bits - q.is_signed)) - 1); }

inline QuantiserRange range_of(const segnas_quantiser &q, float clip) {
  const float a = clip >= kLeastClip ? clip : kLeastClip, levels = largest_level(q);  // NaN fails the comparison
  return {q.is_signed ? -a : 0.0f, a, levels / a, a / levels};
}

inline segnas_status check_quantiser(const char *op, const segnas_quantiser *q, segnas_error *err) {
  if (!q) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: the quantiser is NULL", op);
  if (q->size != sizeof *q)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: the quantiser's size is %u, should be %zu", op, q->size, sizeof *q);
  if (q->bits < 2 || q->bits > 8) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: bits is %d, should be 2 to 8", op, q->bits);
  if (q->is_signed != 0 && q->is_signed != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: is_signed is %d, should be 0 or 1", op, q->is_signed);
  if (q->gradient != SEGNAS_CLIP_PACT && q->gradient != SEGNAS_CLIP_STEP)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: gradient is %d, should be SEGNAS_CLIP_PACT or SEGNAS_CLIP_STEP", op, q->gradient);
  if (std::isfinite(q->scale)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: scale is %g, should be finite", op, static_cast<double>(q->scale));
}

// A clip, or its gradient: one for all channels or one for each.
inline segnas_status check_clip(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int64_t *clips,
                                segnas_error *err) {
  *clips = t && t->rank == 1 && t->shape[0] == 1 ? 1 : channels;
  return check_vector(s, op, name, t, *clips, err);
}

// From a sum over what the clip cut.
inline void add_clip_gradient(const segnas_quantiser &q, double sum, bool accumulate, float *dclip) {
  const float g = static_cast<float>(static_cast<double>(q.scale) * sum);
  *dclip = accumulate ? *dclip + g : g;
}

}  // namespace segnas
