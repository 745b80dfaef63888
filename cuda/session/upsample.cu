// The fuse of the two branches: the resizing kernel of cuda/ops/upsample on the session's stored type.
#include "../ops/upsample/forward.h"
#include "step.h"

namespace segnas::gpu {

segnas_status session_upsample_add(Stream *s, const Image &x, const Image &a, int32_t relu, const Image &y, segnas_error *err) {
  return with_stored(x.stored, [&](auto type) {
    using T = decltype(type);
    ForwardArgs<T> args = {};
    args.x = {static_cast<const T *>(x.at), x.c}, args.a = {static_cast<const T *>(a.at), a.c}, args.y = {static_cast<T *>(y.at), y.c};
    args.rows = axis_of(x.h, y.h, 0), args.columns = axis_of(x.w, y.w, 0);
    args.relu = relu;
    return run_upsample("session_upsample_add", s, y.n, y.c, args, err);
  });
}

}  // namespace segnas::gpu
