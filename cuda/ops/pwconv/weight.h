// The weight's gradient: dw[cin,cout] = x^T dy over the pixels, x and dy read as they are or through their norms.
//
// Operations 2 P cin cout; bytes 4 P (cin + cout). A tile of dw is the sum over all pixels, so pixels are cut into slabs, a block a tile a slab,
// until some 512 blocks fill the machine; a slab's partial dw goes to scratch, 8 cin cout bytes written and read for the slab's 4 (cin + cout)
// a pixel, which is why a slab has 256 pixels at least. Blocks of one slab are neighbours and share its pixels in the second-level cache. 64 x 64
// tiles keep two accumulators a product, 8x4 a thread: larger ones would spill.
//
// Order: chains of FMAs over 128 pixels, the chunks of a slab one after another in float32, slabs as finish_weights adds them, in double.
#pragma once
#include "../moments/moments.h"
#include "cores.h"

namespace segnas::gpu {

constexpr int64_t kChunkPixels = 128;

using WeightTile = Tile<64, 64, 8, 4>;
using SmallWeightTile = Tile<32, 32, 4, 4>;

// How the pixels are cut, from shapes alone.
struct WeightSlabs {
  bool small;
  int64_t pixels, count;
};
inline WeightSlabs weight_slabs(int64_t pixels, int64_t cin, int64_t cout) {
  constexpr int64_t kBlocks = 512, kLeast = 256;
  const bool small = cin <= 32 || cout <= 32;
  const int64_t side = small ? SmallWeightTile::kRows : WeightTile::kRows, tiles = ceil_div(cin, side) * ceil_div(cout, side);
  const int64_t most = tiles < kBlocks ? kBlocks / tiles : 1, fill = ceil_div(pixels, kLeast), slabs = fill < most ? fill : most;
  const int64_t size = ceil_div(ceil_div(pixels, slabs), kChunkPixels) * kChunkPixels;
  return {small, size, ceil_div(pixels, size)};
}
inline size_t weight_part_bytes(const WeightSlabs &slabs, int64_t cin, int64_t cout) {
  return static_cast<size_t>(slabs.count * cin * cout) * sizeof(float);
}

template <class X, class Dy>
struct WeightArgs {
  X x;
  Dy dy;
  int64_t pixels, cin, cout, slab_pixels;
  int32_t row_tiles, column_tiles;
  float *parts;  // [slab][cin][cout]
};

// Ends a chunk every kChunkPixels.
template <class T>
struct Chunks {
  Accumulators<T> &sum, &total;
  int step = 0;
  SEGNAS_DEVICE void operator()() {
    if (++step == kChunkPixels / T::kDepth) end();
  }
  SEGNAS_DEVICE void end() {
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++)
#pragma unroll
      for (int c = 0; c < T::kThreadColumns; c++) {
        total[r][c] += sum[r][c];
        sum[r][c] = 0;
      }
    step = 0;
  }
};

// A tile of a slab's partial dw.
template <class T, class X, class Dy>
SEGNAS_DEVICE void store_part(const WeightArgs<X, Dy> &p, int64_t slab, int64_t row, int64_t column, const Accumulators<T> &total) {
  float *part = p.parts + slab * p.cin * p.cout;
#pragma unroll
  for (int r = 0; r < T::kThreadRows; r++) {
    const int64_t at = row + T::row(r);
    if (at >= p.cin) break;
#pragma unroll
    for (int g = 0; g < T::kThreadColumns; g += 4) {
      const int64_t first = column + T::column(g);
      store_quad(part + at * p.cout + first, {{total[r][g], total[r][g + 1], total[r][g + 2], total[r][g + 3]}}, p.cout - first, p.cout % 4 == 0);
    }
  }
}

template <class T, class X, class Dy>
SEGNAS_KERNEL(T::kThreads) weight_slab(const WeightArgs<X, Dy> p) {
  const int tiles = p.row_tiles * p.column_tiles, tile = block_x() % tiles;
  const int64_t slab = block_x() / tiles, begin = slab * p.slab_pixels, end = begin + p.slab_pixels < p.pixels ? begin + p.slab_pixels : p.pixels;
  const int64_t row = static_cast<int64_t>(tile / p.column_tiles) * T::kRows, column = static_cast<int64_t>(tile % p.column_tiles) * T::kColumns;
  Feed<T, X, T::kRows, false> x(p.x, row, end, p.cin);
  Feed<T, Dy, T::kColumns, false> dy(p.dy, column, end, p.cout);
  Accumulators<T> sum, total;
  clear<T>(sum);
  clear<T>(total);
  Chunks<T> chunks{sum, total};
  accumulate<T>(x, dy, begin, end, sum, chunks);
  chunks.end();
  store_part<T>(p, slab, row, column, total);
}

