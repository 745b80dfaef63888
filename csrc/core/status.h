// Filling a caller's segnas_error.
#pragma once
#include <cstdarg>

#include "../include/segnas/segnas.h"

namespace segnas {

// Writes status and text to *err when it is not NULL; returns status.
__attribute__((format(printf, 3, 4))) segnas_status fail(segnas_error *err, segnas_status status, const char *format, ...);
// SEGNAS_OK, with an empty text.
segnas_status succeed(segnas_error *err);

}  // namespace segnas

// Leaves the function when a check fails.
#define SEGNAS_TRY(expression)                                   \
  do {                                                           \
    segnas_status segnas_try_status = (expression);              \
    if (segnas_try_status != SEGNAS_OK) return segnas_try_status; \
  } while (0)
