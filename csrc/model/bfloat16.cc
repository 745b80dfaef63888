// bfloat16 with float32 sums: the kernels of bf16.h. A dense 3x3 layer is a product over patches.
#include <algorithm>
#include <cstring>

#include "../core/memory.h"
#include "../include/segnas/segnas.h"
#include "arithmetic.h"

namespace segnas {
namespace {

constexpr int64_t kPatchColumns = 96;  // patches that are made, then multiplied, while they lie in L1

}  // namespace

size_t Bfloat16::weight_bytes(const Layer &l) const {
  const int64_t lanes = kernels_.lanes;
  switch (l.kind) {
    case SEGNAS_LAYER_CONV3X3: return cache_lines(2 * static_cast<size_t>(bf16_packed(lanes, 9 * l.cin, l.channels, false)));
    case SEGNAS_LAYER_PWCONV: return cache_lines(2 * static_cast<size_t>(bf16_packed(lanes, l.cin, l.channels, true)));
    case SEGNAS_LAYER_DWCONV: return cache_lines(sizeof(float) * static_cast<size_t>(l.kernel * l.kernel * stored(l.cin)));
    default: return 0;
  }
}

size_t Bfloat16::bias_bytes(const Layer &l) const { return weight_bytes(l) ? cache_lines(sizeof(float) * static_cast<size_t>(stored(l.channels))) : 0; }

void Bfloat16::pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const {
  memset(bias, 0, bias_bytes(l));
  memcpy(bias, from.bias, sizeof(float) * static_cast<size_t>(l.channels));
  if (l.kind != SEGNAS_LAYER_DWCONV) {
    bool pointwise = l.kind == SEGNAS_LAYER_PWCONV;
    return kernels_.pack(from.weights, pointwise ? l.cin : 9 * l.cin, l.channels, pointwise, static_cast<uint16_t *>(weights));
  }
  float *to = static_cast<float *>(weights);
  const int64_t group = 2 * kernels_.lanes;
  for (int64_t c = 0; c < l.cin; c += group)
    for (int64_t tap = 0; tap < l.kernel * l.kernel; tap++)
      for (int64_t i = 0; i < group; i++) *to++ = c + i < l.cin ? from.weights[tap * l.cin + c + i] : 0.0f;
}

size_t Bfloat16::dense_scratch(const Layer &l, int64_t columns, const Picture *) const {
  return cache_lines(2 * static_cast<size_t>(std::min(columns, kPatchColumns) * 2 * bf16_pairs(kernels_.lanes, 9 * l.cin, false) + kernels_.lanes));
}

size_t Bfloat16::upsample_scratch(int64_t in_w, int64_t channels) const { return cache_lines(sizeof(float) * static_cast<size_t>(in_w * stored(channels))); }

void Bfloat16::pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c) const {
  kernels_.rows(static_cast<const uint16_t *>(a), stored(l.cin), pixels, static_cast<const uint16_t *>(l.weights), stored(l.cin) / 2, l.channels, l.bias,
                static_cast<const uint16_t *>(residual), stored(l.channels), l.relu, floats, c, floats ? l.channels : stored(l.channels));
}

void Bfloat16::depthwise(const Layer &l, const Stretch &s, void *out) const {
  const uint16_t *rows[7];
  for (int64_t u = 0; u < l.kernel; u++) rows[u] = static_cast<const uint16_t *>(s.rows[u]);
  kernels_.depthwise[(l.kernel - 3) / 2][l.stride - 1](rows, s.in_w, s.first, static_cast<const float *>(l.weights), l.bias, l.relu, stored(l.cin), s.columns,
                                                       static_cast<uint16_t *>(out));
}

void Bfloat16::dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const {
  const int64_t pairs = bf16_pairs(kernels_.lanes, 9 * l.cin, false);
  Bf16Patches p{};
  for (int u = 0; u < 3; u++) p.rows[u] = s.rows[u];
  p.bytes = picture && picture->bytes;
  p.in_w = s.in_w, p.stride = l.stride, p.cin = l.cin, p.k = 2 * pairs;
  if (p.bytes) p.scale = picture->scale, p.shift = picture->shift;
  p.patches = static_cast<uint16_t *>(scratch);
  for (int64_t j = 0; j < s.columns; j += kPatchColumns) {
    p.first = s.first + j * l.stride, p.columns = std::min(kPatchColumns, s.columns - j);
    kernels_.patches(p);
    kernels_.rows(p.patches, p.k, p.columns, static_cast<const uint16_t *>(l.weights), pairs, l.channels, l.bias, nullptr, 0, l.relu, false,
                  static_cast<uint16_t *>(out) + j * stored(l.channels), stored(l.channels));
  }
}

void Bfloat16::upsample_add(const Layer &, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const {
  Bf16UpsampleRow r{};
  r.top = static_cast<const uint16_t *>(top), r.bottom = static_cast<const uint16_t *>(bottom);
  r.top_weight = row.top_weight, r.bottom_weight = row.bottom_weight;
  r.stored = stored(row.channels), r.columns = row.columns, r.relu = row.relu != 0;
  r.add = static_cast<const uint16_t *>(add), r.y = static_cast<uint16_t *>(y), r.line = static_cast<float *>(scratch);
  kernels_.upsample(r);
}

void Bfloat16::to_stored(const float *x, int64_t pixels, int64_t channels, void *y) const {
  kernels_.to_stored(x, pixels, channels, static_cast<uint16_t *>(y));
}

void Bfloat16::to_float(const void *x, int64_t pixels, int64_t channels, float *y) const {
  kernels_.to_float(static_cast<const uint16_t *>(x), pixels, channels, y);
}

}  // namespace segnas
