// bfloat16 with float32 sums: the kernels of bf16.h.
#include <algorithm>
#include <cstring>

#include "../core/memory.h"
#include "../include/segnas/segnas.h"
#include "arithmetic.h"

namespace segnas {
size_t Bfloat16::weight_bytes(const Layer &l) const {
  const int64_t lanes = kernels_.lanes;
  switch (l.kind) {
    case SEGNAS_LAYER_CONV3X3: return cache_lines(2 * static_cast<size_t>(bf16_packed(lanes, bf16_dense_pairs(l.cin), l.channels)));
    case SEGNAS_LAYER_PWCONV: return cache_lines(2 * static_cast<size_t>(bf16_packed(lanes, bf16_pairs(lanes, l.cin), l.channels)));
    case SEGNAS_LAYER_DWCONV: return cache_lines(sizeof(float) * static_cast<size_t>(l.kernel * l.kernel * stored(l.cin)));
    default: return 0;
  }
}

size_t Bfloat16::bias_bytes(const Layer &l) const { return weight_bytes(l) ? cache_lines(sizeof(float) * static_cast<size_t>(stored(l.channels))) : 0; }

void Bfloat16::pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const {
  memset(bias, 0, bias_bytes(l));
  memcpy(bias, from.bias, sizeof(float) * static_cast<size_t>(l.channels));
  if (l.kind == SEGNAS_LAYER_PWCONV) return kernels_.pack(from.weights, l.cin, l.channels, static_cast<uint16_t *>(weights));
  if (l.kind == SEGNAS_LAYER_CONV3X3) return kernels_.pack_dense(from.weights, l.cin, l.channels, static_cast<uint16_t *>(weights));
  float *to = static_cast<float *>(weights);
  const int64_t group = 2 * kernels_.lanes;
  for (int64_t c = 0; c < l.cin; c += group)
    for (int64_t tap = 0; tap < l.kernel * l.kernel; tap++)
      for (int64_t i = 0; i < group; i++) *to++ = c + i < l.cin ? from.weights[tap * l.cin + c + i] : 0.0f;
}

// Of one line.
static size_t line_bytes(const Layer &l, int64_t columns) { return cache_lines(2 * static_cast<size_t>(((columns - 1) * l.stride + 3) * l.cin)); }

size_t Bfloat16::dense_scratch(const Layer &l, int64_t columns, const Picture *) const { return 3 * line_bytes(l, columns); }

size_t Bfloat16::upsample_scratch(int64_t in_w, int64_t channels) const { return cache_lines(sizeof(float) * static_cast<size_t>(in_w * stored(channels))); }

void Bfloat16::pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const {
  kernels_.rows(static_cast<const uint16_t *>(a), stored(l.cin), pixels, static_cast<const uint16_t *>(l.weights), stored(l.cin) / 2, l.channels, l.bias,
                static_cast<const uint16_t *>(residual), stored(l.channels), l.relu, floats, c, floats ? l.channels : stored(l.channels), ahead);
}

void Bfloat16::depthwise(const Layer &l, const Stretch &s, void *out) const {
  const uint16_t *rows[7];
  for (int64_t u = 0; u < l.kernel; u++) rows[u] = static_cast<const uint16_t *>(s.rows[u]);
  kernels_.depthwise[(l.kernel - 3) / 2][l.stride - 1](rows, s.in_w, s.first, static_cast<const float *>(l.weights), l.bias, l.relu, stored(l.cin), s.columns,
                                                       static_cast<uint16_t *>(out));
}

// A row of one phase: every dilation-th pixel.
static size_t phase_bytes(const Layer &l, int64_t in_w, int64_t stored) {
  return cache_lines(2 * static_cast<size_t>((in_w + l.dilation - 1) / l.dilation * stored));
}

size_t Bfloat16::dilated_scratch(const Layer &l, int64_t in_w) const {
  return static_cast<size_t>(l.kernel + 1) * phase_bytes(l, in_w, stored(l.cin));
}

// The kernel reads pixels one after another, so each phase is gathered, computed and put back.
void Bfloat16::dilated(const Layer &l, const void *const *rows, int64_t in_w, void *scratch, void *out) const {
  const int64_t d = l.dilation, pixel = stored(l.cin);
  const size_t line = phase_bytes(l, in_w, pixel), bytes = 2 * static_cast<size_t>(pixel);
  char *base = static_cast<char *>(scratch), *made = base + static_cast<size_t>(l.kernel) * line;
  for (int64_t phase = 0; phase < std::min(d, in_w); phase++) {
    const int64_t columns = (in_w - phase + d - 1) / d;
    const uint16_t *from[7];
    for (int64_t u = 0; u < l.kernel; u++) {
      char *to = base + static_cast<size_t>(u) * line;
      from[u] = rows[u] ? reinterpret_cast<const uint16_t *>(to) : nullptr;
      for (int64_t j = 0; rows[u] && j < columns; j++)
        memcpy(to + static_cast<size_t>(j) * bytes, static_cast<const uint16_t *>(rows[u]) + (phase + j * d) * pixel, bytes);
    }
    kernels_.depthwise[(l.kernel - 3) / 2][0](from, columns, 0, static_cast<const float *>(l.weights), l.bias, l.relu, pixel, columns,
                                              reinterpret_cast<uint16_t *>(made));
    for (int64_t j = 0; j < columns; j++)
      memcpy(static_cast<uint16_t *>(out) + (phase + j * d) * pixel, made + static_cast<size_t>(j) * bytes, bytes);
  }
}

void Bfloat16::dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const {
  Bf16Line line{};
  line.bytes = picture && picture->bytes;
  line.in_w = s.in_w, line.cin = l.cin, line.first = s.first - 1, line.columns = (s.columns - 1) * l.stride + 3;
  if (line.bytes) line.scale = picture->scale, line.shift = picture->shift;
  Bf16Dense dense{};
  for (int u = 0; u < 3; u++) {
    line.row = s.rows[u];
    line.line = reinterpret_cast<uint16_t *>(static_cast<char *>(scratch) + static_cast<size_t>(u) * line_bytes(l, s.columns));
    kernels_.line(line);
    dense.lines[u] = line.line;
  }
  dense.cin = l.cin, dense.stride = l.stride, dense.columns = s.columns, dense.cout = l.channels;
  dense.packed = static_cast<const uint16_t *>(l.weights), dense.bias = l.bias, dense.relu = l.relu;
  dense.out_pitch = stored(l.channels), dense.out = static_cast<uint16_t *>(out);
  kernels_.dense(dense);
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
