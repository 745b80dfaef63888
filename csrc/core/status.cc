#include "status.h"

#include <cstdio>

namespace segnas {

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

}  // namespace segnas

extern "C" {

SEGNAS_API const char *segnas_status_name(segnas_status status) {
  switch (status) {
    case SEGNAS_OK: return "ok";
    case SEGNAS_INVALID_ARGUMENT: return "invalid argument";
    case SEGNAS_OUT_OF_MEMORY: return "out of memory";
    case SEGNAS_NO_KERNEL: return "no kernel";
    case SEGNAS_BUSY: return "busy";
    case SEGNAS_BACKEND_MISSING: return "backend missing";
    case SEGNAS_BACKEND_FAILED: return "backend failed";
    case SEGNAS_INTERNAL: return "internal error";
  }
  return "unknown status";
}

SEGNAS_API const char *segnas_version(void) { return "0.1.0"; }

SEGNAS_API size_t segnas_dtype_bytes(segnas_dtype dtype) {
  switch (dtype) {
    case SEGNAS_F32: return 4;
    case SEGNAS_U8: return 1;
    case SEGNAS_I64: return 8;
    case SEGNAS_F64: return 8;
    case SEGNAS_F16:
    case SEGNAS_BF16: return 2;
  }
  return 0;
}

}  // extern "C"
