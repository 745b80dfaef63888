// Pointwise convolutions between normalised activations (segnas.h, "training with batch norm in passing"). The products of pwconv.cu: x becomes its
// activation and da the raw result's gradient on the way into shared memory; moments and sums are taken from the tile that is stored, while it is
// in registers. So forward moves 4 P (Cin + Cout) bytes as without a norm; backward reads y and da twice and x three times (for dx's sums, where
// they are wanted, and for dw) and writes dx: 4 P (3 Cin + 4 Cout), against 4 P (6 Cin + 7 Cout) of separate layers.
// The two products of the backward pass are kernels of their own: dx sums over Cout and dw over the pixels, so a block that made both would keep a
// whole partial dw, up to 384 x 64 sums (96 KB of registers), beside its tile of dx, and leave as many of them as there are tiles.
#include "../../plugin/ops.h"
#include "product.h"
#include "weight.h"

namespace segnas::gpu {

segnas_status pwconv_norm_forward(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                  const segnas_tensor *bias, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*x), cin = channels_of(*x), cout = channels_of(*y), tiles = pixel_tiles(pixels, cout);
  void *parts = nullptr;
  if (moments) SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(tiles * cout) * sizeof(MomentPart), &parts, err));
  SEGNAS_GPU_TRY(with_result(*x, *y, [&](auto type, auto result) {
    using T = decltype(type);
    using Y = decltype(result);
    return with_quantised(quantises(x_norm), [&](auto quantised) {
      const ProductArgs<Activated<T, decltype(quantised)::value>, float, StoreMoments<Y>> args = {
          {matrix_of<T>(*x), quad_norms_of(x_norm, x_relu)},
          {matrix_of(*w)},
          {matrix_of<Y>(*y), bias ? f32(*bias) : nullptr, static_cast<MomentPart *>(parts), cout},
          pixels, cout, cin, 0};
      return multiply<false>("pwconv_norm_forward", s, args, err);
    });
  }));
  if (moments) SEGNAS_GPU_TRY(finish_moments(s, static_cast<const MomentPart *>(parts), tiles, cout, *moments, err));
  return succeed(err);
}

segnas_status pwconv_norm_backward(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                   const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate,
                                   const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*x), cin = channels_of(*x), cout = channels_of(*da), tiles = pixel_tiles(pixels, cin);
  // The sums' parts come first: they are doubles, and whole pairs of them keep the floats on 16 bytes.
  const bool either_quantises = quantises(x_norm) || quantises(y_norm);
  const size_t part_bytes = either_quantises ? sizeof(ClipPart) : sizeof(GradientPart);
  const size_t sum_bytes = sums ? static_cast<size_t>(ceil_div<int64_t>(tiles * cin, 2) * 2) * part_bytes : 0;
  void *memory;
  SEGNAS_GPU_TRY(s->reserve(sum_bytes + weight_part_bytes(weight_slabs(pixels, cin, cout), cin, cout), &memory, err));
  float *weight_parts = reinterpret_cast<float *>(static_cast<char *>(memory) + sum_bytes);

  SEGNAS_GPU_TRY(with_result(*x, *da, [&](auto type, auto result) {
    using T = decltype(type);
    using Y = decltype(result);
    return with_quantised(either_quantises, [&](auto quantised) {
      constexpr bool kQuantised = decltype(quantised)::value;
      const Activated<T, kQuantised> input = {matrix_of<T>(*x), quad_norms_of(x_norm, x_relu)};
      const Differentiated<Y, kQuantised> gradient = {matrix_of<Y>(y), matrix_of<Y>(*da), quad_norms_of(y_norm, y_relu)};
      if (dx) {
        auto *sum_parts = sums ? static_cast<PartOf<kQuantised> *>(memory) : nullptr;
        const ProductArgs<Differentiated<Y, kQuantised>, float, StoreGradientSums<T, kQuantised>> args = {
            gradient, {matrix_of(*w)}, {matrix_of<T>(*dx), nullptr, sum_parts, input.x, input.norm, cin}, pixels, cin, cout, 0};
        SEGNAS_GPU_TRY(multiply<true>("pwconv_norm_backward", s, args, err));
        if (sums) SEGNAS_GPU_TRY(finish_gradient_sums(s, sum_parts, tiles, cin, *sums, err));
      }
      return weight_gradient(s, input, gradient, pixels, cin, cout, accumulate, rows_of(*dw), weight_parts, err);
    });
  }));
  return succeed(err);
}

}  // namespace segnas::gpu
