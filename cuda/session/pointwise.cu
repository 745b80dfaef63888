// session_pointwise: y[P,n] = relu(x[P,k] w + bias + residual).
//
// float: the product of ops/pwconv, whose epilogue adds the residual: one chain of FMAs from the bias on. Bytes 4 P (k + n), + 4 P n of a residual;
// the FMA units (67 TFLOP/s) are the floor of wide layers, memory (3.35 TB/s) of narrow ones (product.h).
//
// Half and Bfloat16: the tensor cores (warp_product.h), from the bias on. Operations 2 P k n, bytes 2 P (k + n) (+ 2 P n): 55 operations a byte for
// 64 -> 384, where an H100 turns from memory to arithmetic at 295. So memory is the floor, 128x256 pixels 64 -> 384 take 29 MB, 8.8 us, and what
// counts is that enough is on its way and that whole sectors move. A block keeps two or three steps of both sides on their way, 20 to 36 KB, and
// two or three blocks share a multiprocessor, which needs some 15 KB (3.35 TB/s / 132 x 600 ns). Blocks that share rows of x are neighbours, so
// that x comes from memory once and else from the second-level cache, as weights do.
// A fragment holds two columns of a row in a lane, four lanes 16 bytes. Stored so, half of every sector would be written at a time; four lanes
// exchange what they have of four fragments and store 16 bytes each, 64 of a row. The residual comes the same way back. Each lane reads of the
// residual exactly what it writes of y, so y may be the residual's memory.
#include "step.h"

#include "../ops/pwconv/product.h"
#include "warp_product.h"

namespace segnas::gpu {
namespace {

// ---------------------------------------------------------------- float

struct StoreSum {
  Matrix<float> c;
  const float *bias;
  Matrix<float> residual;  // at NULL: none
  int32_t relu;

  template <class T>
  SEGNAS_DEVICE void finish(const Accumulators<T> &sum, const Place &at) const {
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++) {
      if (T::row(r) >= at.rows_left) break;
#pragma unroll
      for (int g = 0; g < T::kThreadColumns; g += 4) {
        const int64_t row = at.row + T::row(r), column = at.column + T::column(g), left = at.columns_left - T::column(g);
        Quad q = {{sum[r][g], sum[r][g + 1], sum[r][g + 2], sum[r][g + 3]}};
        if (residual.at) {
          const Quad more = residual.load(row, column, left);
#pragma unroll
          for (int i = 0; i < 4; i++) q.at[i] += more.at[i];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) q.at[i] = relu ? relu_of(q.at[i]) : q.at[i];
        c.store(row, column, q, left);
      }
    }
  }
};

segnas_status pointwise(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err) {
  auto matrix = [](const void *at, int64_t pitch) { return matrix_at(static_cast<float *>(const_cast<void *>(at)), pitch); };
  const ProductArgs<Plain<float>, float, StoreSum> args = {
      {matrix(x.at, l.cin)},
      {matrix(l.weights, l.channels)},
      {matrix(y.at, l.channels), l.bias, residual ? matrix(residual->at, l.channels) : Matrix<float>{}, l.relu},
      x.pixels(), l.channels, l.cin, 0};
  return multiply<false>("session_pointwise", s, args, err);
}

// ---------------------------------------------------------------- Half and Bfloat16

using WideWarpTile = WarpTile<128, 128, 32, 3, 32, 64, 2>;
using MiddleWarpTile = WarpTile<128, 64, 32, 3, 32, 32, 3>;
using NarrowWarpTile = WarpTile<128, 32, 32, 3, 32, 32, 4>;
using SmallWarpTile = WarpTile<64, 32, 64, 4, 16, 32, 4>;  // few pixels: the wait for memory counts, so a step is deep

template <class T, class Y>
struct PointwiseArgs {
  const T *x, *weights;
  const float *bias;
  const T *residual;  // or NULL
  Y *y;
  int64_t pixels;
  int32_t cin, channels, relu, column_tiles;
};

// The eight sums of a row that a lane has in four neighbouring fragments, from channel `column` on in steps of eight; i of fragment_row's.
template <class T>
struct RowPart {
  float at[4][2];

