// The contract of the integer kernels of sessions (SEGNAS_PRECISION_INT8; segnas.h has the formulas).
//
// In memory a value is a byte u = q + zero: zero is 0 where the range is unsigned and 128 where it is signed. A pixel has int8_stored(channels) of
// them; what stands in its fill is any byte, and the weights that meet it are zero. Sums are of q, exact in 32 bits, so that neither their order nor tiles
// and threads change a bit; what follows is one chain of float32 operations for each output.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../core/ahead.h"

namespace segnas {

// static: an inline function of outside would be a weak symbol under the flags of each instruction set.
static constexpr int64_t int8_stored(int64_t channels) { return (channels + 15) / 16 * 16; }

// Channels that a value read in integers can have: kernels keep a tile of them, or a panel of weights, on the stack.
constexpr int64_t kIntegerChannels = 2048;

// What a layer reads.
struct Int8Input {
  int zero;      // 0 or 128
  int most;      // largest byte: 255 for 8 bits, zero + L for fewer
  int most_weight;  // largest magnitude of a weight: products of pairs that fit 16 bits can be summed there for a while
};

// What becomes of a sum s of an output channel: f = fma(float(s), m, b), with a residual f = fma(float(u" - zero"), r, f), and then
// bytes: u = zero + round(min(max(f, low), high)), ties to even; floats: max(f, low), low being 0 or minus infinity.
struct Int8Output {
  const float *m, *b;  // [int8_stored(n)], the fill 0
  bool floats;
  float low, high;
  int zero;
};

struct Int8Residual {
  const uint8_t *at;  // nullptr: none; stored pixels of n channels
  int64_t pitch;
  int zero;
  float r;
};

// One stretch of a row of a depthwise convolution: output column j has its tap 0 at column first + j*stride - kernel/2. rows [kernel], nullptr outside; what
// lies outside counts as q = 0. y: out_w stored pixels, always bytes.
using Int8Depthwise = void(const uint8_t *const *rows, int64_t in_w, int64_t first, const void *packed, const Int8Input &x, const Int8Output &o, int64_t channels,
                           int64_t out_w, uint8_t *y);

struct Int8Kernels {
  // Products. w [k][n], whole numbers; packed holds what the kernel reads of it, the sums of columns included where it needs them.
  size_t (*packed_bytes)(int64_t k, int64_t n, const Int8Input &x);
  void (*pack)(const int8_t *w, int64_t k, int64_t n, const Int8Input &x, void *packed);
  // c[rows, n] of a[rows, int8_stored(k)], pitches in elements: of bytes, or of floats ([n], no fill) when o.floats.
  void (*rows)(const uint8_t *a, int64_t a_pitch, int64_t rows, const void *packed, int64_t k, int64_t n, const Int8Input &x, const Int8Output &o,
               const Int8Residual &residual, void *c, int64_t c_pitch, Ahead ahead);
  // w [kernel*kernel][channels].
  size_t (*depthwise_bytes)(int64_t kernel, int64_t channels, const Int8Input &x);
  void (*pack_depthwise)(const int8_t *w, int64_t kernel, int64_t channels, const Int8Input &x, void *packed);
  Int8Depthwise *depthwise[3][2];  // [(k-3)/2][s-1]
  // Float pixels [pixels, c] to stored ones: f = x * inverse.
  void (*quantise)(const float *x, int64_t pixels, int64_t c, float inverse, const Int8Output &o, uint8_t *y);
  // y[j] = add[j] + x[source[j]], pixels of c floats: as stored ones with f = y * inverse, or as floats.
  void (*nearest_add)(const float *x, const int32_t *source, const float *add, int64_t out_w, int64_t c, float inverse, const Int8Output &o, void *y);
};

}  // namespace segnas
