// upsample_backward: dx(i, j) = sum over output rows o that touch i, ascending, of v(o) line(o, j), line(o, j) = sum over output columns p that
// touch j, ascending, of w(p) dy(o, p); products and sums rounded one by one: the CPU's bits.
//
// A gather: a thread owns one input column of a band of input rows, in one channel or in four, and walks down the output rows, which it keeps
// kGroup lines of at a time, so that a weight is computed once for kGroup rows and as many loads are on their way. A line is added to the row
// above it and to the row below, which becomes the row above: only the rows between two bands are summed twice.
// Bytes: dy once from memory (4 an output, bound by it as the forward pass: 17 MB and 5.0 us of an H100 for 128x256x128 to 32x64), twice
// through the first-level cache, since two columns are interested in every output; dx, 16 times smaller when reducing by 4. Operations:
// 2 an output and column, so 4, and 4/factor down the rows. Bands are as high as leaves 2^17 threads; their height changes no sum.
#include "../../plugin/ops.h"
#include "vector.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBand = 8, kEnoughThreads = int64_t{1} << 17;

template <class T>
struct Pixels {
  T *at;
  int64_t pitch;
};

template <class T>
struct BackwardArgs {
  Pixels<T> dy, dx;
  Axis rows, columns;
  int64_t vectors;
  int64_t band, bands;    // input rows of a band; bands of a picture
  int64_t items, chunks;  // threads and blocks of a band
};

// The positions of outputs between input lo and the next, as they move on by one.
struct Between {
  int32_t rest, step;  // beyond lo; before the first input, rest is below 0 and the position is the input's
  SEGNAS_DEVICE Between(const Axis &a, int64_t output, int64_t lo) : rest(0), step(0) {
    if (a.nearest || lo < 0 || lo >= a.in - 1) return;
    rest = static_cast<int32_t>((2 * output + 1) * a.in - a.out - 2 * a.out * lo);
    step = static_cast<int32_t>(2 * a.in);
  }
  SEGNAS_DEVICE float first(const Axis &a) const { return first_weight(a, rest < 0 ? 0 : rest); }
  SEGNAS_DEVICE float second(const Axis &a) const { return second_weight(a, rest < 0 ? 0 : rest); }
};

// The column that a thread gathers, and its channels of the picture's first output.
template <class T>
struct Column {
  int index, touched, own, end;  // outputs [touched, own) with w1, [own, end) with w0
  const T *dy;
};

// lines[r] of output rows o + r, for the `count` <= kGroup of them that are there.
template <int kWidth, int kGroup, class T>
SEGNAS_DEVICE void gather_lines(const BackwardArgs<T> &a, const Column<T> &column, int o, int count, Channels<kWidth> (&lines)[kGroup]) {
  for (int r = 0; r < kGroup; r++)
    for (int i = 0; i < kWidth; i++) lines[r].at[i] = 0;
  const int64_t row = a.columns.out * a.dy.pitch;
  const T *dy = column.dy + o * row + column.touched * a.dy.pitch;
  auto add_column = [&](float weight) {
    for (int r = 0; r < kGroup; r++)
      if (r < count) add_product(&lines[r], weight, load_channels<kWidth>(dy + r * row));
    dy += a.dy.pitch;
  };
  Between before(a.columns, column.touched, column.index - 1), after(a.columns, column.own, column.index);
  for (int p = column.touched; p < column.own; p++, before.rest += before.step) add_column(before.second(a.columns));
  for (int p = column.own; p < column.end; p++, after.rest += after.step) add_column(after.first(a.columns));
}

