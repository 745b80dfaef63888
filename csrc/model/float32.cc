// float32: the kernels of the operations, as they are.
#include <algorithm>
#include <cstring>

#include "../core/memory.h"
#include "../include/segnas/segnas.h"
#include "arithmetic.h"

namespace segnas {
namespace {

// A picture's columns that a stretch of a dense 3x3 layer reads.
struct Span {
  int64_t begin, end;
};

Span span_of(const Layer &l, const Stretch &s) {
  return {std::max<int64_t>(0, s.first - 1), std::min(s.in_w, s.first + (s.columns - 1) * l.stride + 2)};
}

}  // namespace

size_t Float32::weight_bytes(const Layer &l) const {
  switch (l.kind) {
    case SEGNAS_LAYER_CONV3X3: return cache_lines(sizeof(float) * static_cast<size_t>(conv3x3_packed_floats(kernels_.lanes, l.cin, l.channels)));
    case SEGNAS_LAYER_PWCONV: return cache_lines(sizeof(float) * static_cast<size_t>(kernels_.pwconv.packed_floats(l.cin, l.channels)));
    case SEGNAS_LAYER_DWCONV: return cache_lines(sizeof(float) * static_cast<size_t>(l.kernel * l.kernel * l.cin));
    default: return 0;
  }
}

size_t Float32::bias_bytes(const Layer &l) const { return weight_bytes(l) ? cache_lines(sizeof(float) * static_cast<size_t>(l.channels)) : 0; }

void Float32::pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const {
  float *to = static_cast<float *>(weights);
  if (l.kind == SEGNAS_LAYER_CONV3X3) kernels_.conv3x3.pack(from.weights, l.channels, l.cin, l.channels, to);
  if (l.kind == SEGNAS_LAYER_PWCONV) kernels_.pwconv.pack(from.weights, l.channels, false, l.cin, l.channels, to);
  if (l.kind == SEGNAS_LAYER_DWCONV) memcpy(to, from.weights, sizeof(float) * static_cast<size_t>(l.kernel * l.kernel * l.cin));
  memcpy(bias, from.bias, sizeof(float) * static_cast<size_t>(l.channels));
}

size_t Float32::dense_scratch(const Layer &l, int64_t columns, const Picture *picture) const {
  if (!picture || !picture->bytes) return 0;
  return 3 * cache_lines(sizeof(float) * static_cast<size_t>(((columns - 1) * l.stride + 3) * l.cin));
}

size_t Float32::upsample_scratch(int64_t in_w, int64_t channels) const { return cache_lines(sizeof(float) * static_cast<size_t>(in_w * channels)); }

void Float32::pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool, void *c, Ahead ahead) const {
  kernels_.pwconv.rows(static_cast<const float *>(a), l.cin, pixels, static_cast<const float *>(l.weights), l.cin, l.channels, l.bias,
                       static_cast<const float *>(residual), l.channels, l.relu, static_cast<float *>(c), l.channels, ahead);
}

void Float32::depthwise(const Layer &l, const Stretch &s, void *out) const {
  const float *rows[7];
  for (int64_t u = 0; u < l.kernel; u++) rows[u] = static_cast<const float *>(s.rows[u]);
  kernels_.dwconv.row[(l.kernel - 3) / 2][l.stride - 1](rows, s.in_w, l.cin, s.first, static_cast<const float *>(l.weights), l.cin, l.bias, l.relu, l.cin,
                                                        s.columns, l.cin, static_cast<float *>(out), nullptr);
}

size_t Float32::dilated_scratch(const Layer &, int64_t) const { return 0; }

void Float32::dilated(const Layer &l, const void *const *rows, int64_t in_w, void *, void *out) const {
  const int64_t d = l.dilation;
  for (int64_t phase = 0; phase < std::min(d, in_w); phase++) {
    const float *from[7];
    for (int64_t u = 0; u < l.kernel; u++) from[u] = rows[u] ? static_cast<const float *>(rows[u]) + phase * l.cin : nullptr;
    const int64_t columns = (in_w - phase + d - 1) / d;
    kernels_.dwconv.row[(l.kernel - 3) / 2][0](from, columns, d * l.cin, 0, static_cast<const float *>(l.weights), l.cin, l.bias, l.relu, l.cin, columns,
                                               d * l.cin, static_cast<float *>(out) + phase * l.cin, nullptr);
  }
}

void Float32::dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const {
  const float *rows[3];
  for (int64_t u = 0; u < 3; u++) rows[u] = static_cast<const float *>(s.rows[u]);
  int64_t in_w = s.in_w, first = s.first;
  if (picture && picture->bytes) {
    Span span = span_of(l, s);
    in_w = span.end - span.begin, first = s.first - span.begin;
    size_t row_bytes = dense_scratch(l, s.columns, picture) / 3;
    for (int64_t u = 0; u < 3; u++) {
      if (!s.rows[u]) continue;
      float *to = reinterpret_cast<float *>(static_cast<char *>(scratch) + static_cast<size_t>(u) * row_bytes);
      kernels_.elementwise.normalise(static_cast<const uint8_t *>(s.rows[u]) + span.begin * l.cin, in_w, l.cin, picture->scale, picture->shift, to);
      rows[u] = to;
    }
  }
  kernels_.conv3x3.row[l.stride - 1](rows, in_w, l.cin, first, l.cin, static_cast<const float *>(l.weights), l.bias, l.relu, l.channels, s.columns,
                                     l.channels, static_cast<float *>(out));
}

void Float32::upsample_add(const Layer &, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const {
  UpsampleRow r = row;
  r.top = static_cast<const float *>(top), r.bottom = static_cast<const float *>(bottom);
  r.add = static_cast<const float *>(add), r.y = static_cast<float *>(y), r.line = static_cast<float *>(scratch);
  r.x_pitch = r.add_pitch = r.y_pitch = r.channels;
  kernels_.upsample.row(r);
}

}  // namespace segnas
