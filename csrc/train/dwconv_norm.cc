// segnas_dwconv_norm_*: depthwise convolutions that normalise what they read and measure what they write.
//
// A piece is a stretch of columns of a band of rows. It goes down its rows with the last few of them, normalised, in a ring that fits the
// second-level cache; so the forward pass reads x and writes y once, and the backward pass reads x, y and da and writes dx once, for both
// gradients and the sums. What the halo columns cost is computed twice: k - 1 columns of a stretch.
#include "norm.h"

namespace segnas {
namespace {

// Floats of a stretch of one row: some 36 KB, so that two rings of up to six rows and the rows that pass leave room in 1 MiB.
constexpr int64_t kStretchFloats = 9216;
// Output pixels of a piece: as many products as one float32 chain of the weight's gradient may add up.
constexpr int64_t kPiecePixels = 1024;
// Output rows made at a time.
constexpr int64_t kForwardRows = 4, kBackwardRows = 2, kMostRows = 4;

Tiling tiling_of(const Window &d, int64_t most_columns, int64_t step) {
  const Tiling whole(d.n, d.out_h, d.out_w, d.out_h, most_columns);
  const int64_t rows = std::max<int64_t>(1, kPiecePixels / whole.columns / step) * step;
  return Tiling(d.n, d.out_h, d.out_w, rows, whole.columns);
}

// Columns of a stretch when the rows of input and output may be cut.
int64_t stretch_columns(const Window &d) {
  return std::clamp<int64_t>(kStretchFloats / (d.in_channels * d.stride), 8, kPiecePixels / kBackwardRows);
}

// Columns [begin, end) of a row.
struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// What the taps of the output columns [column, column_end) reach.
Span reach(const Window &d, int64_t column, int64_t column_end) {
  return {std::max<int64_t>(0, column * d.stride - d.k / 2), std::min(d.in_w, (column_end - 1) * d.stride + d.k - d.k / 2)};
}

// The last rows of a stretch of columns, made by `make(row, floats)` when they are first wanted, in order, while the row below is asked for. Rows
// outside the picture are NULL.
template <class Make>
class Ring {
 public:
  Ring(float *memory, int64_t slots, int64_t row_floats, int64_t height, int64_t first, Make make)
      : memory_(memory), slots_(slots), row_floats_(row_floats), height_(height), next_(std::max<int64_t>(0, first)), make_(make) {}
  // Makes the rows up to `end`; of those before, the last `slots` stay.
  void fill(int64_t end) {
    for (; next_ < std::min(end, height_); next_++) make_(next_, at(next_));
  }
  float *row(int64_t r) const { return r < 0 || r >= height_ ? nullptr : at(r); }

