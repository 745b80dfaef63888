#include "interpolation.h"

#include "memory.h"

namespace segnas {
namespace {
size_t ints_bytes(int64_t n) { return cache_lines(static_cast<size_t>(n) * sizeof(int32_t)); }

// Outputs: source = ((2o+1) in - out) / (2 out), or (2o+1) in / (2 out) for nearest.
void fill_outputs(bool nearest, int64_t in, int64_t out, int32_t *lo, float *w0, float *w1) {
  for (int64_t o = 0; o < out; o++) {
    int64_t numerator = (2 * o + 1) * in - (nearest ? 0 : out);
    if (numerator < 0) numerator = 0;
    int64_t whole = numerator / (2 * out), rest = numerator - whole * 2 * out;
    if (nearest || whole >= in - 1) rest = 0;
    lo[o] = static_cast<int32_t>(whole);
    w0[o] = static_cast<float>(2 * out - rest) / static_cast<float>(2 * out);
    w1[o] = static_cast<float>(rest) / static_cast<float>(2 * out);
  }
  for (int64_t o = out; o < out + kAxisPadding; o++) w0[o] = w1[o] = 0;
}

void fill_inputs(int64_t in, int64_t out, const int32_t *lo, const float *w1, int32_t *from, int32_t *touch) {
  int64_t o = 0;
  for (int64_t j = 0; j <= in; j++) {
    while (o < out && lo[o] < j) o++;
    from[j] = static_cast<int32_t>(o);
  }
  for (int64_t j = 0; j < in; j++) {
    int32_t first = j == 0 ? from[0] : from[j - 1];
    while (first < from[j] && w1[first] == 0) first++;
    touch[j] = first;
  }
}
}  // namespace

size_t axis_bytes(int64_t in, int64_t out) {
  return ints_bytes(out) + 2 * ints_bytes(out + kAxisPadding) + ints_bytes(in + 1) + ints_bytes(in);
}

Axis make_axis(bool nearest, int64_t in, int64_t out, void *memory) {
  char *at = static_cast<char *>(memory);
  auto take = [&at](int64_t n) {
    char *part = at;
    at += ints_bytes(n);
    return part;
  };
  auto *lo = reinterpret_cast<int32_t *>(take(out));
  auto *w0 = reinterpret_cast<float *>(take(out + kAxisPadding));
  auto *w1 = reinterpret_cast<float *>(take(out + kAxisPadding));
  auto *from = reinterpret_cast<int32_t *>(take(in + 1));
  auto *touch = reinterpret_cast<int32_t *>(take(in));
  fill_outputs(nearest, in, out, lo, w0, w1);
  fill_inputs(in, out, lo, w1, from, touch);
  return {in, out, lo, w0, w1, from, touch};
}

}  // namespace segnas
