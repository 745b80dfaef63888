// Between float32 and a half type, `count` numbers one after another; both sides 256-byte aligned.
#pragma once
#include "step.h"

namespace segnas::gpu {

segnas_status session_to_stored(Stream *s, const float *from, Stored stored, void *to, int64_t count, segnas_error *err);
segnas_status session_to_floats(Stream *s, const void *from, Stored stored, float *to, int64_t count, segnas_error *err);

}  // namespace segnas::gpu
