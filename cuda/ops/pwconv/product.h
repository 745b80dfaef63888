// Products over pixels: C[P,n] = A[P,k] B + bias, A an activation or a gradient, B a weight or its transpose; what is done with a finished tile is
// the epilogue's. Tiles: tile.h; of activations in 16 bits, on tensor cores: cores.h.
//
// Operations 2 P k n; bytes 4 P (k + n), once (+ weights, and A again from the second-level cache for every column of tiles: blocks that share A
// are neighbours). The FMA units are the floor where k n / (k + n) is large: 64 -> 384 is 27 operations a byte against the 20 at which an H100
// (67 TFLOP/s, 3.35 TB/s) turns from memory to arithmetic, and a tile of 128 columns takes its A at 64. Narrow layers are bound by memory and get
// tiles as narrow. A weight's 0.5 to 100 KB stay in cache, so it is not packed.
#pragma once
#include "../moments/moments.h"
#include "cores.h"

namespace segnas::gpu {

using WideTile = Tile<128, 128, 8, 8>;
using MiddleTile = Tile<128, 64, 8, 8>;
using NarrowTile = Tile<128, 32, 8, 4>;
using SmallTile = Tile<32, 32, 4, 4>;

enum class TileSize { kSmall, kNarrow, kMiddle, kWide };

// The one that pads the columns least, the widest of such. Fewer than kFewTiles of them would leave half of a large GPU idle: then tiles are small.
inline TileSize tile_size(int64_t pixels, int64_t columns) {
  constexpr int64_t kFewTiles = 64;
  const bool wide = columns > 64 && ceil_div<int64_t>(columns, 128) * 128 <= ceil_div<int64_t>(columns, 64) * 64;
  const int64_t width = wide ? 128 : columns > 32 ? 64 : 32;
  if (ceil_div<int64_t>(pixels, 128) * ceil_div(columns, width) < kFewTiles) return TileSize::kSmall;
  return wide ? TileSize::kWide : columns > 32 ? TileSize::kMiddle : TileSize::kNarrow;
}
// Pixels of a tile.
inline int64_t tile_pixels(TileSize size) { return size == TileSize::kSmall ? SmallTile::kRows : WideTile::kRows; }
// Tiles that all pixels take: how many parts an epilogue leaves.
inline int64_t pixel_tiles(int64_t pixels, int64_t columns) { return ceil_div(pixels, tile_pixels(tile_size(pixels, columns))); }

// ---------------------------------------------------------------- epilogues

// A tile's place in C, and what of it there is.
struct Place {
  int64_t row, column, rows_left, columns_left;
  int64_t row_tile;
};

template <class T, class Stored>
SEGNAS_DEVICE void store_tile(const Matrix<Stored> &c, const Accumulators<T> &sum, const Place &at) {
#pragma unroll
  for (int r = 0; r < T::kThreadRows; r++) {
    if (T::row(r) >= at.rows_left) break;
#pragma unroll
    for (int g = 0; g < T::kThreadColumns; g += 4) {
      const Quad q = {{sum[r][g], sum[r][g + 1], sum[r][g + 2], sum[r][g + 3]}};
      c.store(at.row + T::row(r), at.column + T::column(g), q, at.columns_left - T::column(g));
    }
  }
}

// Two floats of every column, which the thread rows add in order; the column's thread gets the totals.
template <class T>
SEGNAS_DEVICE void put_pair(int c, float first, float second) {
  Shared<float> shared = shared_memory<float>(0);
  const int place = thread() / T::kAcross * T::kColumns + T::column(c);
  shared[place] = first;
  shared[T::kDown * T::kColumns + place] = second;
}
template <class T>
SEGNAS_DEVICE void total_pair(float &first, float &second) {
  Shared<float> shared = shared_memory<float>(0);
  first = second = 0;
  for (int down = 0; down < T::kDown; down++) {
    first += shared[down * T::kColumns + thread()];
    second += shared[(T::kDown + down) * T::kColumns + thread()];
  }
}
template <class T>
constexpr bool kPairsFit = (2 * T::kDown + 1) * T::kColumns * sizeof(float) <= T::kSharedBytes && T::kColumns <= T::kThreads;

template <class Stored>
struct StoreResult {
  Matrix<Stored> c;
  const float *bias;  // or NULL

  template <class T>
  SEGNAS_DEVICE void finish(const Accumulators<T> &sum, const Place &at) const {
    store_tile<T>(c, sum, at);
  }
};

// The tile, and the moments of its columns about the mean of their first few pixels.
template <class Stored>
struct StoreMoments {
  Matrix<Stored> c;
  const float *bias;
  MomentPart *parts;  // [tile][columns], or NULL
  int64_t columns;

