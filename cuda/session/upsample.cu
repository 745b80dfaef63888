// session_upsample_add: y = relu(a + bilinear (x)), and session_upsample without the a, by the kernels of ops/upsample; positions and weights come from the same integers. Memory is the
// floor: a and y once, 2 or 4 bytes an element each, and x: 128x256x128 halves from 32x64 are 17 MB, 5.2 us of an H100.
#include "apart.h"

#include "../ops/upsample/resize.h"

namespace segnas::gpu {

namespace {

// a: y's shape, or NULL.
segnas_status upsampled(const char *name, Stream *s, const Image &x, const void *a, int32_t relu, const Image &y, segnas_error *err) {
  if (y.pixels() > 0) {
    SEGNAS_GPU_TRY(with_stored(y.stored, [&](auto stored) {
      using T = decltype(stored);
      const Resize<T> r = {static_cast<const T *>(x.at), x.c, static_cast<const T *>(a), y.c, static_cast<T *>(y.at), y.c, y.n, y.c,
                           axis_of(x.h, y.h, 0), axis_of(x.w, y.w, 0), relu};
      return resize<T>(name, s, r, err);
    }));
  }
  return succeed(err);
}

}  // namespace

segnas_status session_upsample_add(Stream *s, const Image &x, const Image &a, int32_t relu, const Image &y, segnas_error *err) {
  return upsampled("session_upsample_add", s, x, a.at, relu, y, err);
}

segnas_status session_upsample(Stream *s, const Image &x, int32_t relu, const Image &y, segnas_error *err) {
  return upsampled("session_upsample", s, x, nullptr, relu, y, err);
}

}  // namespace segnas::gpu
