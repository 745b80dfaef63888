// Where each output position of a resized axis reads its input, shared by the upsampling and the loss. Positions and weights come from
// integers (one correctly rounded division of numbers below 2^24), so that every backend has the same ones.
#pragma once
#include <cstddef>
#include <cstdint>

namespace segnas {

// Room past the end of the weights, zeroed: kernels read whole vectors.
constexpr int64_t kAxisPadding = 16;
// Sizes below this, so that the integers behind a weight are exact as float.
constexpr int64_t kAxisLimit = int64_t{1} << 23;

// output[o] = w0[o] input[lo[o]] + w1[o] input[lo[o]+1]; where w1[o] = 0, w0[o] = 1 and input[lo[o]+1] takes no part (it may not exist).
// lo never falls, so the outputs that an input touches lie together: input j is weighted w1 by outputs [touch[j], from[j]) and w0 by
// outputs [from[j], from[j+1]).
struct Axis {
  int64_t in, out;
  const int32_t *lo;     // [out]
  const float *w0, *w1;  // [out + kAxisPadding]
  const int32_t *from;   // [in+1]: the first output whose lo is at least the index; from[in] = out
  const int32_t *touch;  // [in]
};

// Bytes that an axis needs, a multiple of 64.
size_t axis_bytes(int64_t in, int64_t out);
// Fills memory (axis_bytes, 64-byte aligned). source = (i+0.5) in/out - 0.5 clamped to [0, in-1]; nearest: floor((i+0.5) in/out).
// 1 <= in, out < kAxisLimit.
Axis make_axis(bool nearest, int64_t in, int64_t out, void *memory);

}  // namespace segnas