  template <class T>
  SEGNAS_DEVICE void finish(const Accumulators<T> &sum, const Place &at) const {
    static_assert(kPairsFit<T> && T::kRows <= kMomentPixels, "one part a column");
    store_tile<T>(c, sum, at);
    if (!parts) return;
    const int pixels = at.rows_left < T::kRows ? static_cast<int>(at.rows_left) : T::kRows;
    int mine = 0;
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++) mine += T::row(r) < pixels ? 1 : 0;
    Shared<float> shift = shared_memory<float>(0) + 2 * T::kDown * T::kColumns;
#pragma unroll
    for (int column = 0; column < T::kThreadColumns; column++) {
      if (thread() >= T::kAcross) break;
      float y[T::kThreadRows];
#pragma unroll
      for (int r = 0; r < T::kThreadRows; r++) y[r] = sum[r][column];
      shift[T::column(column)] = near_mean<T::kThreadRows>(y, mine);
    }
    barrier();
#pragma unroll
    for (int column = 0; column < T::kThreadColumns; column++) {
      Moments m;
      m.shift = shift[T::column(column)];
#pragma unroll
      for (int r = 0; r < T::kThreadRows; r++)
        if (r < mine) m.add(sum[r][column]);
      put_pair<T>(column, m.sum, m.squares);
    }
    barrier();
    if (thread() >= T::kColumns || thread() >= at.columns_left) return;
    float total, squares;
    total_pair<T>(total, squares);
    parts[at.row_tile * columns + at.column + thread()] = {static_cast<double>(total), static_cast<double>(squares), pixels, shift[thread()]};
  }
};

// The tile, a gradient of x's activation, and its columns' sums for x's norm; those of the clip go through shared memory after the others.
template <class Stored, bool kQuantised = false>
struct StoreGradientSums {
  Matrix<Stored> c;
  const float *bias;  // NULL
  PartOf<kQuantised> *parts;  // [tile][columns], or NULL
  Matrix<Stored> x;
  QuadNorms norm;
  int64_t columns;

  template <class T>
  SEGNAS_DEVICE void finish(const Accumulators<T> &sum, const Place &at) const {
    static_assert(kPairsFit<T> && T::kRows <= kMomentPixels, "one part a column");
    store_tile<T>(c, sum, at);
    if (!parts) return;
    float beyond[kQuantised ? T::kThreadColumns : 1] = {};
#pragma unroll
    for (int column = 0; column < T::kThreadColumns; column += 4) {
      const int64_t left = at.columns_left - T::column(column), first = at.column + T::column(column);
      const QuadNorm n = load_norm(norm, first, left);
      const RangeOf<kQuantised> range = load_range_of<kQuantised>(norm, first, left);
      GradientSums sums[4];
#pragma unroll
      for (int r = 0; r < T::kThreadRows; r++) {
        if (T::row(r) >= at.rows_left) break;
        const Quad raw = x.load(at.row + T::row(r), first, left);
        const Quad da = {{sum[r][column], sum[r][column + 1], sum[r][column + 2], sum[r][column + 3]}};
        Quad g;
        if constexpr (kQuantised) {
          Quad terms;
          g = masked(raw, da, n, range, norm.rows, terms);
#pragma unroll
          for (int i = 0; i < 4; i++) beyond[column + i] += terms.at[i];
        } else {
          g = masked(raw, da, n, norm.rows.relu);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sums[i].add(g.at[i], raw.at[i] - n.mean.at[i]);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) put_pair<T>(column + i, sums[i].g, sums[i].product);
    }
    barrier();
    const bool mine = thread() < T::kColumns && thread() < at.columns_left;
    float g = 0, product = 0;
    if (mine) total_pair<T>(g, product);
    PartOf<kQuantised> *part = parts + (at.row_tile * columns + at.column + thread());
    if constexpr (kQuantised) {
      barrier();
#pragma unroll
      for (int column = 0; column < T::kThreadColumns; column++) put_pair<T>(column, beyond[column], 0);
      barrier();
      float total = 0, none;
      if (mine) total_pair<T>(total, none);
      if (mine) *part = {static_cast<double>(g), static_cast<double>(product), static_cast<double>(total)};
    } else {
      if (mine) *part = {static_cast<double>(g), static_cast<double>(product)};
    }
  }
};

// ---------------------------------------------------------------- the kernel

template <class A, class Weight, class Epilogue>
struct ProductArgs {
  A a;                // [pixels, depth]
  Plain<Weight> w;    // [depth, columns], or [columns, depth] where it is transposed
  Epilogue epilogue;  // of [pixels, columns]
  int64_t pixels, columns, depth;
  int32_t column_tiles;
};

template <class T, bool kTransposed, class A, class Weight, class Epilogue>
SEGNAS_KERNEL(T::kThreads) product(const ProductArgs<A, Weight, Epilogue> p) {
  const int64_t row_tile = block_x() / p.column_tiles;
  const int64_t row = row_tile * T::kRows, column = static_cast<int64_t>(block_x() % p.column_tiles) * T::kColumns;
  Feed<T, A, T::kRows, true> a(p.a, row, p.pixels, p.depth);
  Feed<T, Plain<Weight>, T::kColumns, kTransposed> b(p.w, column, kTransposed ? p.columns : p.depth, kTransposed ? p.depth : p.columns);
  Accumulators<T> sum;
#pragma unroll
  for (int g = 0; g < T::kThreadColumns; g += 4) {
    Quad start = {};
    if (p.epilogue.bias) start = load_quad(p.epilogue.bias + column + T::column(g), p.columns - column - T::column(g), false);
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++)
#pragma unroll
      for (int c = 0; c < 4; c++) sum[r][g + c] = start.at[c];
  }
  accumulate<T>(a, b, 0, p.depth, sum, Nothing());
  p.epilogue.template finish<T>(sum, {row, column, p.pixels - row, p.columns - column, row_tile});
}

