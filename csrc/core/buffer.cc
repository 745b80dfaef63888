#include <cstring>
#include <new>

#include "context.h"

using namespace segnas;

// Plug-ins find a buffer's memory through the head that backend.h fixes.
static_assert(offsetof(segnas_buffer, context) == offsetof(segnas_buffer_head, context));
static_assert(offsetof(segnas_buffer, memory) == offsetof(segnas_buffer_head, memory));
static_assert(offsetof(segnas_buffer, bytes) == offsetof(segnas_buffer_head, bytes));

namespace {
segnas_status check_range(const char *op, const segnas_stream *stream, const segnas_buffer *buffer, size_t offset, const void *host, size_t bytes,
                          segnas_error *err) {
  if (!buffer || (!host && bytes)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: buffer or host memory is NULL", op);
  if (buffer->context != stream->context) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: the buffer belongs to another context", op);
  if (offset > buffer->bytes || bytes > buffer->bytes - offset)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: bytes %zu to %zu of a buffer of %zu", op, offset, offset + bytes, buffer->bytes);
  return SEGNAS_OK;
}
}  // namespace

extern "C" {

SEGNAS_API segnas_status segnas_buffer_create(segnas_context *context, size_t bytes, segnas_buffer **buffer, segnas_error *err) {
  if (!context || !buffer) return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_buffer_create: context or buffer is NULL");
  *buffer = nullptr;
  void *handle = allocate_zeroed(sizeof(segnas_buffer));
  if (!handle) return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_buffer_create: no memory");
  segnas_buffer *made = new (handle) segnas_buffer{context, nullptr, bytes};
  segnas_status status = SEGNAS_OK;
  if (context->backend) {
    status = context->backend->buffer_create(context->backend_device, bytes, &made->memory, err);
  } else {
    made->memory = allocate_zeroed(bytes);
    if (!made->memory) status = fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_buffer_create: no memory for %zu bytes", bytes);
  }
  if (status != SEGNAS_OK) {
    release(handle, sizeof(segnas_buffer));
    return status;
  }
  *buffer = made;
  return succeed(err);
}

SEGNAS_API void segnas_buffer_destroy(segnas_buffer *buffer) {
  if (!buffer) return;
  if (buffer->context->backend) {
    buffer->context->backend->buffer_destroy(buffer->context->backend_device, buffer->memory, buffer->bytes);
  } else {
    release(buffer->memory, buffer->bytes);
  }
  release(buffer, sizeof *buffer);
}

SEGNAS_API size_t segnas_buffer_bytes(const segnas_buffer *buffer) { return buffer ? buffer->bytes : 0; }

SEGNAS_API void *segnas_buffer_host(segnas_buffer *buffer) { return buffer && !buffer->context->backend ? buffer->memory : nullptr; }

SEGNAS_API segnas_status segnas_buffer_write(segnas_stream *stream, segnas_buffer *buffer, size_t offset_bytes, const void *source, size_t bytes,
                                             segnas_error *err) {
  SEGNAS_ENTER(stream, err);
  SEGNAS_TRY(check_range(__func__, stream, buffer, offset_bytes, source, bytes, err));
  if (stream->context->backend)
    return stream->context->backend->buffer_write(stream->backend_stream, buffer->memory, offset_bytes, source, bytes, err);
  if (bytes) memcpy(static_cast<char *>(buffer->memory) + offset_bytes, source, bytes);
  return succeed(err);
}

SEGNAS_API segnas_status segnas_buffer_read(segnas_stream *stream, segnas_buffer *buffer, size_t offset_bytes, void *target, size_t bytes,
                                            segnas_error *err) {
  SEGNAS_ENTER(stream, err);
  SEGNAS_TRY(check_range(__func__, stream, buffer, offset_bytes, target, bytes, err));
  if (stream->context->backend)
    return stream->context->backend->buffer_read(stream->backend_stream, buffer->memory, offset_bytes, target, bytes, err);
  if (bytes) memcpy(target, static_cast<const char *>(buffer->memory) + offset_bytes, bytes);
  return succeed(err);
}

}  // extern "C"
