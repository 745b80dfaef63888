// avg_pool_forward: y = the mean of x over a bin. Two kernels: slabs of a bin's pixels are summed (plugin/columns.h: four channels to a thread, chains in
// float32, then double), then a thread per result adds its slabs in ascending order, divides and rounds once.
//
// Few results of many pixels: without slabs the image pooling of one picture would be a block or two. A slab is what a block of 256 threads adds in
// 2 kChain steps or more, and as many are made as leave about 1024 blocks. Bytes: x once, 17 MB for 128x256x128, 5.0 us of an H100; an addition each.
// Pixels that two bins share are read for both.
#include "../../plugin/columns.h"
#include "../../plugin/ops.h"
#include "bins.h"

namespace segnas::gpu {
namespace {

constexpr int64_t kEnoughBlocks = 1024;
constexpr int kAverageThreads = 256;

template <class T>
struct SumArgs {
  Matrix<T> x;  // [pictures * rows.in * columns.in, channels]
  Bins rows, columns;
  Columns slabs;  // of one bin
  double *sums;   // [bins][slabs][channels]
};

template <class T>
SEGNAS_KERNEL(kColumnThreads) pool_sums(const SumArgs<T> a) {
  const int64_t number = block_x() / a.slabs.slabs, slab = block_x() - number * a.slabs.slabs;
  const int64_t row = number / a.columns.out, picture = row / a.rows.out;
  const Bin down = bin_of(a.rows, row - picture * a.rows.out), across = bin_of(a.columns, number - row * a.columns.out);
  const int64_t width = size_of(across), pixels = size_of(down) * width, stop = (slab + 1) * a.slabs.slab_pixels;
  Column at = column_of(a.slabs);
  at.begin = slab * a.slabs.slab_pixels + at.row;
  at.end = stop < pixels ? stop : pixels;
  ColumnSums<1> sums;
  // A division each for the first pixel and the step to the next: the bin's rows and columns are counted on from there.
  const int64_t step_lines = a.slabs.rows / width, step_columns = a.slabs.rows - step_lines * width;
  int64_t line = at.begin / width, column = at.begin - line * width;
  for (int64_t p = at.begin; p < at.end; p += a.slabs.rows) {
    const int64_t pixel = (picture * a.rows.in + down.begin + line) * a.columns.in + across.begin + column;
    sums.add({a.x.load(pixel, at.channel, at.left)});
    line += step_lines;
    column += step_columns;
    if (column < width) continue;
    column -= width;
    line++;
  }
  put_sums(a.slabs, at, sums, a.sums);
}

template <class T>
struct AverageArgs {
  const double *sums;
  Bins rows, columns;
  int64_t bins, slabs, channels;
  T *y;
  int64_t pitch;
};

template <class T>
SEGNAS_KERNEL(kAverageThreads) pool_average(const AverageArgs<T> a) {
  const int64_t item = static_cast<int64_t>(block_x()) * kAverageThreads + thread(), number = item / a.channels, c = item - number * a.channels;
  if (number >= a.bins) return;
  const int64_t row = number / a.columns.out;
  const int64_t count = size_of(bin_of(a.rows, row % a.rows.out)) * size_of(bin_of(a.columns, number - row * a.columns.out));
  double sum = 0;
  for (int64_t slab = 0; slab < a.slabs; slab++) sum += a.sums[(number * a.slabs + slab) * a.channels + c];
  store(a.y + number * a.pitch + c, static_cast<float>(sum / static_cast<double>(count)));
}

template <class T>
segnas_status forward(Stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  const Bins rows = {x->shape[1], y->shape[1]}, columns = {x->shape[2], y->shape[2]};
  const int64_t bins = pixels_of(*y), channels = channels_of(*y), most = kEnoughBlocks / bins;
  const Columns slabs = columns_of(largest_bin(rows) * largest_bin(columns), channels, 2 * kChain, most < 1 ? 1 : most);
  void *scratch = nullptr;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(bins * slabs.slabs * channels) * sizeof(double), &scratch, err));
  const SumArgs<T> sum = {matrix_of<T>(*x), rows, columns, slabs, static_cast<double *>(scratch)};
  const Grid blocks = {bins * slabs.slabs, slabs.groups, 1, kColumnThreads, column_sum_bytes<1>()};
  SEGNAS_GPU_TRY(launch("avg_pool_forward", s->raw, err, blocks, pool_sums<T>, sum));
  const AverageArgs<T> average = {sum.sums, rows, columns, bins, slabs.slabs, channels, stored<T>(*y), pitch_of(*y)};
  const Grid results = {ceil_div<int64_t>(bins * channels, kAverageThreads), 1, 1, kAverageThreads, 0};
  return launch("avg_pool_forward", s->raw, err, results, pool_average<T>, average);
}

}  // namespace

segnas_status avg_pool_forward(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) { return forward<decltype(type)>(s, x, y, err); }));
  return succeed(err);
}

}  // namespace segnas::gpu
