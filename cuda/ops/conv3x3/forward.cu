// The stem's convolution forwards (forward.h), with y's moments taken on write for conv3x3_norm_forward.
#include "forward.h"

#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

// The picture is float32, and the weights are not rounded, whatever y is stored as.
template <class T>
segnas_status forward(Stream *s, const segnas_tensor &x, const segnas_tensor &w, int32_t stride, const segnas_tensor &y, const segnas_tensor *moments,
                      segnas_error *err) {
  Conv3x3Forward<AsStored<float>, T> a = {{f32(x)}, pitch_of(x), f32(w), pitch_of(w), stored<T>(y), pitch_of(y), false, nullptr, nullptr, 0,
                                          conv3x3_tiling(conv3x3_shape(x, y), kForwardRows)};
  a.vector = a.tiling.cout % 4 == 0 && packs<4>(a.y, a.y_pitch);
  if (moments) {
    void *memory;
    SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(a.tiling.tiles() * a.tiling.cout) * sizeof(MomentPart), &memory, err));
    a.parts = static_cast<MomentPart *>(memory);
  }
  SEGNAS_GPU_TRY(stride == 1 ? run_tiles<1>("conv3x3_forward", s, a, err) : run_tiles<2>("conv3x3_forward", s, a, err));
  if (moments) SEGNAS_GPU_TRY(finish_moments(s, a.parts, a.tiling.tiles(), a.tiling.cout, *moments, err));
  return succeed(err);
}

}  // namespace

segnas_status conv3x3_forward(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return forward<float>(s, *x, *w, stride, *y, nullptr, err);
}

segnas_status conv3x3_norm_forward(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y,
                                   const segnas_tensor *moments, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*y, [&](auto type) { return forward<decltype(type)>(s, *x, *w, stride, *y, moments, err); });
}

}  // namespace segnas::gpu
