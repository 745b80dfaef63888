// upsample_forward and upsample_add_forward: with t(j) = v0 top(j) + v1 bottom(j), y = w0 t(lo) + w1 t(lo+1) (+ a), each product and sum rounded:
// the CPU's bits. Taps of weight 0 are not read.
//
// Tile: a thread makes kRun neighbouring outputs of a row in one channel, or in 16 bytes of them where all views allow it; neighbouring threads have
// neighbouring channels, so a warp writes a stretch of at least 128 bytes at a time. It keeps the two source columns between which it is,
// lerped down the column, and loads one more when it passes the next: enlarging by 4, eight outputs read 3 columns of 2 pixels where one
// output alone reads 4 pixels. The weights along the row depend on the column alone and are made once a block, in shared memory: a division
// a column, not one an output.
// Bytes: 4 an output and as many for the addend; the source, 16 times smaller when enlarging by 4, is read from L2 kRun/factor + 2 times a row
// and from memory once. Operations: 3 an output along the row, 3/factor down the column, one for the addend. So the floor is the large side's
// traffic: 128x256x128 from 32x64 is 17 MB, 5.0 us of an H100's 3.35 TB/s (10 with an addend). At full bandwidth a multiprocessor moves one
// warp's stretch in some 35 cycles, in which it issues 140 instructions; the inner loop has about 40. Sessions' sixteen-bit types halve the bytes;
// with eight channels to a thread the loop's work is twice as much for as many bytes, still below what is issued meanwhile.
#include "../../plugin/ops.h"
#include "resize.h"
#include "vector.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kRun = 8;

template <class Stored>
struct ForwardArgs {
  Resize<Stored> r;
  int64_t vectors;  // threads side by side on a pixel
  int64_t items;    // vectors times the runs of a row
  int64_t chunks;   // blocks of a row
  int table;        // columns that a block has weights for
};

// A source column between the rows top and bottom; bottom is not read when its weight is 0.
template <int kWidth, class Stored>
SEGNAS_DEVICE Channels<kWidth> source_column(const Stored *top, const Stored *bottom, float v0, float v1) {
  const Channels<kWidth> upper = load_channels<kWidth>(top);
  return v1 == 0 ? upper : lerp(v0, upper, v1, load_channels<kWidth>(bottom));
}

template <class Stored, int kWidth, bool kAdd>
SEGNAS_KERNEL(kThreads) upsample_rows(const ForwardArgs<Stored> a) {
  const Resize<Stored> &r = a.r;
  const int64_t row = block_x() / a.chunks, first = (block_x() - row * a.chunks) * kThreads;
  const int64_t last = first + kThreads < a.items ? first + kThreads - 1 : a.items - 1;
  const int64_t begin = first / a.vectors * kRun, end = last / a.vectors * kRun + kRun;
  const Shared<int> lo = shared_memory<int>(0);
  const Shared<float> w0 = (lo + a.table).template as<float>(), w1 = w0 + a.table;
  for (int64_t o = begin + thread(); o < end && o < r.columns.out; o += kThreads) {
    const Tap tap = tap_of(r.columns, o);
    lo[o - begin] = static_cast<int>(tap.lo);
    w0[o - begin] = tap.w0;
    w1[o - begin] = tap.w1;
  }
  barrier();
  const int64_t item = first + thread();
  if (item >= a.items) return;
  const int64_t run = item / a.vectors, channel = (item - run * a.vectors) * kWidth, picture = row / r.rows.out;
  const Tap down = tap_of(r.rows, row - picture * r.rows.out);
  const Stored *top = r.x + (picture * r.rows.in + down.lo) * r.columns.in * r.x_pitch + channel;
  const Stored *bottom = top + r.columns.in * r.x_pitch;
  Channels<kWidth> left, right;
  int held = -1;
  bool right_held = false;
  for (int64_t o = run * kRun; o < run * kRun + kRun && o < r.columns.out; o++) {
    const int at = lo[o - begin];
    const float u0 = w0[o - begin], u1 = w1[o - begin];
    const int64_t source = at * r.x_pitch;
    if (at != held) {
      left = right_held && at == held + 1 ? right : source_column<kWidth>(top + source, bottom + source, down.w0, down.w1);
      held = at;
      right_held = false;
    }
    Channels<kWidth> value = left;
    if (u1 != 0) {
      if (!right_held) right = source_column<kWidth>(top + source + r.x_pitch, bottom + source + r.x_pitch, down.w0, down.w1);
      right_held = true;
      value = lerp(u0, left, u1, right);
    }
    const int64_t pixel = row * r.columns.out + o;
    if constexpr (kAdd) {
      const Channels<kWidth> addend = load_channels<kWidth>(r.addend + pixel * r.addend_pitch + channel);
      for (int i = 0; i < kWidth; i++) value.at[i] = addend.at[i] + value.at[i];
    }
    if (r.relu) {
      for (int i = 0; i < kWidth; i++) value.at[i] = relu_of(value.at[i]);
    }
    store_channels(r.y + pixel * r.y_pitch + channel, value);
  }
}

