// A deployed depthwise layer: the kernel of cuda/ops/dwconv on the session's stored type, from the bias on.
#include "../ops/dwconv/forward.h"
#include "step.h"

namespace segnas::gpu {

segnas_status session_depthwise(Stream *s, const Convolution &l, const Image &x, const Image &y, segnas_error *err) {
  return with_stored(x.stored, [&](auto type) {
    using T = decltype(type);
    DwconvForward<T> a = {};
    a.x = static_cast<const T *>(x.at), a.x_pitch = x.c;
    a.w = static_cast<const float *>(l.weights), a.w_pitch = l.channels;
    a.y = static_cast<T *>(y.at), a.y_pitch = y.c;
    a.bias = l.bias, a.relu = l.relu;
    return with_kernel_size(l.kernel, l.stride, [&](auto k, auto step) {
      return run_forward<decltype(k)::value, decltype(step)::value, DwconvKind::kBiased>("session_depthwise", s, a, {x.n, x.h, x.w, y.h, y.w, x.c}, nullptr, err);
    });
  });
}

}  // namespace segnas::gpu
