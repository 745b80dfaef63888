// Passes over an activation whose channels keep something of their own: parameters, or sums over the pixels. A block is `lanes` threads side by side,
// four channels each, and 256/lanes pixels below each other, so that a warp reads whole sectors from one channel on, and a thread's parameters are
// loaded once for all its pixels. A block takes a slab of pixels; blocks_y goes over what channels are left.
//
// Sums: a thread adds its pixels (every 256/lanes-th of the slab) in float32, kChain at a time, and the chains in double; a block's threads are
// added in double as a tree, slabs by a warp per channel, in an order that the shape gives.
#pragma once
#include "quad.h"

namespace segnas::gpu {

constexpr int kColumnThreads = 256;
constexpr int kChain = 8;

struct Columns {
  int64_t pixels, channels;
  int64_t slab_pixels, slabs;
  int lanes, rows;    // of threads; lanes rows = kColumnThreads
  int64_t groups;     // of 4 lanes channels

  Grid grid(size_t shared_bytes = 0) const { return {slabs, groups, 1, kColumnThreads, shared_bytes}; }
};

// each: pixels that a thread takes at least, where there are as many; most: blocks at most, but one a group.
inline Columns columns_of(int64_t pixels, int64_t channels, int64_t each, int64_t most) {
  Columns c = {pixels, channels, 0, 0, 1, 0, 0};
  while (c.lanes < kWarp && 4 * c.lanes < channels) c.lanes *= 2;
  c.rows = kColumnThreads / c.lanes;
  c.groups = ceil_div<int64_t>(channels, 4 * c.lanes);
  const int64_t slabs = most > c.groups ? most / c.groups : 1, least = ceil_div(pixels, slabs);
  c.slab_pixels = ceil_div<int64_t>(least > each * c.rows ? least : each * c.rows, c.rows) * c.rows;
  c.slabs = ceil_div(pixels, c.slab_pixels);
  return c;
}
// Of a pass that writes every element: some pixels a thread, as many blocks as it takes.
inline Columns pass_columns(int64_t pixels, int64_t channels) { return columns_of(pixels, channels, 8, int64_t{1} << 30); }
// Of a pass whose blocks leave sums behind.
inline Columns sum_columns(int64_t pixels, int64_t channels) { return columns_of(pixels, channels, 2 * kChain, 1024); }

// A thread's place.
struct Column {
  int64_t channel, left;   // its first channel, and how many channels there are from it on (none: <= 0)
  int lane, row;
  int64_t begin, end;      // its pixels: begin, begin + rows, ... below end
};
SEGNAS_DEVICE Column column_of(const Columns &c) {
  const int lane = thread() % c.lanes, row = thread() / c.lanes;
  const int64_t channel = (static_cast<int64_t>(block_y()) * c.lanes + lane) * 4, first = block_x() * c.slab_pixels;
  const int64_t end = first + c.slab_pixels;
  return {channel, c.channels - channel, lane, row, first + row, end < c.pixels ? end : c.pixels};
}

// kCount sums of each of a thread's four channels.
template <int kCount>
struct ColumnSums {
  float chain[kCount][4] = {};
  double sum[kCount][4] = {};
  int terms = 0;

  // Adds one term to every chain; add(which, i) gives it.
  SEGNAS_DEVICE void add(const Quad (&terms_of)[kCount]) {
#pragma unroll
    for (int k = 0; k < kCount; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) chain[k][i] += terms_of[k].at[i];
    if (++terms == kChain) flush();
  }
  SEGNAS_DEVICE void flush() {
#pragma unroll
    for (int k = 0; k < kCount; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sum[k][i] += static_cast<double>(chain[k][i]);
        chain[k][i] = 0;
      }
    terms = 0;
  }
};

template <int kCount>
constexpr size_t column_sum_bytes() {
  return sizeof(double) * kCount * 4 * kColumnThreads;
}

// The block's sums into slabs [slab][channels][kCount]. Every thread of the block calls it.
template <int kCount>
SEGNAS_DEVICE void put_sums(const Columns &c, const Column &at, ColumnSums<kCount> &sums, double *slabs) {
  sums.flush();
  Shared<double> shared = shared_memory<double>(0);
#pragma unroll
  for (int k = 0; k < kCount; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) shared[(k * 4 + i) * kColumnThreads + thread()] = sums.sum[k][i];
  for (int half = c.rows / 2; half > 0; half /= 2) {
    barrier();
    if (at.row >= half) continue;
#pragma unroll
    for (int k = 0; k < kCount; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int place = (k * 4 + i) * kColumnThreads + thread();
        const double other = shared[place + half * c.lanes];
        sums.sum[k][i] += other;
        shared[place] = sums.sum[k][i];
      }
  }
  if (at.row != 0) return;
#pragma unroll
  for (int k = 0; k < kCount; k++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (i < at.left) slabs[(block_x() * c.channels + at.channel + i) * kCount + k] = sums.sum[k][i];
}

// A warp's sum over the slabs, in every lane.
template <int kCount>
SEGNAS_DEVICE double sum_slabs(const Columns &c, const double *slabs, int64_t channel, int which) {
  double sum = 0;
  for (int64_t slab = lane(); slab < c.slabs; slab += kWarp) sum += slabs[(slab * c.channels + channel) * kCount + which];
  return warp_sum(sum);
}
// The channel that a warp of a finishing kernel takes; its grid.
SEGNAS_DEVICE int64_t warp_channel() { return static_cast<int64_t>(block_x()) * (threads() / kWarp) + warp(); }
inline Grid warp_per_channel(int64_t channels) { return {ceil_div<int64_t>(channels, 8), 1, 1, 8 * kWarp, 0}; }

}  // namespace segnas::gpu
