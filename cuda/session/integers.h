// The steps of a session in integers (segnas.h, SEGNAS_PRECISION_INT8), with the CPU's bits.
//
// A value that layers read in integers lies as bytes u = q + zero, zero being 128 where the range is signed and else 0, a pixel in stored_bytes(channels) of
// them: whole 16 bytes, what stands in the fill being any byte. Sums are of q times whole weights, exact in 32 bits whatever their order; they begin at what u
// adds to them beyond q. What follows is one chain of float32 operations for each output. Layers without bits are the float32 steps (step.h), on values of
// floats; a value that such a layer makes for readers in integers is rounded by it where it is dense, else by a step of its own.
#pragma once
#include <vector>

#include "../plugin/bytes.h"
#include "step.h"

namespace segnas::gpu {

// What a value is kept as: floats, or whole multiples of a step.
struct Form {
  int32_t bits = 0;  // 0: floats
  bool is_signed = false;
  float step = 1;

  int zero() const { return is_signed ? 128 : 0; }
  float most() const { return static_cast<float>((1 << (bits - is_signed)) - 1); }
};

inline int64_t stored_bytes(int64_t channels) { return ceil_div<int64_t>(channels, 16) * 16; }

Kept kept_as(const Form &form, int32_t relu);

// A layer with weights in integers, on the device: f = fma(float(start + sum of u n), m, b).
struct IntegerConvolution {
  const void *levels = nullptr;  // n: pointwise [channels][stored_bytes(cin)]; depthwise words of four rows, see integer_rows
  const int32_t *start = nullptr;  // [stored_bytes(channels)], as m and b: 0 in the fill
  const float *m = nullptr, *b = nullptr;
  int64_t cin = 0, channels = 0;
  int32_t kernel = 1, stride = 1;
  int32_t zero = 0;  // of what it reads
  Kept kept = {};
};

// Added behind m and b: f = fma(float(u - zero), r, f).
struct IntegerResidual {
  const uint8_t *at = nullptr;  // stored pixels of the output's channels; NULL: none
  int32_t zero = 0;
  float r = 0;
};

// A depthwise layer's levels are words [integer_rows][groups][kernel][stored_bytes(channels)] of taps of a column, for four rows of the input each. A thread makes up
// to two rows of the output, if its groups, (kernel + 3) / 4 of four input rows, are enough for them; the taps of the i-th begin in row i * stride of the groups.
SEGNAS_BOTH constexpr int integer_rows(int kernel, int stride) { return (kernel + 3) / 4 * 4 - kernel >= stride ? 2 : 1; }

// Where a layer's parts lie in its piece of the session's weights.
struct IntegerParts {
  int64_t start, m, b, bytes;  // levels at 0
};
IntegerParts integer_parts(const segnas_layer &l, int64_t cin, int64_t channels);
// The piece. The layer's weights are whole multiples of their steps; the host has checked it.
std::vector<char> pack_integers(const segnas_layer &l, int64_t cin, int64_t channels, const Form &in, const Form &out);
float residual_factor(const Form &residual, const Form &out);

// y of x's pixels: bytes, or floats [pixels, channels] where the layer keeps those.
segnas_status session_integer_pointwise(Stream *s, const IntegerConvolution &l, const uint8_t *x, int64_t pixels, const IntegerResidual &residual, void *y,
                                        segnas_error *err);
// x and y give the sizes; both are bytes.
segnas_status session_integer_depthwise(Stream *s, const IntegerConvolution &l, const Image &x, const Image &y, segnas_error *err);
// Floats [pixels, channels] to bytes.
segnas_status session_quantise(Stream *s, const float *x, int64_t pixels, int64_t channels, const Rounding &rounding, uint8_t *y, segnas_error *err);
// y = a + x of the nearest neighbour; a and x floats, a of y's sizes; as bytes, or as floats where that is what is kept.
segnas_status session_nearest_add(Stream *s, const Image &x, const Image &a, const Rounding &rounding, const Image &y, segnas_error *err);

}  // namespace segnas::gpu