  SEGNAS_DEVICE void add(const uint32_t (&words)[4]) {
#pragma unroll
    for (int f = 0; f < 4; f++) {
      at[f][0] += to_float(low_of<T>(words[f]));
      at[f][1] += to_float(high_of<T>(words[f]));
    }
  }
  SEGNAS_DEVICE void round_to(uint32_t (&words)[4]) const {
#pragma unroll
    for (int f = 0; f < 4; f++) words[f] = pair_of(from_float<T>(at[f][0]), from_float<T>(at[f][1]));
  }
  SEGNAS_DEVICE void rectify() {
#pragma unroll
    for (int f = 0; f < 4; f++)
#pragma unroll
      for (int e = 0; e < 2; e++) at[f][e] = relu_of(at[f][e]);
  }
};

// Rows of 32 channels of one fragment row: stored whole where rows lie on 16 bytes and y is stored as x, else channel by channel.
template <class T, class Y>
SEGNAS_DEVICE void finish_part(const PointwiseArgs<T, Y> &a, RowPart<T> &part, int64_t row, int column, const uint32_t (&residual)[4], bool whole) {
  const bool inside = row < a.pixels;
  const int64_t start = row * a.channels;
  if (whole && a.residual) {
    uint32_t words[4] = {residual[0], residual[1], residual[2], residual[3]};
    transpose_words(words);
    part.add(words);
  }
  if (!whole && a.residual) {
#pragma unroll
    for (int e = 0; e < 8; e++) {
      const int channel = column + e / 2 * 8 + fragment_column(e % 2);
      if (inside && channel < a.channels) part.at[e / 2][e % 2] += load(a.residual + start + channel);
    }
  }
  if (a.relu) part.rectify();
  if constexpr (sizeof(Y) == sizeof(T)) {
    if (whole) {
      Chunk chunk;
      part.round_to(chunk.at);
      transpose_words(chunk.at);
      const int channel = column + lane() % 4 * 8;
      if (inside && channel < a.channels) *reinterpret_cast<Chunk *>(a.y + start + channel) = chunk;
      return;
    }
  }
#pragma unroll
  for (int f = 0; f < 4; f++) {
    const int channel = column + f * 8 + fragment_column(0);
    if (sizeof(Y) == 4 && a.channels % 2 == 0) {
      if (inside && channel < a.channels) store_pack<2>(a.y + start + channel, part.at[f]);
      continue;
    }
#pragma unroll
    for (int e = 0; e < 2; e++)
      if (inside && channel + e < a.channels) store(a.y + start + channel + e, part.at[f][e]);
  }
}

template <class T, class Y, class Tile>
SEGNAS_KERNEL(Tile::kThreads, Tile::kBlocks) pointwise_tile(const PointwiseArgs<T, Y> a) {
  const int64_t row = static_cast<int64_t>(block_x() / a.column_tiles) * Tile::kRows;
  const int column = block_x() % a.column_tiles * Tile::kColumns, warp_column = column + Tile::warp_column();
  WindowA<T, Tile> left(a.x, a.pixels, a.cin, row, 0);
  WindowB<T, Tile> right(a.weights, a.cin, a.channels, 0, column);
  Fragments<Tile> sum;
  multiply_tile<T, Tile>(left, right, a.cin, sum, [&] {
#pragma unroll
    for (int c = 0; c < Tile::kFragmentColumns; c++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int channel = warp_column + c * 8 + fragment_column(i);
        const float bias = i >= 2 ? sum[0][c].at[i - 2] : channel < a.channels ? a.bias[channel] : 0.0f;
#pragma unroll
        for (int r = 0; r < Tile::kFragmentRows; r++) sum[r][c].at[i] = bias;
      }
  });
  const bool whole = a.channels % 8 == 0;
  constexpr int kParts = Tile::kFragmentColumns / 4;
#pragma unroll
  for (int r = 0; r < Tile::kFragmentRows; r++) {
    const int64_t first = row + Tile::warp_row() + r * 16;
    Chunk residual[2][kParts] = {};  // on their way together
    if (whole && a.residual) {
#pragma unroll
      for (int i = 0; i < 2 * kParts; i++) {
        const int64_t at = first + fragment_row(i / kParts * 2);
        const int channel = warp_column + i % kParts * 32 + lane() % 4 * 8;
        if (at < a.pixels && channel < a.channels)
          residual[i / kParts][i % kParts] = *reinterpret_cast<const Chunk *>(a.residual + at * a.channels + channel);
      }
    }
#pragma unroll
    for (int i = 0; i < 2 * kParts; i++) {
      const int half = i / kParts, p = i % kParts;
      RowPart<T> part;
#pragma unroll
      for (int e = 0; e < 8; e++) part.at[e / 2][e % 2] = sum[r][4 * p + e / 2].at[2 * half + e % 2];
      finish_part<T, Y>(a, part, first + fragment_row(2 * half), warp_column + 32 * p, residual[half][p].at, whole);
    }
  }
}

template <class Tile, class T, class Y>
segnas_status launch_pointwise(Stream *s, PointwiseArgs<T, Y> args, segnas_error *err) {
  args.column_tiles = ceil_div(args.channels, Tile::kColumns);
  const Grid grid = {ceil_div<int64_t>(args.pixels, Tile::kRows) * args.column_tiles, 1, 1, Tile::kThreads, Tile::kSharedBytes};
  return launch("session_pointwise", s->raw, err, grid, pointwise_tile<T, Y, Tile>, args);
}

// As product.h's tile_size: the tile that pads the columns least, the widest of such, and small ones where an H100 would have less than one a
// multiprocessor.
template <class T, class Y>
segnas_status pointwise(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err) {
  constexpr int64_t kFewTiles = 132;
  const PointwiseArgs<T, Y> args = {static_cast<const T *>(x.at), static_cast<const T *>(l.weights), l.bias,
                                    residual ? static_cast<const T *>(residual->at) : nullptr, static_cast<Y *>(y.at), x.pixels(),
                                    static_cast<int32_t>(l.cin), static_cast<int32_t>(l.channels), l.relu, 0};
  const bool wide = l.channels > 64 && ceil_div<int64_t>(l.channels, 128) * 128 <= ceil_div<int64_t>(l.channels, 64) * 64;
  const int64_t width = wide ? 128 : l.channels > 32 ? 64 : 32;
  if (ceil_div<int64_t>(args.pixels, 128) * ceil_div(l.channels, width) < kFewTiles) return launch_pointwise<SmallWarpTile>(s, args, err);
  if (wide) return launch_pointwise<WideWarpTile>(s, args, err);
  return width == 64 ? launch_pointwise<MiddleWarpTile>(s, args, err) : launch_pointwise<NarrowWarpTile>(s, args, err);
}

}  // namespace

segnas_status session_pointwise(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err) {
  if (x.pixels() > 0) {
    SEGNAS_GPU_TRY(with_stored(x.stored, [&](auto stored) {
      using T = decltype(stored);
      if constexpr (sizeof(T) == sizeof(float)) {
        return pointwise(s, l, x, residual, y, err);
      } else {
        return y.stored == Stored::kFloat ? pointwise<T, float>(s, l, x, residual, y, err) : pointwise<T, T>(s, l, x, residual, y, err);
      }
    }));
  }
  return succeed(err);
}

}  // namespace segnas::gpu