 private:
  float *at(int64_t r) const { return memory_ + r % slots_ * row_floats_; }
  float *memory_;
  int64_t slots_, row_floats_, height_, next_;
  Make make_;
};

// The rows under the taps of output rows [i, i + count): pointers and where the first column lies.
struct TapRows {
  const float *rows[(kMostRows - 1) * 2 + 7];
  int64_t width, pitch, first;
};

struct DepthwiseForward {
  Window d;
  Norm x_norm;
  Rows x, y;
  const float *w;
  int64_t w_pitch;
  PieceSums sums;
};

void forward_tile(const Kernels &kernels, const DepthwiseForward &f, const Tiling::Tile &tile, int64_t piece, int worker, float *ring_memory) {
  const Window &d = f.d;
  const Span span = reach(d, tile.column, tile.column_end);
  const Rows picture = f.x.from(tile.picture * d.in_h * d.in_w);
  const int64_t c = d.in_channels, half = d.k / 2, row_floats = span.size() * c;
  Ring ring(ring_memory, (kForwardRows - 1) * d.stride + d.k, row_floats, d.in_h, tile.row * d.stride - half, [&](int64_t row, float *to) {
    apply_norm(kernels, f.x_norm, picture.from(row * d.in_w + span.begin), span.size(), c, {to, c}, d.in_w * f.x.pitch);
  });
  DwconvRow *kernel = kernels.dwconv.row[(d.k - 3) / 2][d.stride - 1];
  for (int64_t i = tile.row; i < tile.row_end; i += kForwardRows) {
    const int64_t count = std::min(kForwardRows, tile.row_end - i), reached = (count - 1) * d.stride + d.k, top = i * d.stride - half;
    TapRows taps;
    if (f.x_norm) {
      ring.fill(top + reached);
      for (int64_t u = 0; u < reached; u++) taps.rows[u] = ring.row(top + u);
      taps.width = span.size(), taps.pitch = c, taps.first = tile.column * d.stride - span.begin;
    } else {
      for (int64_t u = 0; u < reached; u++) taps.rows[u] = top + u < 0 || top + u >= d.in_h ? nullptr : picture.from((top + u) * d.in_w).at;
      taps.width = d.in_w, taps.pitch = f.x.pitch, taps.first = tile.column * d.stride;
    }
    const Rows y = f.y.from((tile.picture * d.out_h + i) * d.out_w + tile.column);
    const DwconvBand band = {count, d.out_w * y.pitch, false};
    const int64_t columns = tile.column_end - tile.column;
    kernel(taps.rows, taps.width, taps.pitch, taps.first, f.w, f.w_pitch, nullptr, false, c, columns, y.pitch, y.at, &band);
    for (int64_t r = 0; f.sums && r < count; r++) f.sums.measure(kernels, piece, worker, i == tile.row && r == 0, y.from(r * d.out_w), columns);
  }
}

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_dwconv_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                         int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  DepthwiseForward f;
  Totals totals;
  SEGNAS_TRY(check_window(s, __func__, x, "w", w, "y", y, 0, stride, &f.d, &f.w_pitch, err));
  SEGNAS_TRY(check_optional_norm(s, __func__, "x_norm", x_norm, f.d.in_channels, x_relu, &f.x_norm, err));
  if (moments) SEGNAS_TRY(check_totals(s, __func__, "moments", moments, 2, f.d.in_channels, &totals, err));
  SEGNAS_DISPATCH(s, dwconv_norm_forward, err, x, x_norm, x_relu, w, stride, y, moments);
  f.x = rows_of(*x), f.y = rows_of(*y), f.w = f32(*w);
  ThreadPool &pool = *s->context->pool;
  const Tiling tiling = tiling_of(f.d, stretch_columns(f.d), kForwardRows);
  const int64_t ring_rows = (kForwardRows - 1) * stride + f.d.k, most_columns = std::min(f.d.in_w, (tiling.columns - 1) * stride + f.d.k);
  Layout layout;
  const size_t sums_at = layout.add(moments ? PieceSums::bytes(tiling.count(), f.d.in_channels, pool.threads()) : 0);
  const size_t ring_bytes = x_norm ? cache_lines(floats(ring_rows * most_columns * f.d.in_channels)) : 0;
  const size_t rings_at = layout.add(ring_bytes * static_cast<size_t>(pool.threads()));
  char *scratch = static_cast<char *>(s->scratch.reserve(std::max<size_t>(1, layout.bytes())));
  if (!scratch) return out_of_scratch(__func__, err);
  if (moments) f.sums = PieceSums(scratch + sums_at, tiling.count(), f.d.in_channels);
  pool.run(tiling.count(), [&](int64_t piece, int worker) {
    forward_tile(*s->context->kernels, f, tiling.tile(piece), piece, worker,
                 reinterpret_cast<float *>(scratch + rings_at + static_cast<size_t>(worker) * ring_bytes));
  });
  if (moments) f.sums.finish_moments(pool, [&](int64_t piece) { return tiling.tile(piece).pixels(); }, totals);
  return succeed(err);
}

namespace segnas {
namespace {

struct DepthwiseBackward {
  Window d;
  Norm x_norm, y_norm;
  Rows x, y, da, dx;  // dx.at NULL: not wanted
  const float *w;
  int64_t w_pitch;
  PieceSums sums;
};

// How many rows of dy before and after output row i the input rows under its taps take, and the rings' rows.
int64_t rows_behind(const Window &d) { return d.stride == 1 ? d.k / 2 : d.k / 4; }
int64_t rows_ahead(const Window &d) { return d.stride == 1 ? d.k / 2 : (d.k / 2 + 1) / 2; }
int64_t dy_ring_rows(const Window &d) { return kBackwardRows + rows_behind(d) + rows_ahead(d); }
int64_t x_ring_rows(const Window &d) { return (kBackwardRows - 1) * d.stride + d.k; }

// The stretches of the backward pass: with stride 2 the gradient of the input wants whole rows of dy.
Tiling backward_tiling(const Window &d) { return tiling_of(d, d.stride == 1 ? stretch_columns(d) : d.out_w, kBackwardRows); }
int64_t most_dy_columns(const Window &d, const Tiling &t) { return std::min(d.out_w, t.columns + (d.stride == 1 ? d.k - 1 : 0)); }
int64_t most_x_columns(const Window &d, const Tiling &t) { return std::min(d.in_w, (t.columns - 1) * d.stride + d.k); }

// The rows of dx under output rows [i, i + count) of a tile.
Span input_rows(const Window &d, int64_t i, int64_t count) { return {i * d.stride, std::min(d.in_h, (i + count) * d.stride)}; }

// dx of those rows, from dy's ring, whose rows hold the columns dy_span.
template <class DyRing>
void input_gradient(const Kernels &kernels, const DepthwiseBackward &b, const Tiling::Tile &tile, int64_t i, int64_t count, const DyRing &ring, Span dy_span) {
  const Window &d = b.d;
  const Span in = input_rows(d, i, count);
  const int64_t c = d.in_channels, half = d.k / 2;
  const float *rows[(kMostRows - 1) * 2 + 7];
  Rows dx = b.dx.from((tile.picture * d.in_h + in.begin) * d.in_w);
  if (d.stride == 1) {
    for (int64_t u = 0; u < count - 1 + d.k; u++) rows[u] = ring.row(i + u - half);
    const DwconvBand band = {count, d.in_w * dx.pitch, false};
    kernels.dwconv.row[(d.k - 3) / 2][0](rows, dy_span.size(), c, tile.column - dy_span.begin, b.w + (d.k * d.k - 1) * b.w_pitch, -b.w_pitch, nullptr, false, c,
                                         tile.column_end - tile.column, dx.pitch, dx.from(tile.column).at, &band);
    return;
  }
  for (int64_t p = in.begin; p < in.end; p++, dx = dx.from(d.in_w)) {
    for (int64_t u = 0; u < d.k; u++) {
      const int64_t twice = p + half - u;
      rows[u] = twice < 0 || twice % 2 != 0 ? nullptr : ring.row(twice / 2);
    }
    kernels.dwconv.spread_row[(d.k - 3) / 2](rows, d.out_w, c, b.w, b.w_pitch, c, d.in_w, dx.pitch, dx.at);
  }
}

// The sums of dx for x's norm, over the same rows.
void sum_rows(const Kernels &kernels, const DepthwiseBackward &b, const Tiling::Tile &tile, int64_t i, int64_t count, int64_t piece, int worker) {
  const Window &d = b.d;
  const Span in = input_rows(d, i, count);
  const Span columns = {tile.column * d.stride, std::min(d.in_w, tile.column_end * d.stride)};
  for (int64_t p = in.begin; p < in.end; p++) {
    const int64_t at = (tile.picture * d.in_h + p) * d.in_w + columns.begin;
    b.sums.add_gradient(kernels, piece, worker, i == tile.row && p == in.begin, b.x_norm, b.x.from(at), b.dx.from(at), columns.size());
  }
}

void backward_tile(const Kernels &kernels, const DepthwiseBackward &b, const Tiling::Tile &tile, int64_t piece, int worker, float *dy_memory,
                   float *x_memory, float *weight_sums) {
  const Window &d = b.d;
  const int64_t c = d.in_channels, half = d.k / 2, margin = d.stride == 1 ? half : 0;
  const Span span = reach(d, tile.column, tile.column_end);
  const Span dy_span = {std::max<int64_t>(0, tile.column - margin), std::min(d.out_w, tile.column_end + margin)};
  const Rows x = b.x.from(tile.picture * d.in_h * d.in_w);
  Ring x_ring(x_memory, x_ring_rows(d), span.size() * c, d.in_h, tile.row * d.stride - half, [&](int64_t row, float *to) {
    apply_norm(kernels, b.x_norm, x.from(row * d.in_w + span.begin), span.size(), c, {to, c}, d.in_w * x.pitch);
  });
  const bool halo = b.dx.at != nullptr;
  Ring dy_ring(dy_memory, dy_ring_rows(d), dy_span.size() * c, d.out_h, tile.row - (halo ? rows_behind(d) : 0), [&](int64_t row, float *to) {
    const int64_t at = (tile.picture * d.out_h + row) * d.out_w + dy_span.begin;
    apply_gradient(kernels, b.y_norm, b.y.from(at), b.da.from(at), dy_span.size(), c, {to, c}, d.out_w * b.y.pitch);
  });
  std::fill_n(weight_sums, dwconv_sums_floats(kernels.lanes, d.k, c), 0.0f);
  for (int64_t i = tile.row; i < tile.row_end; i += kBackwardRows) {
    const int64_t count = std::min(kBackwardRows, tile.row_end - i);
    dy_ring.fill(i + count + (halo ? rows_ahead(d) : 0));
    if (b.x_norm) x_ring.fill((i + count - 1) * d.stride - half + d.k);
    for (int64_t r = i; r < i + count; r++) {
      const int64_t top = r * d.stride - half;
      const float *rows[7];
      for (int64_t u = 0; u < d.k; u++)
        rows[u] = b.x_norm ? x_ring.row(top + u) : top + u < 0 || top + u >= d.in_h ? nullptr : x.from((top + u) * d.in_w + span.begin).at;
      kernels.dwconv.weight[(d.k - 3) / 2][d.stride - 1](rows, span.size(), b.x_norm ? c : b.x.pitch, tile.column * d.stride - span.begin,
                                                         dy_ring.row(r) + (tile.column - dy_span.begin) * c, c, c, tile.column_end - tile.column,
                                                         weight_sums, nullptr);
    }
    if (!halo) continue;
    input_gradient(kernels, b, tile, i, count, dy_ring, dy_span);
    if (b.sums) sum_rows(kernels, b, tile, i, count, piece, worker);
  }
}

// Scratch, pieces, and the sums over them.
segnas_status backward(segnas_stream *s, const char *op, DepthwiseBackward &b, bool accumulate, const segnas_tensor *dw, const Totals *sums,
                       segnas_error *err) {
  const Kernels &kernels = *s->context->kernels;
  ThreadPool &pool = *s->context->pool;
  const Window &d = b.d;
  const Tiling tiling = backward_tiling(d);
  const int64_t c = d.in_channels, pieces = tiling.count();
  const int64_t distance = static_cast<int64_t>(cache_lines(floats(dwconv_sums_floats(kernels.lanes, d.k, c))) / sizeof(float));
  Layout layout, worker;
  const size_t dy_at = worker.add(floats(dy_ring_rows(d) * most_dy_columns(d, tiling) * c));
  const size_t x_at = worker.add(b.x_norm ? floats(x_ring_rows(d) * most_x_columns(d, tiling) * c) : 0);
  const size_t weight_at = layout.add(floats(pieces * distance));
  const size_t sums_at = layout.add(sums ? PieceSums::bytes(pieces, c, pool.threads(), b.x_norm.sums()) : 0);
  const size_t workers_at = layout.add(worker.bytes() * static_cast<size_t>(pool.threads()));
  char *scratch = static_cast<char *>(s->scratch.reserve(layout.bytes()));
  if (!scratch) return out_of_scratch(op, err);
  float *weight_sums = reinterpret_cast<float *>(scratch + weight_at);
  if (sums) b.sums = PieceSums(scratch + sums_at, pieces, c, b.x_norm.sums());
  pool.run(pieces, [&](int64_t piece, int index) {
    char *mine = scratch + workers_at + static_cast<size_t>(index) * worker.bytes();
    backward_tile(kernels, b, tiling.tile(piece), piece, index, reinterpret_cast<float *>(mine + dy_at), reinterpret_cast<float *>(mine + x_at),
                  weight_sums + piece * distance);
  });
  constexpr int64_t kVectors = 8;  // of channels, that one piece of the final addition takes
  const int64_t vectors = (c + kernels.lanes - 1) / kernels.lanes;
  pool.run((vectors + kVectors - 1) / kVectors, [&](int64_t part, int) {
    const int64_t vector = part * kVectors;
    kernels.dwconv.fold(weight_sums, pieces, distance, d.k * d.k, vector, std::min(kVectors, vectors - vector), c, accumulate, f32(*dw), dw->stride[0]);
  });
  if (sums) b.sums.finish_gradient(pool, *sums);
  return succeed(err);
}

}  // namespace
}  // namespace segnas

segnas_status segnas_dwconv_norm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                          int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da,
                                          int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums,
                                          segnas_error *err) {
  SEGNAS_ENTER(s, err);
  DepthwiseBackward b;
  Totals totals;
  int64_t dw_pitch;
  SEGNAS_TRY(check_window(s, __func__, x, "w", w, "y", y, 0, stride, &b.d, &b.w_pitch, err));
  SEGNAS_TRY(check_optional_norm(s, __func__, "x_norm", x_norm, b.d.in_channels, x_relu, &b.x_norm, err));
  SEGNAS_TRY(check_norm(s, __func__, "y_norm", y_norm, b.d.in_channels, y_relu, &b.y_norm, err));
  SEGNAS_TRY(check_like(s, __func__, "da", da, "y", y, &b.da, err));
  SEGNAS_TRY(check_matrix(s, __func__, "dw", dw, b.d.k * b.d.k, b.d.in_channels, &dw_pitch, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  b.dx = {nullptr, 0};
  if (dx) SEGNAS_TRY(check_like(s, __func__, "dx", dx, "x", x, &b.dx, err));
  SEGNAS_TRY(check_sums_wanted(__func__, x_norm, dx, sums, err));
  if (sums) SEGNAS_TRY(check_totals(s, __func__, "sums", sums, b.x_norm.sums(), b.d.in_channels, &totals, err));
  SEGNAS_DISPATCH(s, dwconv_norm_backward, err, x, x_norm, x_relu, w, stride, y, y_norm, y_relu, da, accumulate, dw, dx, sums);
  b.x = rows_of(*x), b.y = rows_of(*y), b.w = f32(*w);
  return backward(s, __func__, b, accumulate != 0, dw, sums ? &totals : nullptr, err);
}
