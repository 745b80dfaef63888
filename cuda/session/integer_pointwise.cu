// session_integer_pointwise: y[P,n] = kept(m (x[P,k] w + start) + b (+ r residual)), bytes in and bytes or floats out, on the tensor cores (byte_product.h).
//
// Operations 2 P k n, bytes P (k + n) (+ P n of a residual; 4 P n of floats): 110 operations a byte for 64 -> 384, where an H100 turns from memory to arithmetic
// at 590 (1979 TOP/s over 3.35 TB/s), an A10 at 417 and a T4 at 406 (130 over 0.32). So memory is the floor on all of them: 128x256 pixels 64 -> 384 take 15 MB,
// 4.4 us of an H100, half of what sixteen bits take. dp4a's 64 a clock and multiprocessor would be the floor in its place (115 TOP/s of an H100).
// The tiles are those of session_pointwise, a step being 64 bytes of depth. Behind the sums an output costs a conversion, two or three FMAs, a clip and an
// addition that rounds: some 8 instructions a byte written, 0.3 clocks of a multiprocessor's 128 lanes for four, against the 0.6 that an H100's memory takes for as many.
// A fragment holds two columns of a row in a lane. Two rows' pairs make a word; four lanes exchange their words of four fragments and store 8 bytes each of a row,
// 32 together, a whole sector. The residual comes the same way back. Each lane reads of the residual exactly what it writes of y, so y may be its memory.
#include "byte_product.h"
#include "integers.h"

namespace segnas::gpu {
namespace {

using WideTile = ByteTile<WarpTile<128, 128, 32, 3, 32, 64, 2>>;
using MiddleTile = ByteTile<WarpTile<128, 64, 32, 3, 32, 32, 3>>;
using NarrowTile = ByteTile<WarpTile<128, 32, 32, 3, 32, 32, 4>>;
using SmallTile = ByteTile<WarpTile<64, 32, 32, 4, 16, 32, 4>>;

struct ProductArgs {
  const BytePair *x, *levels;
  const int32_t *start;
  const float *m, *b;
  IntegerResidual residual;
  void *y;
  int64_t pixels;
  int32_t pairs, channels, stored, column_tiles;  // pairs: of an input pixel; stored: bytes of an output pixel
  Kept kept;
};

struct alignas(8) EightBytes {
  uint32_t at[2];
};
struct alignas(8) Two {
  float at[2];
};

// Four lanes' words of four fragments, exchanged: lane i then has, of fragment i, its eight columns of two rows, a pair of each row a word. And back.
SEGNAS_DEVICE void rows_of(const uint32_t (&words)[4], EightBytes (&rows)[2]) {
  rows[0] = {{permute_bytes(words[0], words[1], 0x5410), permute_bytes(words[2], words[3], 0x5410)}};
  rows[1] = {{permute_bytes(words[0], words[1], 0x7632), permute_bytes(words[2], words[3], 0x7632)}};
}
SEGNAS_DEVICE void words_of(const EightBytes (&rows)[2], uint32_t (&words)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) words[i] = permute_bytes(rows[0].at[i / 2], rows[1].at[i / 2], i % 2 ? 0x7632 : 0x5410);
}

// The factors of a lane's two columns in four neighbouring fragments.
struct Factors {
  Two m[4], b[4];

  SEGNAS_DEVICE Factors(const ProductArgs &a, int column) {
#pragma unroll
    for (int f = 0; f < 4; f++) {
      const int channel = column + f * 8 + fragment_column(0);
      m[f] = b[f] = {};
      if (channel >= a.stored) continue;
      m[f] = *reinterpret_cast<const Two *>(a.m + channel);
      b[f] = *reinterpret_cast<const Two *>(a.b + channel);
    }
  }
};

// 32 columns of two rows, 8 apart: row and row + 8, from fragment_row(0) on. values[i][f][e]: row i, fragment f.
using Values = float[2][4][2];

SEGNAS_DEVICE void add_residual(const ProductArgs &a, int64_t row, int channel, Values &f) {
  EightBytes rows[2] = {};
#pragma unroll
  for (int i = 0; i < 2; i++)
    if (row + 8 * i < a.pixels && channel < a.stored) rows[i] = *reinterpret_cast<const EightBytes *>(a.residual.at + (row + 8 * i) * a.stored + channel);
  uint32_t words[4];
  words_of(rows, words);
  transpose_words(words);
#pragma unroll
  for (int g = 0; g < 4; g++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int whole = static_cast<int>(words[g] >> 8 * i & 0xff) - a.residual.zero;
      f[i / 2][g][i % 2] = fused_multiply_add(static_cast<float>(whole), a.residual.r, f[i / 2][g][i % 2]);
    }
}

SEGNAS_DEVICE void store_bytes(const ProductArgs &a, int64_t row, int channel, const Values &f) {
  uint32_t words[4];
#pragma unroll
  for (int g = 0; g < 4; g++) words[g] = four_bytes(a.kept.byte(f[0][g][0]), a.kept.byte(f[0][g][1]), a.kept.byte(f[1][g][0]), a.kept.byte(f[1][g][1]));
  transpose_words(words);
  EightBytes rows[2];
  rows_of(words, rows);
#pragma unroll
  for (int i = 0; i < 2; i++)
    if (row + 8 * i < a.pixels && channel < a.stored) *reinterpret_cast<EightBytes *>(static_cast<uint8_t *>(a.y) + (row + 8 * i) * a.stored + channel) = rows[i];
}

SEGNAS_DEVICE void store_floats(const ProductArgs &a, int64_t row, int column, const Values &f) {
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int g = 0; g < 4; g++) {
      const int channel = column + g * 8 + fragment_column(0);
      float *at = static_cast<float *>(a.y) + (row + 8 * i) * a.channels + channel;
      const Two two = {{a.kept.rectified(f[i][g][0]), a.kept.rectified(f[i][g][1])}};
      if (row + 8 * i >= a.pixels || channel >= a.channels) continue;
      if (a.channels % 2 == 0) {
        *reinterpret_cast<Two *>(at) = two;
      } else {
        at[0] = two.at[0];
        if (channel + 1 < a.channels) at[1] = two.at[1];
      }
    }
}