// The same on tensor cores: A and the weight rounded to A's stored type.
template <class T, bool kTransposed, class A, class Weight, class Epilogue>
SEGNAS_KERNEL(T::kThreads) product_on_cores(const ProductArgs<A, Weight, Epilogue> p) {
  using H = typename A::Type;
  if constexpr (kHasUnits<H>) {
    const int64_t row_tile = block_x() / p.column_tiles;
    const int64_t row = row_tile * T::kRows, column = static_cast<int64_t>(block_x() % p.column_tiles) * T::kColumns;
    Feed<Cores<T>, A, T::kRows, true> a(p.a, row, p.pixels, p.depth);
    Feed<Cores<T>, Plain<Weight>, T::kColumns, kTransposed> b(p.w, column, kTransposed ? p.columns : p.depth, kTransposed ? p.depth : p.columns);
    CoreSums<T> sums;
    clear_sums<T>(sums);
    accumulate_on_cores<T, H, true, kTransposed>(a, b, 0, p.depth, sums, Nothing());
    Accumulators<T> sum;
    hand_over<T>(sums, sum);
    if (p.epilogue.bias) {
#pragma unroll
      for (int g = 0; g < T::kThreadColumns; g += 4) {
        const Quad bias = load_quad(p.epilogue.bias + column + T::column(g), p.columns - column - T::column(g), false);
#pragma unroll
        for (int r = 0; r < T::kThreadRows; r++)
#pragma unroll
          for (int c = 0; c < 4; c++) sum[r][g + c] += bias.at[c];
      }
    }
    p.epilogue.template finish<T>(sum, {row, column, p.pixels - row, p.columns - column, row_tile});
  }
}

template <class T, bool kTransposed, class A, class Weight, class Epilogue>
segnas_status launch_product(const char *name, Stream *s, ProductArgs<A, Weight, Epilogue> args, segnas_error *err) {
  args.column_tiles = static_cast<int32_t>(ceil_div<int64_t>(args.columns, T::kColumns));
  Grid grid = {ceil_div<int64_t>(args.pixels, T::kRows) * args.column_tiles, 1, 1, T::kThreads, T::kSharedBytes};
  if constexpr (sizeof(typename A::Type) == sizeof(float)) {
    return launch(name, s->raw, err, grid, product<T, kTransposed, A, Weight, Epilogue>, args);
  } else {
    SEGNAS_GPU_TRY(check_units<typename A::Type>(name, s, err));
    grid.shared_bytes = cores_shared_bytes<T, true, kTransposed>();
    return launch(name, s->raw, err, grid, product_on_cores<T, kTransposed, A, Weight, Epilogue>, args);
  }
}

template <bool kTransposed, class A, class Weight, class Epilogue>
segnas_status multiply(const char *name, Stream *s, const ProductArgs<A, Weight, Epilogue> &args, segnas_error *err) {
  switch (tile_size(args.pixels, args.columns)) {
    case TileSize::kWide: return launch_product<WideTile, kTransposed>(name, s, args, err);
    case TileSize::kMiddle: return launch_product<MiddleTile, kTransposed>(name, s, args, err);
    case TileSize::kNarrow: return launch_product<NarrowTile, kTransposed>(name, s, args, err);
    case TileSize::kSmall: break;
  }
  return launch_product<SmallTile, kTransposed>(name, s, args, err);
}

}  // namespace segnas::gpu
