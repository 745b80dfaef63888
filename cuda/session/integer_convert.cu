// session_quantise and session_nearest_add: floats to bytes. A thread takes four channels of a pixel. Memory is the floor: 5 bytes a number rounded, and of a
// sum 4 read of a, as many of x (from the second-level cache where x is smaller), 1 or 4 written. 512x1024x32 numbers rounded are 84 MB, 25 us of an H100.
#include "../plugin/interpolation.h"
#include "../plugin/quad.h"
#include "integers.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;

struct QuantiseArgs {
  Matrix<const float> x;
  int64_t items;  // words of all pixels
  int32_t words, channels;
  Rounding rounding;
  uint8_t *y;
};

SEGNAS_KERNEL(kThreads) quantise_words(const QuantiseArgs a) {
  const int64_t item = static_cast<int64_t>(block_x()) * kThreads + thread();
  if (item >= a.items) return;
  const int64_t pixel = item / a.words;
  const int channel = static_cast<int>(item - pixel * a.words) * 4;
  a.rounding.store(a.y + item * 4, a.x.load(pixel, channel, a.channels - channel).at);
}

struct NearestArgs {
  Matrix<const float> x, a;
  Axis rows, columns;
  int64_t items;  // words of all pixels; of floats a word has no fill
  int32_t words, channels;
  Rounding rounding;
  void *y;
};

SEGNAS_KERNEL(kThreads) nearest_add_words(const NearestArgs a) {
  const int64_t item = static_cast<int64_t>(block_x()) * kThreads + thread();
  if (item >= a.items) return;
  const int64_t pixel = item / a.words, row = pixel / a.columns.out, picture = row / a.rows.out;
  const int channel = static_cast<int>(item - pixel * a.words) * 4, left = a.channels - channel;
  const int64_t from = (picture * a.rows.in + source_of(a.rows, row - picture * a.rows.out)) * a.columns.in + source_of(a.columns, pixel - row * a.columns.out);
  Quad f = a.a.load(pixel, channel, left);
  const Quad x = a.x.load(from, channel, left);
#pragma unroll
  for (int i = 0; i < 4; i++) f.at[i] += x.at[i];
  if (!a.rounding.kept.floats) return a.rounding.store(static_cast<uint8_t *>(a.y) + item * 4, f.at);
#pragma unroll
  for (int i = 0; i < 4; i++) f.at[i] = a.rounding.kept.rectified(f.at[i]);
  store_quad(static_cast<float *>(a.y) + pixel * a.channels + channel, f, left, a.a.aligned);
}

}  // namespace

segnas_status session_quantise(Stream *s, const float *x, int64_t pixels, int64_t channels, const Rounding &rounding, uint8_t *y, segnas_error *err) {
  const int64_t words = stored_bytes(channels) / 4;
  if (pixels == 0) return succeed(err);
  const QuantiseArgs args = {matrix_at(x, channels), pixels * words, static_cast<int32_t>(words), static_cast<int32_t>(channels), rounding, y};
  const Grid grid = {.x = ceil_div<int64_t>(args.items, kThreads), .threads = kThreads};
  return launch("session_quantise", s->raw, err, grid, quantise_words, args);
}

segnas_status session_nearest_add(Stream *s, const Image &x, const Image &a, const Rounding &rounding, const Image &y, segnas_error *err) {
  const int64_t words = rounding.kept.floats ? ceil_div<int64_t>(y.c, 4) : stored_bytes(y.c) / 4;
  if (y.pixels() == 0) return succeed(err);
  const NearestArgs args = {matrix_at(static_cast<const float *>(x.at), x.c), matrix_at(static_cast<const float *>(a.at), a.c),
                            axis_of(x.h, y.h, 1), axis_of(x.w, y.w, 1), y.pixels() * words, static_cast<int32_t>(words), static_cast<int32_t>(y.c), rounding, y.at};
  const Grid grid = {.x = ceil_div<int64_t>(args.items, kThreads), .threads = kThreads};
  return launch("session_nearest_add", s->raw, err, grid, nearest_add_words, args);
}

}  // namespace segnas::gpu