// addend NULL: none.
segnas_status forward(const char *name, void *stream, const segnas_tensor *x, const segnas_tensor *addend, int32_t mode, const segnas_tensor *y,
                      segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int32_t nearest = mode == SEGNAS_NEAREST;
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
    using T = decltype(type);
    const Resize<T> r = {stored<T>(*x), pitch_of(*x), addend ? stored<T>(*addend) : nullptr, addend ? pitch_of(*addend) : 0, stored<T>(*y), pitch_of(*y),
                         y->shape[0], channels_of(*x), axis_of(x->shape[1], y->shape[1], nearest), axis_of(x->shape[2], y->shape[2], nearest)};
    return resize<T>(name, s, r, err);
  }));
  return succeed(err);
}

}  // namespace

template <class Stored>
segnas_status resize(const char *name, Stream *s, const Resize<Stored> &r, segnas_error *err) {
  constexpr int kWide = 16 / sizeof(Stored);
  const bool wide =
      r.channels % kWide == 0 && packs<kWide>(r.x, r.x_pitch) && packs<kWide>(r.addend, r.addend_pitch) && packs<kWide>(r.y, r.y_pitch);
  ForwardArgs<Stored> a = {r, wide ? r.channels / kWide : r.channels, 0, 0, 0};
  a.items = a.vectors * ceil_div<int64_t>(r.columns.out, kRun);
  a.chunks = ceil_div<int64_t>(a.items, kThreads);
  const int64_t runs = (kThreads - 1) / a.vectors + 2;
  a.table = static_cast<int>(runs * kRun < r.columns.out ? runs * kRun : r.columns.out);
  Grid grid;
  grid.x = r.pictures * r.rows.out * a.chunks;
  grid.threads = kThreads;
  grid.shared_bytes = static_cast<size_t>(a.table) * (sizeof(int) + 2 * sizeof(float));
  const auto kernel = wide ? (r.addend ? upsample_rows<Stored, kWide, true> : upsample_rows<Stored, kWide, false>)
                           : (r.addend ? upsample_rows<Stored, 1, true> : upsample_rows<Stored, 1, false>);
  return launch(name, s->raw, err, grid, kernel, a);
}

template segnas_status resize<float>(const char *, Stream *, const Resize<float> &, segnas_error *);
template segnas_status resize<Half>(const char *, Stream *, const Resize<Half> &, segnas_error *);
template segnas_status resize<Bfloat16>(const char *, Stream *, const Resize<Bfloat16> &, segnas_error *);

segnas_status upsample_forward(void *stream, const segnas_tensor *x, int32_t mode, const segnas_tensor *y, segnas_error *err) {
  return forward("upsample_forward", stream, x, nullptr, mode, y, err);
}

segnas_status upsample_add_forward(void *stream, const segnas_tensor *x, const segnas_tensor *a, int32_t mode, const segnas_tensor *y, segnas_error *err) {
  return forward("upsample_add_forward", stream, x, a, mode, y, err);
}

}  // namespace segnas::gpu
