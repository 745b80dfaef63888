// What the depthwise kernels share: how the pixels of y and the channels are given to threads.
//
// A thread has kTileColumns neighbouring columns of y, a band of its rows and V channels; it goes down the band. The threads of a block are `lanes`
// side by side along channels, so that a warp reads whole sectors, then `across` next to each other along a row, whose halo columns meet in the
// first-level cache, then `down` bands. Everything here comes from the shape alone; so does the order of sums over pixels.
#pragma once
#include "../../plugin/quantiser.h"
#include "../../plugin/storage.h"
#include "../moments/moments.h"

namespace segnas::gpu {

constexpr int kTileColumns = 4;
// Larger kernels take so many registers that smaller blocks fill a multiprocessor better.
SEGNAS_BOTH constexpr int tile_threads(int k) { return k == 3 ? 256 : 128; }

struct DwconvTiling {
  int64_t pictures;
  int height, width, channels;  // of y
  int lanes, across, down, rows;
  int channel_tiles, column_tiles, band_tiles;

  int64_t tiles() const { return pictures * band_tiles * column_tiles; }
  Grid grid(int k, size_t shared_bytes = 0) const { return {tiles() * channel_tiles, 1, 1, tile_threads(k), shared_bytes}; }
};

// Threads along channels: few enough that not more than an eighth of them is idle where there are many channels.
inline int lanes_for(int units) {
  int lanes = 1;
  while (lanes < kWarp && lanes < units) lanes *= 2;
  while (lanes > 8 && (ceil_div(units, lanes) * lanes - units) * 8 > units) lanes /= 2;
  return lanes;
}

// vector: channels of a thread; most_rows: rows of a band at most.
inline DwconvTiling tiling_of(int k, int64_t pictures, int64_t height, int64_t width, int64_t channels, int vector, int most_rows) {
  DwconvTiling t = {pictures, static_cast<int>(height), static_cast<int>(width), static_cast<int>(channels), 0, 1, 1, most_rows, 0, 0, 0};
  const int units = static_cast<int>(ceil_div<int64_t>(channels, vector)), columns = static_cast<int>(ceil_div<int64_t>(width, kTileColumns));
  t.lanes = lanes_for(units);
  const int groups = tile_threads(k) / t.lanes;
  while (t.across < groups && t.across < columns) t.across *= 2;
  t.down = groups / t.across;
  // The halo of a band is read twice: long bands, as long as there are threads enough for a large GPU.
  constexpr int64_t kThreads = 1 << 17;
  while (t.rows > 8 && pictures * ceil_div<int64_t>(height, t.rows) * columns * units < kThreads) t.rows /= 2;
  t.channel_tiles = ceil_div(units, t.lanes);
  t.column_tiles = ceil_div(columns, t.across);
  t.band_tiles = static_cast<int>(ceil_div<int64_t>(ceil_div<int64_t>(height, t.rows), t.down));
  return t;
}

// A thread's place. Its channels are channel, channel + step, ... below channels: side by side where they are read as one vector, `lanes` apart
// where they are read one by one. Which pixels a thread has is the same for both.
struct DwconvPlace {
  int tile, lane, group, channel, step, picture, row, row_end, column;
  bool active;
};

template <int V, bool kVector>
SEGNAS_DEVICE DwconvPlace place_of(const DwconvTiling &t) {
  DwconvPlace p;
  p.tile = block_x() / t.channel_tiles;
  p.lane = thread() % t.lanes;
  p.group = thread() / t.lanes;
  p.channel = block_x() % t.channel_tiles * t.lanes * V + (kVector ? p.lane * V : p.lane);
  p.step = kVector ? 1 : t.lanes;
  p.picture = p.tile / (t.column_tiles * t.band_tiles);
  p.column = (p.tile % t.column_tiles * t.across + p.group % t.across) * kTileColumns;
  p.row = (p.tile / t.column_tiles % t.band_tiles * t.down + p.group / t.across) * t.rows;
  p.row_end = p.row + t.rows < t.height ? p.row + t.rows : t.height;
  p.active = p.channel < t.channels && p.column < t.width && p.row < t.height;
  return p;
}

// Of the columns first, first + 1, ... first + count - 1: a bit for each that lies in [0, width).
SEGNAS_DEVICE unsigned columns_inside(int first, int count, int width) {
  unsigned bits = 0;
  for (int i = 0; i < count; i++) bits |= static_cast<unsigned>(first + i >= 0 && first + i < width) << i;
  return bits;
}

// work(k, stride) with both as compile-time constants.
template <int N>
struct Constant {
  static constexpr int value = N;
};
template <class Work>
segnas_status with_kernel_size(int64_t k, int32_t stride, const Work &work) {
  auto at_stride = [&](auto s) { return k == 3 ? work(Constant<3>(), s) : k == 5 ? work(Constant<5>(), s) : work(Constant<7>(), s); };
  return stride == 1 ? at_stride(Constant<1>()) : at_stride(Constant<2>());
}

// The gradient of the input for stride 1: dx[p,q] = sum_{u,v} dy[p+k/2-u, q+k/2-v] w[u*k+v], a forward pass with the taps in reverse order.
segnas_status dwconv_turned(Stream *s, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx, segnas_error *err);

inline int64_t kernel_size(const segnas_tensor &w) { return w.shape[0] == 9 ? 3 : w.shape[0] == 25 ? 5 : 7; }

}  // namespace segnas::gpu
