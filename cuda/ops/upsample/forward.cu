// upsample_forward and upsample_add_forward.
#include "../../plugin/ops.h"
#include "forward.h"

namespace segnas::gpu {
namespace {

template <class T>
Pixels<T> pixels_at(const segnas_tensor *t) {
  if (!t) return {};
  const Rows rows = rows_of(*t);
  return {rows.at, rows.pitch};
}

// addend NULL: none.
segnas_status forward(const char *name, void *stream, const segnas_tensor *x, const segnas_tensor *addend, int32_t mode, const segnas_tensor *y,
                      segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int32_t nearest = mode == SEGNAS_NEAREST;
  ForwardArgs<float> a = {};
  a.x = pixels_at<const float>(x), a.a = pixels_at<const float>(addend), a.y = pixels_at<float>(y);
  a.rows = axis_of(x->shape[1], y->shape[1], nearest), a.columns = axis_of(x->shape[2], y->shape[2], nearest);
  SEGNAS_GPU_TRY(run_upsample(name, s, y->shape[0], channels_of(*x), a, err));
  return succeed(err);
}

}  // namespace

segnas_status upsample_forward(void *stream, const segnas_tensor *x, int32_t mode, const segnas_tensor *y, segnas_error *err) {
  return forward("upsample_forward", stream, x, nullptr, mode, y, err);
}

segnas_status upsample_add_forward(void *stream, const segnas_tensor *x, const segnas_tensor *a, int32_t mode, const segnas_tensor *y, segnas_error *err) {
  return forward("upsample_add_forward", stream, x, a, mode, y, err);
}

}  // namespace segnas::gpu
