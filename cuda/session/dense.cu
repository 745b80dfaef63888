// A deployed dense 3x3 layer: the kernel of cuda/ops/conv3x3 from the bias on. It reads the picture as it comes, float32 or bytes, and rounds it to the
// stored type on the way into shared memory. For readers in integers y is rounded to bytes as it is written.
#include "../ops/conv3x3/forward.h"
#include "integers.h"

namespace segnas::gpu {
namespace {

template <class T>
struct Floats {
  const float *at;
  SEGNAS_DEVICE float operator()(int64_t i, int) const { return rounded_to<T>(at[i]); }
};

template <class T>
struct Bytes {
  const uint8_t *at;
  const float *scale, *shift;
  SEGNAS_DEVICE float operator()(int64_t i, int c) const { return rounded_to<T>(static_cast<float>(at[i]) * scale[c] + shift[c]); }
};

// y_pitch: elements from pixel to pixel.
template <class T, class Source>
segnas_status run(Stream *s, const Convolution &l, const Source &x, int64_t x_h, int64_t x_w, const Image &y, int64_t y_pitch, const Rounding &rounding,
                  segnas_error *err) {
  const Conv3x3Shape shape = {y.n, static_cast<int>(y.h), static_cast<int>(y.w), static_cast<int>(x_h), static_cast<int>(x_w), static_cast<int>(l.cin),
                              static_cast<int>(l.channels)};
  T *out = static_cast<T *>(y.at);
  const Conv3x3Forward<Source, T> a = {x, l.cin, static_cast<const float *>(l.weights), l.channels, out, y_pitch, l.channels % 4 == 0 && packs<4>(out, y_pitch), nullptr,
                                       l.bias, l.relu, conv3x3_tiling(shape, kForwardRows), rounding};
  return l.stride == 1 ? run_tiles<1>("session_dense", s, a, err) : run_tiles<2>("session_dense", s, a, err);
}

}  // namespace

segnas_status session_dense(Stream *s, const Convolution &l, const PictureInput &x, int64_t x_h, int64_t x_w, const Rounding *rounding, const Image &y,
                            segnas_error *err) {
  auto from = [&](auto type, int64_t pitch) {
    using T = decltype(type);
    const Rounding r = rounding ? *rounding : Rounding{};
    return x.bytes ? run<T>(s, l, Bytes<T>{x.bytes, x.scale, x.shift}, x_h, x_w, y, pitch, r, err) : run<T>(s, l, Floats<T>{x.floats}, x_h, x_w, y, pitch, r, err);
  };
  if (rounding) return from(uint8_t(), stored_bytes(y.c));
  return with_stored(y.stored, [&](auto type) { return from(type, y.c); });
}

}  // namespace segnas::gpu
