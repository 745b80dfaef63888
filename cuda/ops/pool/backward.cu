// avg_pool_backward: a pixel's gradient is the sum over the one to four bins that hold it of dy / count, in the CPU's order and with its roundings
// (csrc/ops/pool/pool.h): the same bits.
//
// A gather: a thread makes four channels of a pixel. Which bins hold a column, and how wide they are, takes divisions and is found once a block, in
// shared memory; of the row, once a thread. Bytes: dx once (17 MB and 5.0 us of an H100 for 128x256x128); dy is small and stays in the caches.
#include "../../plugin/ops.h"
#include "../../plugin/quad.h"
#include "bins.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;

template <class T>
struct BackwardArgs {
  Matrix<T> dy, dx;
  Bins rows, columns;
  int64_t channels, vectors;  // four channels to a vector
  int64_t items, chunks;      // threads and blocks of a row
  int table;                  // columns of a block
};

// What a block knows of a column of pixels. second: of the second bin that holds it; 0: there is none.
struct alignas(16) Cover {
  int bin, width, second;
  int unused;
};

SEGNAS_DEVICE Cover cover_of(const Bins &b, int64_t position) {
  const int64_t first = first_bin(b, position), last = last_bin(b, position);
  return {static_cast<int>(first), static_cast<int>(size_of(bin_of(b, first))), last > first ? static_cast<int>(size_of(bin_of(b, last))) : 0, 0};
}

SEGNAS_DEVICE Quad share_of(const Quad &dy, int64_t count) {
  const float weight = 1.0f / static_cast<float>(count);
  Quad share;
#pragma unroll
  for (int i = 0; i < 4; i++) share.at[i] = dy.at[i] * weight;
  return share;
}

SEGNAS_DEVICE Quad sum_of(const Quad &a, const Quad &b) {
  Quad sum;
#pragma unroll
  for (int i = 0; i < 4; i++) sum.at[i] = a.at[i] + b.at[i];
  return sum;
}

// What the bins of one column give to a pixel: `row` is the upper one's row of dy.
template <class T>
SEGNAS_DEVICE Quad column_share(const BackwardArgs<T> &a, const Cover &down, int64_t row, int64_t bin, int64_t width, int64_t channel) {
  const int64_t left = a.channels - channel;
  const Quad upper = share_of(a.dy.load(row * a.columns.out + bin, channel, left), down.width * width);
  if (down.second == 0) return upper;
  return sum_of(upper, share_of(a.dy.load((row + 1) * a.columns.out + bin, channel, left), down.second * width));
}

template <class T>
SEGNAS_KERNEL(kThreads) pool_spread(const BackwardArgs<T> a) {
  const int64_t row = block_x() / a.chunks, first = (block_x() - row * a.chunks) * kThreads, begin = first / a.vectors;
  const Shared<Cover> covers = shared_memory<Cover>(0);
  for (int j = thread(); j < a.table && begin + j < a.columns.in; j += kThreads) covers[j] = cover_of(a.columns, begin + j);
  barrier();
  const int64_t item = first + thread();
  if (item >= a.items) return;
  const int64_t column = item / a.vectors, channel = (item - column * a.vectors) * 4, picture = row / a.rows.in;
  const Cover down = cover_of(a.rows, row - picture * a.rows.in), across = covers[column - begin];
  const int64_t upper = picture * a.rows.out + down.bin;
  Quad dx = column_share(a, down, upper, across.bin, across.width, channel);
  if (across.second) dx = sum_of(dx, column_share(a, down, upper, across.bin + 1, across.second, channel));
  a.dx.store(row * a.columns.in + column, channel, dx, a.channels - channel);
}

template <class T>
segnas_status backward(Stream *s, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err) {
  BackwardArgs<T> a = {matrix_of<T>(*dy), matrix_of<T>(*dx), {dx->shape[1], dy->shape[1]}, {dx->shape[2], dy->shape[2]}, channels_of(*dx), 0, 0, 0, 0};
  a.vectors = ceil_div<int64_t>(a.channels, 4);
  a.items = a.columns.in * a.vectors;
  a.chunks = ceil_div<int64_t>(a.items, kThreads);
  a.table = static_cast<int>((kThreads - 1) / a.vectors + 2);
  const Grid grid = {dx->shape[0] * a.rows.in * a.chunks, 1, 1, kThreads, static_cast<size_t>(a.table) * sizeof(Cover)};
  return launch("avg_pool_backward", s->raw, err, grid, pool_spread<T>, a);
}

}  // namespace

segnas_status avg_pool_backward(void *stream, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_activation(*dx, [&](auto type) { return backward<decltype(type)>(s, dy, dx, err); }));
  return succeed(err);
}

}  // namespace segnas::gpu
