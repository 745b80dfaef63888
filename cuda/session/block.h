// The fused inverted block: how it is cut into tiles, what lies where in shared memory, and what its kernel is given.
//
// A block of threads makes a tile of output pixels. It keeps the input pixels that the tile reaches (the halo) in shared memory, then takes the
// middle's channels kBlockChunk at a time: expands them for every pixel of the halo, convolves them for the tile, and adds their products to the
// output's sums, which stay in registers. So the middle never reaches memory; what is paid is that the halo's overlap is expanded again by each tile,
// and that every tile reads all weights from the second-level cache.
//
// Everything here is the host's and comes from the shapes and the card's facts.
#pragma once
#include "step.h"

namespace segnas::gpu {

constexpr int kBlockChunk = 32;  // middle channels at a time
constexpr int kBlockMostWarps = 16, kBlockFewestWarps = 8;

// Division by a number that the host knows, from 2 on, as a multiplication: exact while i * by < 2^32.
struct Divisor {
  int by;
  uint32_t reciprocal;

  SEGNAS_BOTH int operator()(int i) const { return static_cast<int>(static_cast<uint64_t>(static_cast<uint32_t>(i)) * reciprocal >> 32); }
};
inline Divisor divisor(int by) { return {by, static_cast<uint32_t>((uint64_t{1} << 32) / static_cast<uint64_t>(by) + 1)}; }
// The same where the compiler knows it.
template <int kBy>
struct ConstantDivisor {
  static constexpr int by = kBy;
  SEGNAS_BOTH int operator()(int i) const { return i / kBy; }
};

// Sections of shared memory, by their first byte, and their lines' pitches in elements. Pitches of what fragments are loaded from: arch/mma.h.
struct BlockLayout {
  int tile_rows, tile_columns;  // of y; rows even, columns a multiple of 4
  int halo_rows, halo_columns;  // of x
  int halo;                     // pixels, at least 32
  int depth;                    // input channels, padded with zeros to what a product takes at a time
  int down, across;             // warps that make 32 pixels x 32 channels of y each
  int threads;
  int x, x_pitch;               // [halo][depth], none without expand
  int middle, middle_pitch;     // [halo][kBlockChunk]
  int deep, deep_pitch;         // [tile pixels][kBlockChunk], after the depthwise layer
  int expand, expand_pitch;     // [depth][kBlockChunk]
  int project, project_pitch;   // [kBlockChunk][32 across]
  int taps;                     // float [k*k + 1][kBlockChunk], the last line being the bias
  int expand_bias;              // float [kBlockChunk]
  int inside;                   // uint8_t [halo]: whether the pixel is of the picture
  int bytes;
  // Of the halo and the tile by columns; of lines of x and of project's weights by 16 bytes.
  Divisor by_halo, by_tile, by_x, by_project;

  int pixels() const { return tile_rows * tile_columns; }
};

struct BlockShape {
  bool expand;
  int cin, middle, cout, kernel, stride;
  int64_t pictures, in_h, in_w, height, width;
  Stored stored;
  size_t element;  // bytes
};
BlockShape block_shape(const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x, const Image &y);

struct BlockPlan {
  bool possible;
  BlockLayout layout;
  double clocks;  // estimated, of a multiprocessor, from the first tile to the last
};
// The tiling that is thought to be the fastest of those that fit the card.
BlockPlan plan_block(const DeviceFacts &device, const BlockShape &shape);

template <class T>
struct BlockArgs {
  const T *x, *residual;  // residual NULL: none
  T *y;
  const T *expand, *project;
  const float *expand_bias, *taps, *taps_bias, *project_bias;
  int32_t expand_relu, depthwise_relu, project_relu;
  int32_t cin, middle, cout;
  int32_t in_h, in_w, height, width;
  int32_t row_tiles, column_tiles;
  BlockLayout at;
};

}  // namespace segnas::gpu
