// Errors, and what an operation asks of its stream.
#include <cstdarg>
#include <cstdio>

#include "op.h"

namespace segnas::gpu {

segnas_status fail(segnas_error *err, segnas_status status, const char *format, ...) {
  if (err) {
    err->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
  }
  return status;
}

segnas_status succeed(segnas_error *err) {
  if (err) {
    err->status = SEGNAS_OK;
    err->text[0] = 0;
  }
  return SEGNAS_OK;
}

segnas_status Stream::enter(void *stream, Stream **entered, segnas_error *err) {
  Stream *s = static_cast<Stream *>(stream);
  SEGNAS_GPU_TRY(set_device(s->device->index, err));
  *entered = s;
  return SEGNAS_OK;
}

// sim allocates anew on every call, exactly as much as was asked for, and fills it with NaN: the address sanitizer then sees an overrun, and a
// kernel that relies on what an earlier call left behind computes NaN. On a device the memory is kept.
segnas_status Stream::reserve(size_t bytes, void **memory, segnas_error *err) {
#if defined(SEGNAS_SIM)
  constexpr bool kAnew = true;
#else
  constexpr bool kAnew = false;
#endif
  if (kAnew || bytes > scratch_bytes) {
    // What was enqueued may still use the old memory. It goes first, so that both are never there at once.
    SEGNAS_GPU_TRY(stream_synchronize(raw, err));
    if (scratch) release(scratch);
    scratch = nullptr;
    scratch_bytes = 0;
    SEGNAS_GPU_TRY(allocate(bytes, &scratch, err));
    scratch_bytes = bytes;
    if (kAnew && bytes > 0) SEGNAS_GPU_TRY(fill_bytes(raw, scratch, 0xff, bytes, err));
  }
  *memory = scratch;
  return SEGNAS_OK;
}

}  // namespace segnas::gpu
