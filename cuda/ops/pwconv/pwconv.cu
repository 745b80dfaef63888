// Pointwise convolution (csrc/ops/pwconv/pwconv.h). Forward and the input's gradient are products over pixels (product.h), one chain of FMAs
// over ascending channels per output as on the CPU, from the bias on; the weight's gradient: weight.h; the bias's: column sums (plugin/columns.h).
#include "../../plugin/columns.h"
#include "../../plugin/ops.h"
#include "product.h"
#include "weight.h"

namespace segnas::gpu {
namespace {

// The bias's gradient reads 4 P Cout bytes for one addition each: memory is the floor.
template <class T>
struct BiasArgs {
  Columns columns;
  Matrix<T> dy;
  double *slabs;  // [slab][channels]
};

template <class T>
SEGNAS_KERNEL(kColumnThreads) bias_slab(const BiasArgs<T> a) {
  constexpr int kBatch = 4;
  const Column at = column_of(a.columns);
  ColumnSums<1> sums;
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad dy[kBatch][1];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      dy[i][0] = a.dy.load(pixel, at.channel, pixel < at.end ? at.left : 0);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++)
      if (p + i * a.columns.rows < at.end) sums.add(dy[i]);
  }
  put_sums(a.columns, at, sums, a.slabs);
}

struct BiasTotalArgs {
  Columns columns;
  const double *slabs;
  int32_t accumulate;
  float *db;
};

SEGNAS_KERNEL(8 * kWarp) bias_total(const BiasTotalArgs a) {
  const int64_t c = warp_channel();
  if (c >= a.columns.channels) return;
  const double sum = sum_slabs<1>(a.columns, a.slabs, c, 0);
  if (lane() == 0) a.db[c] = static_cast<float>(a.accumulate ? static_cast<double>(a.db[c]) + sum : sum);
}

}  // namespace

segnas_status pwconv_forward(void *stream, const segnas_tensor *x, const segnas_tensor *w, const segnas_tensor *bias, const segnas_tensor *y,
                             segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_result(*x, *y, [&](auto type, auto result) {
    using T = decltype(type);
    using Y = decltype(result);
    const ProductArgs<Plain<T>, float, StoreResult<Y>> args = {
        {matrix_of<T>(*x)}, {matrix_of(*w)}, {matrix_of<Y>(*y), bias ? f32(*bias) : nullptr}, pixels_of(*x), channels_of(*y), channels_of(*x), 0};
    return multiply<false>("pwconv_forward", s, args, err);
  }));
  return succeed(err);
}

segnas_status pwconv_backward_input(void *stream, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_result(*dx, *dy, [&](auto type, auto result) {
    using T = decltype(type);
    using Y = decltype(result);
    const ProductArgs<Plain<Y>, float, StoreResult<T>> args = {
        {matrix_of<Y>(*dy)}, {matrix_of(*w)}, {matrix_of<T>(*dx), nullptr}, pixels_of(*dx), channels_of(*dx), channels_of(*dy), 0};
    return multiply<true>("pwconv_backward_input", s, args, err);
  }));
  return succeed(err);
}

segnas_status pwconv_backward_weight(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dw,
                                     segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*x), cin = channels_of(*x), cout = channels_of(*dy);
  void *parts;
  SEGNAS_GPU_TRY(s->reserve(weight_part_bytes(weight_slabs(pixels, cin, cout), cin, cout), &parts, err));
  SEGNAS_GPU_TRY(with_result(*x, *dy, [&](auto type, auto result) {
    using T = decltype(type);
    using Y = decltype(result);
    return weight_gradient(s, Plain<T>{matrix_of<T>(*x)}, Plain<Y>{matrix_of<Y>(*dy)}, pixels, cin, cout, accumulate, rows_of(*dw), static_cast<float *>(parts), err);
  }));
  return succeed(err);
}

segnas_status pwconv_backward_bias(void *stream, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *db, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t channels = channels_of(*dy);
  const Columns columns = sum_columns(pixels_of(*dy), channels);
  void *slabs;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(columns.slabs * channels) * sizeof(double), &slabs, err));
  SEGNAS_GPU_TRY(with_activation(*dy, [&](auto type) {
    using T = decltype(type);
    return launch("pwconv_bias_slab", s->raw, err, columns.grid(column_sum_bytes<1>()), bias_slab<T>,
                  BiasArgs<T>{columns, matrix_of<T>(*dy), static_cast<double *>(slabs)});
  }));
  SEGNAS_GPU_TRY(launch("pwconv_bias_total", s->raw, err, warp_per_channel(channels), bias_total,
                        BiasTotalArgs{columns, static_cast<double *>(slabs), accumulate, f32(*db)}));
  return succeed(err);
}

}  // namespace segnas::gpu