template <int kWidth, int kGroup, class T>
SEGNAS_KERNEL(kThreads, 2) upsample_gather(const BackwardArgs<T> a) {
  const int64_t piece = block_x() / a.chunks, item = (block_x() - piece * a.chunks) * kThreads + thread();
  if (item >= a.items) return;
  const int64_t picture = piece / a.bands, begin = (piece - picture * a.bands) * a.band;
  const int64_t end = begin + a.band < a.rows.in ? begin + a.band : a.rows.in;
  const int64_t j = item / a.vectors, channel = (item - j * a.vectors) * kWidth;
  const Column<T> column = {static_cast<int>(j), static_cast<int>(outputs_touched_from(a.columns, j)), static_cast<int>(outputs_from(a.columns, j)),
                         static_cast<int>(outputs_from(a.columns, j + 1)), a.dy.at + picture * a.rows.out * a.columns.out * a.dy.pitch + channel};
  T *dx = a.dx.at + ((picture * a.rows.in + begin) * a.columns.in + j) * a.dx.pitch + channel;
  Channels<kWidth> above = {}, below = {}, lines[kGroup];
  int o = static_cast<int>(outputs_touched_from(a.rows, begin));
  for (int64_t low = begin - 1; low < end; low++) {
    const int stop = static_cast<int>(outputs_from(a.rows, low + 1));
    Between rows(a.rows, o, low);
    while (o < stop) {
      const int count = stop - o < kGroup ? stop - o : kGroup;
      gather_lines(a, column, o, count, lines);
      for (int r = 0; r < kGroup; r++) {
        if (r >= count) continue;
        add_product(&above, rows.first(a.rows), lines[r]);
        if (rows.rest > 0) add_product(&below, rows.second(a.rows), lines[r]);
        rows.rest += rows.step;
      }
      o += count;
    }
    // Before the first row there was nothing of ours above.
    if (low >= begin) {
      store_channels(dx, above);
      dx += a.columns.in * a.dx.pitch;
    }
    above = below;
    below = {};
  }
}

template <int kWidth, class T>
segnas_status gather(Stream *s, const Grid &grid, const BackwardArgs<T> &a, segnas_error *err) {
  const int64_t rows = ceil_div(a.rows.out, a.rows.in);  // between two input rows
  const auto kernel = rows <= 1   ? upsample_gather<kWidth, 1, T>
                      : rows <= 2 ? upsample_gather<kWidth, 2, T>
                      : rows <= 4 ? upsample_gather<kWidth, 4, T>
                                  : upsample_gather<kWidth, 8, T>;
  return launch("upsample_backward", s->raw, err, grid, kernel, a);
}

template <class T>
segnas_status backward(Stream *s, const segnas_tensor *dy, int32_t mode, const segnas_tensor *dx, segnas_error *err) {
  const int32_t nearest = mode == SEGNAS_NEAREST;
  BackwardArgs<T> a = {{stored<T>(*dy), pitch_of(*dy)}, {stored<T>(*dx), pitch_of(*dx)}, axis_of(dx->shape[1], dy->shape[1], nearest),
                       axis_of(dx->shape[2], dy->shape[2], nearest), 0, 0, 0, 0, 0};
  const int64_t pictures = dx->shape[0], channels = channels_of(*dx);
  const bool fours = channels % 4 == 0 && packs<4>(a.dy.at, a.dy.pitch) && packs<4>(a.dx.at, a.dx.pitch);
  a.vectors = fours ? channels / 4 : channels;
  a.items = a.columns.in * a.vectors;
  const int64_t spare = pictures * a.rows.in * a.items / kEnoughThreads;
  a.band = spare < 1 ? 1 : spare < kMostBand ? spare : kMostBand;
  a.bands = ceil_div(a.rows.in, a.band);
  a.chunks = ceil_div<int64_t>(a.items, kThreads);
  Grid grid;
  grid.x = pictures * a.bands * a.chunks;
  grid.threads = kThreads;
  return fours ? gather<4>(s, grid, a, err) : gather<1>(s, grid, a, err);
}

}  // namespace

segnas_status upsample_backward(void *stream, const segnas_tensor *dy, int32_t mode, const segnas_tensor *dx, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_activation(*dx, [&](auto type) { return backward<decltype(type)>(s, dy, mode, dx, err); }));
  return succeed(err);
}

}  // namespace segnas::gpu
