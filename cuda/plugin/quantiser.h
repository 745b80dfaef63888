// What a segnas_quantiser makes of a value, with the CPU's bits (csrc/core/quantiser.h): every operation is one IEEE rounding, none is contracted.
#pragma once
#include "op.h"

namespace segnas::gpu {

constexpr float kLeastClip = 0x1p-20f;

struct Levels {
  float count;  // L
  bool is_signed;
};
inline Levels levels_of(const segnas_quantiser &q) { return {static_cast<float>((1 << (q.bits - q.is_signed)) - 1), q.is_signed != 0}; }

struct Range {
  float low = 0, high = 0, r = 0, s = 0;
};
SEGNAS_DEVICE Range range_of(const Levels &levels, float clip) {
  const float a = clip >= kLeastClip ? clip : kLeastClip;  // of NaN too
  return {levels.is_signed ? -a : 0.0f, a, levels.count / a, a / levels.count};
}

SEGNAS_DEVICE float quantised(float a, const Range &range) {
  const float above = a < range.low ? range.low : a, cut = above > range.high ? range.high : above;
  return round_even(cut * range.r) * range.s;
}

// da where an activation before ReLU lies inside the range, else 0.
SEGNAS_DEVICE float within(float a, float da, float low, float high) { return low < a && a < high ? da : 0.0f; }
// What it adds to its clip's gradient otherwise. ReLU leaves nothing below the range.
SEGNAS_DEVICE float clip_term(float a, float da, float low, float high, int32_t relu) {
  const float below = !relu && low < 0 && a <= low ? -da : 0.0f;
  return a >= high ? da : below;
}

}  // namespace segnas::gpu
