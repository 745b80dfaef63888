// The resizing kernel, for the operations (float32) and for sessions (any stored type): with t(j) = v0 top(j) + v1 bottom(j),
// y = w0 t(lo) + w1 t(lo+1) (+ a), each product and sum rounded: the CPU's bits. Taps of weight 0 are not read.
//
// Tile: a thread makes kRun neighbouring outputs of a row in one channel, or in four where all views allow it; neighbouring threads have
// neighbouring channels, so a warp writes a stretch of at least 128 bytes at a time. It keeps the two source columns between which it is,
// lerped down the column, and loads one more when it passes the next: enlarging by 4, eight outputs read 3 columns of 2 pixels where one
// output alone reads 4 pixels. The weights along the row depend on the column alone and are made once a block, in shared memory: a division
// a column, not one an output.
// Bytes: 4 an output and as many for the addend; the source, 16 times smaller when enlarging by 4, is read from L2 kRun/factor + 2 times a row
// and from memory once. Operations: 3 an output along the row, 3/factor down the column, one for the addend. So the floor is the large side's
// traffic: 128x256x128 from 32x64 is 17 MB, 5.0 us of an H100's 3.35 TB/s (10 with an addend). At full bandwidth a multiprocessor moves one
// warp's stretch in some 35 cycles, in which it issues 140 instructions; the inner loop has about 40.
#pragma once
#include "vector.h"

namespace segnas::gpu {

constexpr int kUpsampleThreads = 256;
constexpr int kUpsampleRun = 8;

template <class T>
struct Pixels {
  T *at = nullptr;
  int64_t pitch = 0;
};

template <class T>
struct ForwardArgs {
  Pixels<const T> x, a;
  Pixels<T> y;
  Axis rows, columns;
  int64_t vectors;  // threads side by side on a pixel
  int64_t items;    // vectors times the runs of a row
  int64_t chunks;   // blocks of a row
  int table;        // columns that a block has weights for
  int32_t relu;
};

// A source column between the rows top and bottom; bottom is not read when its weight is 0.
template <int kWidth, class T>
SEGNAS_DEVICE Channels<kWidth> source_column(const T *top, const T *bottom, float v0, float v1) {
  const Channels<kWidth> upper = load_channels<kWidth>(top);
  return v1 == 0 ? upper : lerp(v0, upper, v1, load_channels<kWidth>(bottom));
}

template <int kWidth, bool kAdd, class T>
SEGNAS_KERNEL(kUpsampleThreads) upsample_rows(const ForwardArgs<T> a) {
  const int64_t row = block_x() / a.chunks, first = (block_x() - row * a.chunks) * kUpsampleThreads;
  const int64_t last = first + kUpsampleThreads < a.items ? first + kUpsampleThreads - 1 : a.items - 1;
  const int64_t begin = first / a.vectors * kUpsampleRun, end = last / a.vectors * kUpsampleRun + kUpsampleRun;
  const Shared<int> lo = shared_memory<int>(0);
  const Shared<float> w0 = (lo + a.table).template as<float>(), w1 = w0 + a.table;
  for (int64_t o = begin + thread(); o < end && o < a.columns.out; o += kUpsampleThreads) {
    const Tap tap = tap_of(a.columns, o);
    lo[o - begin] = static_cast<int>(tap.lo);
    w0[o - begin] = tap.w0;
    w1[o - begin] = tap.w1;
  }
  barrier();
  const int64_t item = first + thread();
  if (item >= a.items) return;
  const int64_t run = item / a.vectors, channel = (item - run * a.vectors) * kWidth, picture = row / a.rows.out;
  const Tap down = tap_of(a.rows, row - picture * a.rows.out);
  const T *top = a.x.at + (picture * a.rows.in + down.lo) * a.columns.in * a.x.pitch + channel;
  const T *bottom = top + a.columns.in * a.x.pitch;
  Channels<kWidth> left, right;
  int held = -1;
  bool right_held = false;
  for (int64_t o = run * kUpsampleRun; o < run * kUpsampleRun + kUpsampleRun && o < a.columns.out; o++) {
    const int at = lo[o - begin];
    const float u0 = w0[o - begin], u1 = w1[o - begin];
    const int64_t source = at * a.x.pitch;
    if (at != held) {
      left = right_held && at == held + 1 ? right : source_column<kWidth>(top + source, bottom + source, down.w0, down.w1);
      held = at;
      right_held = false;
    }
    Channels<kWidth> value = left;
    if (u1 != 0) {
      if (!right_held) right = source_column<kWidth>(top + source + a.x.pitch, bottom + source + a.x.pitch, down.w0, down.w1);
      right_held = true;
      value = lerp(u0, left, u1, right);
    }
    const int64_t pixel = row * a.columns.out + o;
    if constexpr (kAdd) {
      const Channels<kWidth> addend = load_channels<kWidth>(a.a.at + pixel * a.a.pitch + channel);
      for (int i = 0; i < kWidth; i++) value.at[i] = addend.at[i] + value.at[i];
    }
    if (a.relu)
      for (int i = 0; i < kWidth; i++) value.at[i] = relu_of(value.at[i]);
    store_channels(a.y.at + pixel * a.y.pitch + channel, value);
  }
}

// x [n,h,w,channels] to y of the rows' and columns' size; addend NULL: none. The three pitches are in elements.
template <class T>
segnas_status run_upsample(const char *name, Stream *s, int64_t n, int64_t channels, ForwardArgs<T> a, segnas_error *err) {
  const bool fours = packs<4>(a.x.at, a.x.pitch) && packs<4>(a.y.at, a.y.pitch) && (!a.a.at || packs<4>(a.a.at, a.a.pitch));
  const int64_t width = channels % 4 == 0 && fours ? 4 : 1;
  a.vectors = channels / width;
  a.items = a.vectors * ceil_div<int64_t>(a.columns.out, kUpsampleRun);
  a.chunks = ceil_div<int64_t>(a.items, kUpsampleThreads);
  const int64_t runs = (kUpsampleThreads - 1) / a.vectors + 2;
  a.table = static_cast<int>(runs * kUpsampleRun < a.columns.out ? runs * kUpsampleRun : a.columns.out);
  Grid grid;
  grid.x = n * a.rows.out * a.chunks;
  grid.threads = kUpsampleThreads;
  grid.shared_bytes = static_cast<size_t>(a.table) * (sizeof(int) + 2 * sizeof(float));
  const auto kernel = width == 4 ? (a.a.at ? upsample_rows<4, true, T> : upsample_rows<4, false, T>) : (a.a.at ? upsample_rows<1, true, T> : upsample_rows<1, false, T>);
  return launch(name, s->raw, err, grid, kernel, a);
}

}  // namespace segnas::gpu