// The same on tensor cores, both sides rounded to x's stored type.
template <class T, class X, class Dy>
SEGNAS_KERNEL(T::kThreads) weight_slab_on_cores(const WeightArgs<X, Dy> p) {
  using H = typename X::Type;
  if constexpr (kHasUnits<H>) {
    const int tiles = p.row_tiles * p.column_tiles, tile = block_x() % tiles;
    const int64_t slab = block_x() / tiles, begin = slab * p.slab_pixels, end = begin + p.slab_pixels < p.pixels ? begin + p.slab_pixels : p.pixels;
    const int64_t row = static_cast<int64_t>(tile / p.column_tiles) * T::kRows, column = static_cast<int64_t>(tile % p.column_tiles) * T::kColumns;
    Feed<Cores<T>, X, T::kRows, false> x(p.x, row, end, p.cin);
    Feed<Cores<T>, Dy, T::kColumns, false> dy(p.dy, column, end, p.cout);
    CoreSums<T> sums, totals;
    clear_sums<T>(sums);
    clear_sums<T>(totals);
    int step = 0;
    auto end_chunk = [&] {
#pragma unroll
      for (int r = 0; r < Cores<T>::kFragmentRows; r++)
#pragma unroll
        for (int c = 0; c < Cores<T>::kFragmentColumns; c++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            totals[r][c].at[i] += sums[r][c].at[i];
            sums[r][c].at[i] = 0;
          }
      step = 0;
    };
    accumulate_on_cores<T, H, false, false>(x, dy, begin, end, sums, [&] {
      if (++step == kChunkPixels / Cores<T>::kDepth) end_chunk();
    });
    end_chunk();
    Accumulators<T> total;
    hand_over<T>(totals, total);
    store_part<T>(p, slab, row, column, total);
  }
}

template <class T, class X, class Dy>
segnas_status launch_slabs(Stream *s, WeightArgs<X, Dy> args, int64_t slabs, segnas_error *err) {
  args.row_tiles = static_cast<int32_t>(ceil_div<int64_t>(args.cin, T::kRows));
  args.column_tiles = static_cast<int32_t>(ceil_div<int64_t>(args.cout, T::kColumns));
  Grid grid = {slabs * args.row_tiles * args.column_tiles, 1, 1, T::kThreads, T::kSharedBytes};
  if constexpr (sizeof(typename X::Type) == sizeof(float) || sizeof(typename Dy::Type) == sizeof(float)) {
    return launch("pwconv_weight_slab", s->raw, err, grid, weight_slab<T, X, Dy>, args);
  } else {
    SEGNAS_GPU_TRY(check_units<typename X::Type>("pwconv_weight_slab", s, err));
    grid.shared_bytes = cores_shared_bytes<T, false, false>();
    return launch("pwconv_weight_slab", s->raw, err, grid, weight_slab_on_cores<T, X, Dy>, args);
  }
}

// dw = or += x^T dy; parts: weight_part_bytes of scratch, on 16 bytes.
template <class X, class Dy>
segnas_status weight_gradient(Stream *s, const X &x, const Dy &dy, int64_t pixels, int64_t cin, int64_t cout, int32_t accumulate, Rows dw,
                              float *parts, segnas_error *err) {
  const WeightSlabs slabs = weight_slabs(pixels, cin, cout);
  const WeightArgs<X, Dy> args = {x, dy, pixels, cin, cout, slabs.pixels, 0, 0, parts};
  SEGNAS_GPU_TRY(slabs.small ? (launch_slabs<SmallWeightTile>(s, args, slabs.count, err)) : (launch_slabs<WeightTile>(s, args, slabs.count, err)));
  return finish_weights(s, parts, slabs.count, cin, cout, accumulate != 0, dw, err);
}

}  // namespace segnas::gpu
