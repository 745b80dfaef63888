// Depthwise k x k forwards (forward.h), and the gradient of the input for stride 1, which is the same with the taps turned round. x is normalised on
// read and y measured on write where dwconv_norm_forward asks for it.
#include "forward.h"

#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

Pictures pictures_of(const segnas_tensor &x, const segnas_tensor &y) {
  return {x.shape[0], x.shape[1], x.shape[2], y.shape[1], y.shape[2], x.shape[3]};
}

template <class T>
DwconvForward<T> forward_of(const segnas_tensor &x, const segnas_tensor &w, const segnas_tensor &y) {
  DwconvForward<T> a = {};
  a.x = stored<T>(x), a.x_pitch = pitch_of(x), a.w = f32(w), a.w_pitch = pitch_of(w), a.y = stored<T>(y), a.y_pitch = pitch_of(y);
  return a;
}

}  // namespace

segnas_status dwconv_forward(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*x, [&](auto type) {
    auto a = forward_of<decltype(type)>(*x, *w, *y);
    return with_kernel_size(kernel_size(*w), stride, [&](auto k, auto step) {
      return run_forward<decltype(k)::value, decltype(step)::value, DwconvKind::kPlain>("dwconv_forward", s, a, pictures_of(*x, *y), nullptr, err);
    });
  });
}

segnas_status dwconv_norm_forward(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                  int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*x, [&](auto type) {
    auto a = forward_of<decltype(type)>(*x, *w, *y);
    a.norm = norm_of(x_norm, x_relu);
    return with_kernel_size(kernel_size(*w), stride, [&](auto k, auto step) {
      constexpr int K = decltype(k)::value, S = decltype(step)::value;
      if (quantises(x_norm)) return run_forward<K, S, DwconvKind::kQuantised>("dwconv_norm_forward", s, a, pictures_of(*x, *y), moments, err);
      return run_forward<K, S, DwconvKind::kNorm>("dwconv_norm_forward", s, a, pictures_of(*x, *y), moments, err);
    });
  });
}

segnas_status dwconv_turned(Stream *s, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx, segnas_error *err) {
  return with_activation(*dy, [&](auto type) {
    auto a = forward_of<decltype(type)>(*dy, *w, *dx);
    a.w += (w->shape[0] - 1) * a.w_pitch;
    a.w_pitch = -a.w_pitch;
    return with_kernel_size(kernel_size(*w), 1, [&](auto k, auto) {
      return run_forward<decltype(k)::value, 1, DwconvKind::kPlain>("dwconv_turned", s, a, pictures_of(*dy, *dx), nullptr, err);
    });
  });
}

}  // namespace segnas::gpu
