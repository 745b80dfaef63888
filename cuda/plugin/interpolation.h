// Where each output position of a resized axis reads its input, for the kernels of upsample and loss: the positions and weights that
// csrc/core/interpolation.cc tabulates, from the same integers by the same roundings, so with the same bits. Here they are computed where
// they are used, once a row or a column: a position takes a 64-bit division (one of 32 bits inside, for all but enormous axes), a weight none.
#pragma once
#include "op.h"

namespace segnas::gpu {

// Sizes below 2^23, so that the integers behind a weight are exact as float. whole = 2 out; weights are multiples of 1 / whole.
struct Axis {
  int64_t in, out;
  int32_t nearest;
  float whole, inverse;
};
inline Axis axis_of(int64_t in, int64_t out, int32_t nearest) {
  const float whole = static_cast<float>(2 * out);
  return {in, out, nearest, whole, 1.0f / whole};
}

// rest / whole as a division rounds it, from the rounded inverse: a quotient that is off by less than a unit in the last place becomes the
// right one when its exact remainder is added (Markstein 1990; the first of two corrections brings it there).
SEGNAS_DEVICE float share_of(const Axis &a, int32_t rest) {
  const float part = static_cast<float>(rest), rough = part * a.inverse;
  const float close = fused_multiply_add(fused_multiply_add(-a.whole, rough, part), a.inverse, rough);
  return fused_multiply_add(fused_multiply_add(-a.whole, close, part), a.inverse, close);
}

// output = w0 input[lo] + w1 input[lo+1]; where w1 = 0, w0 = 1 and input[lo+1] takes no part (it may not exist).
struct Tap {
  int64_t lo;
  float w0, w1;
};

// What is left of an output's position beyond input lo, in units of 1 / whole.
SEGNAS_DEVICE int32_t rest_of(const Axis &a, int64_t output, int64_t lo) {
  if (a.nearest || lo >= a.in - 1) return 0;
  const int32_t rest = static_cast<int32_t>((2 * output + 1) * a.in - a.out - 2 * a.out * lo);
  return rest < 0 ? 0 : rest;
}
SEGNAS_DEVICE float first_weight(const Axis &a, int32_t rest) { return share_of(a, static_cast<int32_t>(2 * a.out) - rest); }
SEGNAS_DEVICE float second_weight(const Axis &a, int32_t rest) { return share_of(a, rest); }

SEGNAS_DEVICE int64_t source_of(const Axis &a, int64_t output) {
  const int64_t numerator = (2 * output + 1) * a.in - (a.nearest ? 0 : a.out);
  return numerator < 0 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(numerator) / static_cast<uint64_t>(2 * a.out));
}

SEGNAS_DEVICE Tap tap_of(const Axis &a, int64_t output) {
  const int64_t lo = source_of(a, output);
  const int32_t rest = rest_of(a, output, lo);
  return {lo, first_weight(a, rest), second_weight(a, rest)};
}

// lo never falls, so the outputs that an input touches lie together: input j is weighted w1 by outputs [touch, from(j)) and w0 by outputs
// [from(j), from(j+1)).

// The first output whose lo is at least j; from(in) = out.
SEGNAS_DEVICE int64_t outputs_from(const Axis &a, int64_t j) {
  if (j >= a.in) return a.out;
  const int64_t numerator = (a.nearest ? 2 * j : 2 * j + 1) * a.out - a.in;
  return j <= 0 || numerator <= 0 ? 0 : ceil_div(numerator, 2 * a.in);
}
// The first output that input j has a part in.
SEGNAS_DEVICE int64_t outputs_touched_from(const Axis &a, int64_t j) {
  if (a.nearest) return outputs_from(a, j);
  const int64_t numerator = (2 * j - 1) * a.out - a.in;
  return j <= 0 || numerator < 0 ? 0 : numerator / (2 * a.in) + 1;
}

}  // namespace segnas::gpu
