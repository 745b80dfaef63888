// segnas_conv3x3_norm_*: the stem's first convolution, which measures what it writes, and the gradient of its weight from da. Its input is the
// picture, which has no norm and wants no gradient.
#include "norm.h"

namespace segnas {
namespace {

// Output rows of a piece of the forward pass.
constexpr int64_t kConv3x3Rows = 8;
// Pixels of a slab of the backward pass, whose rows' sums are added in float32 before the slabs are added pairwise; a row longer than
// kConv3x3Stretch is summed in stretches.
constexpr int64_t kConv3x3Pixels = 2048, kConv3x3Stretch = 512;

segnas_status check_stem(const segnas_stream *s, const char *op, const segnas_tensor *x, const char *w_name, const segnas_tensor *w, const segnas_tensor *y,
                         int32_t stride, Window *d, int64_t *w_pitch, segnas_error *err) {
  SEGNAS_TRY(check_window(s, op, x, w_name, w, "y", y, 3, stride, d, w_pitch, err));
  if (d->in_channels <= kConv3x3MostChannels) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: x has %lld channels, should be at most %lld", op, static_cast<long long>(d->in_channels),
              static_cast<long long>(kConv3x3MostChannels));
}

// The input rows under the taps of output row i.
struct StemRows {
  const float *rows[3];
  StemRows(const Window &d, Rows picture, int64_t i) {
    for (int64_t u = 0; u < 3; u++) {
      const int64_t row = i * d.stride + u - 1;
      rows[u] = row < 0 || row >= d.in_h ? nullptr : picture.from(row * d.in_w).at;
    }
  }
};

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_conv3x3_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y,
                                          const segnas_tensor *moments, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Window d;
  Totals totals;
  int64_t w_pitch;
  SEGNAS_TRY(check_stem(s, __func__, x, "w", w, y, stride, &d, &w_pitch, err));
  if (moments) SEGNAS_TRY(check_totals(s, __func__, "moments", moments, 2, d.out_channels, &totals, err));
  SEGNAS_DISPATCH(s, conv3x3_norm_forward, err, x, w, stride, y, moments);
  const Kernels &kernels = *s->context->kernels;
  ThreadPool &pool = *s->context->pool;
  const Tiling tiling(d.n, d.out_h, d.out_w, kConv3x3Rows, d.out_w);
  Layout layout;
  const size_t packed_at = layout.add(floats(conv3x3_packed_floats(kernels.lanes, d.in_channels, d.out_channels)));
  const size_t sums_at = layout.add(moments ? PieceSums::bytes(tiling.count(), d.out_channels, pool.threads()) : 0);
  char *scratch = static_cast<char *>(s->scratch.reserve(layout.bytes()));
  if (!scratch) return out_of_scratch(__func__, err);
  float *packed = reinterpret_cast<float *>(scratch + packed_at);
  kernels.conv3x3.pack(f32(*w), w_pitch, d.in_channels, d.out_channels, packed);
  const PieceSums sums = moments ? PieceSums(scratch + sums_at, tiling.count(), d.out_channels) : PieceSums();
  const Rows in = rows_of(*x), out = rows_of(*y);
  pool.run(tiling.count(), [&](int64_t piece, int worker) {
    const Tiling::Tile tile = tiling.tile(piece);
    for (int64_t i = tile.row; i < tile.row_end; i++) {
      const StemRows at(d, in.from(tile.picture * d.in_h * d.in_w), i);
      const Rows row = out.from((tile.picture * d.out_h + i) * d.out_w);
      kernels.conv3x3.row[stride - 1](at.rows, d.in_w, in.pitch, 0, d.in_channels, packed, nullptr, false, d.out_channels, d.out_w, row.pitch, row.at);
      if (sums) sums.measure(kernels, piece, worker, i == tile.row, row, d.out_w);
    }
  });
  if (moments) sums.finish_moments(pool, [&](int64_t piece) { return tiling.tile(piece).pixels(); }, totals);
  return succeed(err);
}

segnas_status segnas_conv3x3_norm_backward_weight(segnas_stream *s, const segnas_tensor *x, int32_t stride, const segnas_tensor *y,
                                                  const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate,
                                                  const segnas_tensor *dw, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Window d;
  Norm norm;
  Rows gradient;
  int64_t dw_pitch;
  SEGNAS_TRY(check_stem(s, __func__, x, "dw", dw, y, stride, &d, &dw_pitch, err));
  SEGNAS_TRY(check_norm(s, __func__, "y_norm", y_norm, d.out_channels, y_relu, &norm, err));
  SEGNAS_TRY(check_like(s, __func__, "da", da, "y", y, &gradient, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  SEGNAS_DISPATCH(s, conv3x3_norm_backward_weight, err, x, stride, y, y_norm, y_relu, da, accumulate, dw);
  const Kernels &kernels = *s->context->kernels;
  ThreadPool &pool = *s->context->pool;
  const Tiling tiling(d.n, d.out_h, d.out_w, std::max<int64_t>(1, kConv3x3Pixels / d.out_w), d.out_w);
  const int64_t taps = 9 * d.in_channels, c = d.out_channels, slabs = tiling.count();
  const int64_t distance = static_cast<int64_t>(cache_lines(floats(taps * c)) / sizeof(float));
  Layout layout;
  const size_t sums_at = layout.add(floats(slabs * distance)), row_bytes = cache_lines(floats(d.out_w * c));
  const size_t rows_at = layout.add(row_bytes * static_cast<size_t>(pool.threads()));
  char *scratch = static_cast<char *>(s->scratch.reserve(layout.bytes()));
  if (!scratch) return out_of_scratch(__func__, err);
  float *sums = reinterpret_cast<float *>(scratch + sums_at);
  const Rows in = rows_of(*x), out = rows_of(*y);
  pool.run(slabs, [&](int64_t slab, int worker) {
    const Tiling::Tile tile = tiling.tile(slab);
    const Rows dy = {reinterpret_cast<float *>(scratch + rows_at + static_cast<size_t>(worker) * row_bytes), c};
    std::fill_n(sums + slab * distance, taps * c, 0.0f);
    for (int64_t i = tile.row; i < tile.row_end; i++) {
      const StemRows at(d, in.from(tile.picture * d.in_h * d.in_w), i);
      const int64_t pixel = (tile.picture * d.out_h + i) * d.out_w;
      apply_gradient(kernels, norm, out.from(pixel), gradient.from(pixel), d.out_w, c, dy);
      for (int64_t j = 0; j < d.out_w; j += kConv3x3Stretch)
        kernels.conv3x3.weight_row(at.rows, d.in_w, in.pitch, j * stride, stride, d.in_channels, dy.from(j).at, c, c, std::min(kConv3x3Stretch, d.out_w - j),
                                   sums + slab * distance);
    }
  });
  pool.run(taps, [&](int64_t tap, int) { kernels.conv3x3.fold(sums + tap * c, slabs, distance, c, accumulate != 0, f32(*dw) + tap * dw_pitch); });
  return succeed(err);
}