template <class Tile>
SEGNAS_KERNEL(Tile::kThreads, Tile::kBlocks) integer_pointwise_tile(const ProductArgs a) {
  const int64_t row = static_cast<int64_t>(block_x() / a.column_tiles) * Tile::kRows;
  const int column = block_x() % a.column_tiles * Tile::kColumns, warp_column = column + Tile::warp_column();
  ByteRows<Tile> left(a.x, a.pixels, a.pairs, row, 0);
  ByteColumns<Tile> right(a.levels, a.channels, a.pairs, column, 0);
  ByteSums<Tile> sum;
  multiply_byte_tile<Tile>(left, right, a.pairs, sum, [&] {
#pragma unroll
    for (int c = 0; c < Tile::kFragmentColumns; c++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int channel = warp_column + c * 8 + fragment_column(i);
        const int32_t start = i >= 2 ? sum[0][c].at[i - 2] : channel < a.stored ? a.start[channel] : 0;
#pragma unroll
        for (int r = 0; r < Tile::kFragmentRows; r++) sum[r][c].at[i] = start;
      }
  });
#pragma unroll
  for (int part = 0; part < Tile::kFragmentColumns / 4; part++) {
    const int first = warp_column + 32 * part, channel = first + lane() % 4 * 8;
    const Factors by(a, first);
#pragma unroll
    for (int r = 0; r < Tile::kFragmentRows; r++) {
      const int64_t at = row + Tile::warp_row() + r * 16 + fragment_row(0);
      Values f;
#pragma unroll
      for (int g = 0; g < 4; g++)
#pragma unroll
        for (int i = 0; i < 4; i++) f[i / 2][g][i % 2] = fused_multiply_add(static_cast<float>(sum[r][4 * part + g].at[i]), by.m[g].at[i % 2], by.b[g].at[i % 2]);
      if (a.residual.at) add_residual(a, at, channel, f);
      if (a.kept.floats) {
        store_floats(a, at, first, f);
      } else {
        store_bytes(a, at, channel, f);
      }
    }
  }
}

template <class Tile>
segnas_status launch_product(Stream *s, ProductArgs args, segnas_error *err) {
  args.column_tiles = ceil_div(args.channels, Tile::kColumns);
  const Grid grid = {ceil_div<int64_t>(args.pixels, Tile::kRows) * args.column_tiles, 1, 1, Tile::kThreads, Tile::kSharedBytes};
  return launch("session_integer_pointwise", s->raw, err, grid, integer_pointwise_tile<Tile>, args);
}

}  // namespace

// The choice of a tile is session_pointwise's.
segnas_status session_integer_pointwise(Stream *s, const IntegerConvolution &l, const uint8_t *x, int64_t pixels, const IntegerResidual &residual, void *y,
                                        segnas_error *err) {
  constexpr int64_t kFewTiles = 132;
  if (pixels == 0) return succeed(err);
  const ProductArgs args = {reinterpret_cast<const BytePair *>(x), static_cast<const BytePair *>(l.levels), l.start, l.m, l.b, residual, y, pixels,
                            static_cast<int32_t>(stored_bytes(l.cin) / 2), static_cast<int32_t>(l.channels), static_cast<int32_t>(stored_bytes(l.channels)), 0, l.kept};
  const bool wide = l.channels > 64 && ceil_div<int64_t>(l.channels, 128) * 128 <= ceil_div<int64_t>(l.channels, 64) * 64;
  const int64_t width = wide ? 128 : l.channels > 32 ? 64 : 32;
  if (ceil_div<int64_t>(pixels, 128) * ceil_div(l.channels, width) < kFewTiles) return launch_product<SmallTile>(s, args, err);
  if (wide) return launch_product<WideTile>(s, args, err);
  return width == 64 ? launch_product<MiddleTile>(s, args, err) : launch_product<NarrowTile>(s, args, err);
}

}  // namespace segnas::gpu
