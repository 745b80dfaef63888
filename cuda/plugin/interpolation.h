// Where each output position of a resized axis reads its input, for the kernels of upsample and loss: the positions and weights that
// csrc/core/interpolation.cc tabulates, from the same integers by the same roundings, so with the same bits. Here they are computed where
// they are used: a 64-bit division (one of 32 bits inside, for all but enormous axes) and two of floats a position, once a row or a column.
#pragma once
#include "op.h"

namespace segnas::gpu {

// Sizes below 2^23, so that the integers behind a weight are exact as float.
struct Axis {
  int64_t in, out;
  int32_t nearest;
};

// output = w0 input[lo] + w1 input[lo+1]; where w1 = 0, w0 = 1 and input[lo+1] takes no part (it may not exist).
struct Tap {
  int64_t lo;
  float w0, w1;
};

// What is left of an output's position beyond input lo, in units of 1 / (2 out).
SEGNAS_BOTH int64_t rest_of(const Axis &a, int64_t output, int64_t lo) {
  if (a.nearest || lo >= a.in - 1) return 0;
  const int64_t rest = (2 * output + 1) * a.in - a.out - 2 * a.out * lo;
  return rest < 0 ? 0 : rest;
}
SEGNAS_BOTH float first_weight(const Axis &a, int64_t rest) { return static_cast<float>(2 * a.out - rest) / static_cast<float>(2 * a.out); }
SEGNAS_BOTH float second_weight(const Axis &a, int64_t rest) { return static_cast<float>(rest) / static_cast<float>(2 * a.out); }

SEGNAS_BOTH int64_t source_of(const Axis &a, int64_t output) {
  const int64_t numerator = (2 * output + 1) * a.in - (a.nearest ? 0 : a.out);
  return numerator < 0 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(numerator) / static_cast<uint64_t>(2 * a.out));
}

SEGNAS_BOTH Tap tap_of(const Axis &a, int64_t output) {
  const int64_t lo = source_of(a, output), rest = rest_of(a, output, lo);
  return {lo, first_weight(a, rest), second_weight(a, rest)};
}

// lo never falls, so the outputs that an input touches lie together: input j is weighted w1 by outputs [touch, from(j)) and w0 by outputs
// [from(j), from(j+1)).

// The first output whose lo is at least j; from(in) = out.
SEGNAS_BOTH int64_t outputs_from(const Axis &a, int64_t j) {
  if (j >= a.in) return a.out;
  const int64_t numerator = (a.nearest ? 2 * j : 2 * j + 1) * a.out - a.in;
  return j <= 0 || numerator <= 0 ? 0 : ceil_div(numerator, 2 * a.in);
}
// The first output that input j has a part in.
SEGNAS_BOTH int64_t outputs_touched_from(const Axis &a, int64_t j) {
  if (a.nearest) return outputs_from(a, j);
  const int64_t numerator = (2 * j - 1) * a.out - a.in;
  return j <= 0 || numerator < 0 ? 0 : numerator / (2 * a.in) + 1;
}

}  // namespace segnas::gpu
