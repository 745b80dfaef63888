/* A plug-in for the loader's tests: host memory, one operation, and one deliberate fault a build, chosen by macro.
 *   FAKE_NAME, FAKE_SUFFIX   what it calls itself
 *   FAKE_DEVICES             how many devices it has (default 1)
 *   FAKE_VERSION, FAKE_SIZE, FAKE_OPS_SIZE, FAKE_HASH   in place of the interface's own
 *   FAKE_REFUSES             returns no table
 *   FAKE_LACKS_OPEN          1 leaves device_open out
 */
#include <stdio.h>
#include <string.h>

#include "../../gobind/stamp.h"
#include "../include/segnas/backend.h"

#ifndef FAKE_SUFFIX
#define FAKE_SUFFIX ""
#endif
#ifndef FAKE_DEVICES
#define FAKE_DEVICES 1
#endif
#ifndef FAKE_VERSION
#define FAKE_VERSION SEGNAS_BACKEND_VERSION
#endif
#ifndef FAKE_SIZE
#define FAKE_SIZE sizeof(segnas_backend)
#endif
#ifndef FAKE_OPS_SIZE
#define FAKE_OPS_SIZE sizeof(segnas_backend_ops)
#endif
#ifndef FAKE_LACKS_OPEN
#define FAKE_LACKS_OPEN 0
#endif
#ifndef FAKE_HASH
#define FAKE_HASH SEGNAS_INTERFACE_HASH
#endif

static const segnas_host *host;

typedef struct fake_device {
  void *host_context;
} fake_device;

static int32_t device_count(char *text, size_t text_bytes) {
  snprintf(text, text_bytes, "%s", FAKE_DEVICES ? "" : "the fake driver sleeps");
  return FAKE_DEVICES;
}

static void device_describe(int32_t i, char *text, size_t text_bytes) { snprintf(text, text_bytes, "Fake %d", (int)i); }

static segnas_status device_open(int32_t i, void *host_context, void **device, segnas_error *err) {
  fake_device *made = (fake_device *)host->allocate(sizeof *made);
  (void)i;
  (void)err;
  if (!made) return SEGNAS_OUT_OF_MEMORY;
  made->host_context = host_context;
  *device = made;
  return SEGNAS_OK;
}

static void device_close(void *device) { host->release(device, sizeof(fake_device)); }

/* A stream is its device: nothing is enqueued. */
static segnas_status stream_create(void *device, void **stream, segnas_error *err) {
  (void)err;
  *stream = device;
  return SEGNAS_OK;
}

static void stream_destroy(void *stream) { (void)stream; }

static segnas_status stream_synchronize(void *stream, segnas_error *err) {
  (void)stream;
  (void)err;
  return SEGNAS_OK;
}

static size_t stream_scratch_bytes(void *stream) {
  (void)stream;
  return 0;
}

static segnas_status buffer_create(void *device, size_t bytes, void **memory, segnas_error *err) {
  (void)device;
  (void)err;
  *memory = host->allocate(bytes);
  return *memory ? SEGNAS_OK : SEGNAS_OUT_OF_MEMORY;
}

static void buffer_destroy(void *device, void *memory, size_t bytes) {
  (void)device;
  host->release(memory, bytes);
}

static segnas_status buffer_write(void *stream, void *memory, size_t offset_bytes, const void *source, size_t bytes, segnas_error *err) {
  (void)stream;
  (void)err;
  memcpy((char *)memory + offset_bytes, source, bytes);
  return SEGNAS_OK;
}

static segnas_status buffer_read(void *stream, void *memory, size_t offset_bytes, void *target, size_t bytes, segnas_error *err) {
  (void)stream;
  (void)err;
  memcpy(target, (const char *)memory + offset_bytes, bytes);
  return SEGNAS_OK;
}

typedef struct fill_argument {
  float *row;
  int64_t stride;
  int64_t columns;
  float value;
} fill_argument;

static void fill_row(void *argument, int64_t i) {
  const fill_argument *a = (const fill_argument *)argument;
  int64_t column;
  for (column = 0; column < a->columns; column++) a->row[i * a->stride + column] = a->value;
}

/* Matrices only, a piece a row. */
static segnas_status fill(void *stream, const segnas_tensor *x, float value, segnas_error *err) {
  fill_argument argument;
  (void)err;
  if (x->rank != 2) return SEGNAS_NO_KERNEL;
  argument.row = (float *)segnas_buffer_memory(x) + x->offset;
  argument.stride = x->stride[0];
  argument.columns = x->shape[1];
  argument.value = value;
  host->parallel_for(((fake_device *)stream)->host_context, x->shape[0], fill_row, &argument);
  return SEGNAS_OK;
}

static segnas_backend table;

SEGNAS_API const segnas_backend *segnas_backend_open(const segnas_host *lent, char *text, size_t text_bytes);

const segnas_backend *segnas_backend_open(const segnas_host *lent, char *text, size_t text_bytes) {
  if (lent->size != sizeof *lent || lent->version != SEGNAS_BACKEND_VERSION || lent->interface_hash != SEGNAS_INTERFACE_HASH) {
    snprintf(text, text_bytes, "this libsegnas has another interface");
    return NULL;
  }
#ifdef FAKE_REFUSES
  snprintf(text, text_bytes, "the fake driver is too old");
  return NULL;
#endif
  host = lent;
  host->log("fake plug-in opened");
  table.size = FAKE_SIZE;
  table.version = FAKE_VERSION;
  table.interface_hash = FAKE_HASH;
  table.name = FAKE_NAME FAKE_SUFFIX;
  table.device_count = device_count;
  table.device_describe = device_describe;
  table.device_open = FAKE_LACKS_OPEN ? NULL : device_open;
  table.device_close = device_close;
  table.stream_create = stream_create;
  table.stream_destroy = stream_destroy;
  table.stream_synchronize = stream_synchronize;
  table.stream_scratch_bytes = stream_scratch_bytes;
  table.buffer_create = buffer_create;
  table.buffer_destroy = buffer_destroy;
  table.buffer_write = buffer_write;
  table.buffer_read = buffer_read;
  table.ops.size = FAKE_OPS_SIZE;
  table.ops.fill = fill;
  return &table;
}
