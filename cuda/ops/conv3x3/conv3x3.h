// What the kernels of the stem's convolution share: blocks as tiles of y, and the patch of x under a tile in shared memory.
//
// A block has kTileColumns columns and a band of y's rows, kTileOutputs output channels, and goes down the band kRows rows at a time. A thread has
// kRun neighbouring pixels of a row and 4 output channels; the 8 threads of a pixel's channels lie side by side, and a warp has 4 rows of one stretch
// of columns, whose shared memory reads fall into different banks (Patch::kPitch). x goes through shared memory kChunk channels at a time.
// Everything comes from the shape alone; so does the order of sums over pixels.
#pragma once
#include "../../plugin/quantiser.h"
#include "../../plugin/storage.h"
#include "../moments/moments.h"

namespace segnas::gpu {

constexpr int kTileColumns = 32, kTileOutputs = 32, kRun = 8, kChunk = 4, kOutputLanes = kTileOutputs / 4;

// Values as they are stored.
template <class T>
struct AsStored {
  const T *at;
  SEGNAS_DEVICE float operator()(int64_t i, int) const { return load(at + i); }
};

struct Conv3x3Shape {
  int64_t pictures;
  int height, width, in_h, in_w, cin, cout;  // of y, of x
};
inline Conv3x3Shape conv3x3_shape(const segnas_tensor &x, const segnas_tensor &y) {
  auto size = [](const segnas_tensor &t, int d) { return static_cast<int>(t.shape[d]); };
  return {x.shape[0], size(y, 1), size(y, 2), size(x, 1), size(x, 2), size(x, 3), size(y, 3)};
}

struct Conv3x3Tiling : Conv3x3Shape {
  int rows, band;                            // rows of a step; steps of a band
  int output_tiles, column_tiles, band_tiles;

  int64_t tiles() const { return pictures * band_tiles * column_tiles; }
};

// As long as there are blocks enough for a large GPU bands are long: what a block adds up at its end costs less. rows * kRun * band stays below
// kMomentPixels for each thread.
inline Conv3x3Tiling conv3x3_tiling(const Conv3x3Shape &shape, int rows) {
  Conv3x3Tiling t = {shape, rows, 8, 0, 0, 0};
  t.output_tiles = ceil_div(t.cout, kTileOutputs);
  t.column_tiles = ceil_div(t.width, kTileColumns);
  constexpr int64_t kBlocks = 512;
  while (t.band > 2 && t.pictures * t.column_tiles * t.output_tiles * ceil_div(t.height, rows * t.band) < kBlocks) t.band /= 2;
  t.band_tiles = ceil_div(t.height, rows * t.band);
  return t;
}

struct Conv3x3Place {
  int tile, picture, row, column, output;  // the block's first row, column and output channel
};

// block: the number of tile and output tile.
SEGNAS_DEVICE Conv3x3Place conv3x3_place(const Conv3x3Tiling &t, int block) {
  Conv3x3Place p;
  p.output = block % t.output_tiles * kTileOutputs;
  p.tile = block / t.output_tiles;
  p.column = p.tile % t.column_tiles * kTileColumns;
  p.row = p.tile / t.column_tiles % t.band_tiles * (t.rows * t.band);
  p.picture = p.tile / t.column_tiles / t.band_tiles;
  return p;
}

// The patch of x under kRows x kTileColumns pixels of y, [channel][row][column]; zeros outside the picture. S kPitch leaves 8 when divided by 32, so
// that the 4 rows of a warp begin in different banks.
template <int S, int kRows>
struct Patch {
  static constexpr int kHeight = (kRows - 1) * S + 3, kWidth = (kTileColumns - 1) * S + 3, kPitch = S == 1 ? 40 : 68;
  static constexpr int kFloats = kChunk * kHeight * kPitch;
  static constexpr int kReach = (kRun - 1) * S + 3;  // columns under a thread's run, which begin at j*S - 1

  // Channels [channel, channel + count) of the rows from `row`, the columns from `column` on; x(i, c) reads element i, which is of channel c.
  template <class Source>
  SEGNAS_DEVICE static void stage(Shared<float> to, const Source &x, int64_t pitch, const Conv3x3Tiling &t, int picture, int row, int column, int channel,
                                  int count) {
    for (int r = warp(); r < kHeight; r += threads() / kWarp) {
      const bool inside = row + r >= 0 && row + r < t.in_h;
      const int64_t first = (static_cast<int64_t>(picture) * t.in_h + row + r) * t.in_w + column;
      for (int q = lane(); q < kWidth; q += kWarp) {
        const bool there = inside && column + q >= 0 && column + q < t.in_w;
        for (int c = 0; c < count; c++) to[(c * kHeight + r) * kPitch + q] = there ? x((first + q) * pitch + channel + c, channel + c) : 0.0f;
      }
    }
  }
};

}  // namespace segnas::gpu
