// Integer arithmetic with float32 where layers have no bits: the kernels of int8.h and those of the operations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "../core/memory.h"
#include "../include/segnas/segnas.h"
#include "arithmetic.h"

namespace segnas {
namespace {

int zero_of(const Form &f) { return f.is_signed ? 128 : 0; }
int largest(const Form &f) { return (1 << (f.bits - f.is_signed)) - 1; }

Int8Input read_as(const Layer &l) { return {zero_of(l.in), zero_of(l.in) + largest(l.in), (1 << (l.weight_bits - 1)) - 1}; }

// m and b are nullptr where the layer is not computed in integers.
Int8Output made_as(const Layer &l, const float *m) {
  const float levels = static_cast<float>(l.out.bits ? largest(l.out) : 0);
  const float least = l.out.bits ? (l.out.is_signed ? -levels : 0.0f) : -std::numeric_limits<float>::infinity();
  return {m, l.bias, l.out.bits == 0, l.relu ? 0.0f : least, levels, zero_of(l.out)};
}

float inverse(const Form &f) { return static_cast<float>(1.0 / f.step); }

size_t levels_bytes(const Int8Kernels &kernels, const Layer &l) {
  return cache_lines(l.kind == SEGNAS_LAYER_DWCONV ? kernels.depthwise_bytes(l.kernel, l.cin, read_as(l)) : kernels.packed_bytes(l.cin, l.channels, read_as(l)));
}

size_t channel_bytes(const Layer &l) { return cache_lines(sizeof(float) * static_cast<size_t>(int8_stored(l.channels))); }

// Where the factors of the output channels lie: behind the levels.
const float *factors(const Int8Kernels &kernels, const Layer &l) {
  return reinterpret_cast<const float *>(static_cast<const char *>(l.weights) + levels_bytes(kernels, l));
}

}  // namespace

size_t Integers::weight_bytes(const Layer &l) const { return l.weight_bits ? levels_bytes(kernels_, l) + channel_bytes(l) : float32_.weight_bytes(l); }

size_t Integers::bias_bytes(const Layer &l) const { return l.weight_bits ? channel_bytes(l) : float32_.bias_bytes(l); }

void Integers::pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const {
  if (!l.weight_bits) return float32_.pack(l, from, weights, bias);
  const bool depthwise = l.kind == SEGNAS_LAYER_DWCONV;
  const int64_t count = (depthwise ? l.kernel * l.kernel : l.cin) * l.channels;
  std::vector<int8_t> levels(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; i++) {
    const double level = static_cast<double>(from.weights[i]) / static_cast<double>(from.weight_steps[i % l.channels]);
    levels[static_cast<size_t>(i)] = static_cast<int8_t>(std::nearbyint(level));
  }
  if (depthwise) kernels_.pack_depthwise(levels.data(), l.kernel, l.cin, read_as(l), weights);
  else kernels_.pack(levels.data(), l.cin, l.channels, read_as(l), weights);
  float *m = reinterpret_cast<float *>(static_cast<char *>(weights) + levels_bytes(kernels_, l));
  memset(m, 0, channel_bytes(l));
  memset(bias, 0, channel_bytes(l));
  const double step = l.out.bits ? l.out.step : 1.0;
  for (int64_t c = 0; c < l.channels; c++) {
    m[c] = static_cast<float>(static_cast<double>(l.in.step) * static_cast<double>(from.weight_steps[c]) / step);
    bias[c] = static_cast<float>(static_cast<double>(from.bias[c]) / step);
  }
}

void Integers::quantise(const Layer &l, const float *x, int64_t pixels, void *y) const {
  kernels_.quantise(x, pixels, l.channels, inverse(l.out), made_as(l, nullptr), static_cast<uint8_t *>(y));
}

// A float32 layer whose value is kept in integers: make(first, count, floats) makes pixels, which are rounded before the next ones come.
template <class Make>
void Integers::in_pieces(const Layer &l, int64_t pixels, void *out, Make make) const {
  alignas(64) float piece[6 * kIntegerChannels];
  const int64_t most = 6 * kIntegerChannels / l.channels;
  for (int64_t first = 0; first < pixels; first += most) {
    const int64_t count = std::min(most, pixels - first);
    make(first, count, piece);
    quantise(l, piece, count, static_cast<uint8_t *>(out) + first * pixel_bytes(l.out, l.channels));
  }
}

void Integers::pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const {
  if (l.weight_bits) {
    const int64_t pixel = int8_stored(l.channels);
    const Int8Residual more = {static_cast<const uint8_t *>(residual), pixel, zero_of(l.residual),
                               l.residual.bits ? static_cast<float>(static_cast<double>(l.residual.step) / (l.out.bits ? l.out.step : 1.0)) : 0.0f};
    return kernels_.rows(static_cast<const uint8_t *>(a), int8_stored(l.cin), pixels, l.weights, l.cin, l.channels, read_as(l), made_as(l, factors(kernels_, l)), more,
                         c, l.out.bits ? pixel : l.channels, ahead);
  }
  if (!l.out.bits) return float32_.pointwise(l, a, pixels, residual, floats, c, ahead);
  in_pieces(l, pixels, c, [&](int64_t first, int64_t count, float *piece) {
    const float *more = residual ? static_cast<const float *>(residual) + first * l.channels : nullptr;
    float32_.pointwise(l, static_cast<const float *>(a) + first * l.cin, count, more, false, piece, {});
  });
}

void Integers::depthwise(const Layer &l, const Stretch &s, void *out) const {
  if (l.weight_bits) {
    const uint8_t *rows[7];
    for (int64_t u = 0; u < l.kernel; u++) rows[u] = static_cast<const uint8_t *>(s.rows[u]);
    return kernels_.depthwise[(l.kernel - 3) / 2][l.stride - 1](rows, s.in_w, s.first, l.weights, read_as(l), made_as(l, factors(kernels_, l)), l.cin, s.columns,
                                                                static_cast<uint8_t *>(out));
  }
  if (!l.out.bits) return float32_.depthwise(l, s, out);
  in_pieces(l, s.columns, out, [&](int64_t first, int64_t count, float *piece) {
    float32_.depthwise(l, {s.rows, s.in_w, s.first + first * l.stride, count}, piece);
  });
}

void Integers::dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const {
  if (!l.out.bits) return float32_.dense(l, s, picture, scratch, out);
  in_pieces(l, s.columns, out, [&](int64_t first, int64_t count, float *piece) {
    float32_.dense(l, {s.rows, s.in_w, s.first + first * l.stride, count}, picture, scratch, piece);
  });
}

void Integers::nearest_add(const Layer &l, const float *x, const int32_t *source, const float *add, int64_t columns, void *y) const {
  kernels_.nearest_add(x, source, add, columns, l.channels, l.out.bits ? inverse(l.out) : 1.0f, made_as(l, nullptr), y);
}

}  // namespace segnas
