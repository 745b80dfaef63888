// session_upsample_add: y = relu(a + bilinear (x)), by the kernels of ops/upsample; positions and weights come from the same integers. Memory is the
// floor: a and y once, 2 or 4 bytes an element each, and x: 128x256x128 halves from 32x64 are 17 MB, 5.2 us of an H100.
#include "step.h"

#include "../ops/upsample/resize.h"

namespace segnas::gpu {

segnas_status session_upsample_add(Stream *s, const Image &x, const Image &a, int32_t relu, const Image &y, segnas_error *err) {
  if (y.pixels() > 0) {
    SEGNAS_GPU_TRY(with_stored(y.stored, [&](auto stored) {
      using T = decltype(stored);
      const Resize<T> r = {static_cast<const T *>(x.at), x.c, static_cast<const T *>(a.at), y.c, static_cast<T *>(y.at), y.c, y.n, y.c,
                           axis_of(x.h, y.h, 0), axis_of(x.w, y.w, 0), relu};
      return resize<T>("session_upsample_add", s, r, err);
    }));
  }
  return succeed(err);
}

}  // namespace segnas::gpu
