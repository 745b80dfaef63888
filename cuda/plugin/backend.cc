// The plug-in's table: devices, streams, buffers, operations, and the one function that hands it out. Nothing thrown in here crosses the
// border: what can throw is an operation, and every operation is called through Entry.
#include <cstdio>
#include <cstring>
#include <new>

#include "../../gobind/stamp.h"
#include "../session/session.h"
#include "op.h"
#include "ops.h"

#if defined(SEGNAS_SIM)
#define SEGNAS_GPU_BACKEND_NAME "sim"
#else
#define SEGNAS_GPU_BACKEND_NAME "cuda"
#endif

namespace segnas::gpu {
namespace {

// ---------------------------------------------------------------- devices

void device_describe(int32_t i, char *text, size_t text_bytes) {
  if (text_bytes == 0) return;
  DeviceFacts facts;
  segnas_error err;
  if (device_facts(i, &facts, &err) != SEGNAS_OK) {
    snprintf(text, text_bytes, "%s", err.text);
    return;
  }
  snprintf(text, text_bytes, "%s, compute capability %d.%d, %d multiprocessors, %.1f GiB%s%s", facts.name, facts.major, facts.minor,
           facts.multiprocessors, static_cast<double>(facts.memory_bytes) / (1024.0 * 1024.0 * 1024.0), facts.uuid[0] ? ", " : "", facts.uuid);
}

segnas_status device_open(int32_t i, void *host_context, void **device, segnas_error *err) {
  DeviceFacts facts;
  SEGNAS_GPU_TRY(device_facts(i, &facts, err));
  SEGNAS_GPU_TRY(set_device(i, err));
  Device *made = new (std::nothrow) Device{i, host_context, facts};
  if (!made) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s:%d: no memory to open it", SEGNAS_GPU_BACKEND_NAME, i);
  *device = made;
  return succeed(err);
}

void device_close(void *device) { delete static_cast<Device *>(device); }

// ---------------------------------------------------------------- streams

segnas_status open_stream(void *device, void **stream, segnas_error *err) {
  Device *d = static_cast<Device *>(device);
  SEGNAS_GPU_TRY(set_device(d->index, err));
  Stream *made = new (std::nothrow) Stream{d, nullptr, nullptr, 0};
  if (!made) return fail(err, SEGNAS_OUT_OF_MEMORY, "no memory for a stream");
  if (segnas_status status = stream_create(&made->raw, err); status != SEGNAS_OK) {
    delete made;
    return status;
  }
  *stream = made;
  return succeed(err);
}

// Waits first: what is enqueued may use the scratch.
void close_stream(void *stream) {
  Stream *s;
  if (Stream::enter(stream, &s, nullptr) == SEGNAS_OK) {
    stream_synchronize(s->raw, nullptr);
    if (s->scratch) release(s->scratch);
    stream_destroy(s->raw);
  }
  delete static_cast<Stream *>(stream);
}

segnas_status synchronize(void *stream, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(stream_synchronize(s->raw, err));
  return succeed(err);
}

size_t scratch_bytes(void *stream) { return static_cast<Stream *>(stream)->scratch_bytes; }

// ---------------------------------------------------------------- buffers

// Streams do not wait for one another, so the zeros are there before anyone gets the memory.
segnas_status buffer_create(void *device, size_t bytes, void **memory, segnas_error *err) {
  SEGNAS_GPU_TRY(set_device(static_cast<Device *>(device)->index, err));
  void *made = nullptr;
  SEGNAS_GPU_TRY(allocate(bytes, &made, err));
  segnas_status status = bytes > 0 ? fill_bytes(nullptr, made, 0, bytes, err) : SEGNAS_OK;
  if (status == SEGNAS_OK) status = stream_synchronize(nullptr, err);
  if (status != SEGNAS_OK) {
    if (made) release(made);
    return status;
  }
  *memory = made;
  return succeed(err);
}

void buffer_destroy(void *device, void *memory, size_t) {
  if (memory && set_device(static_cast<Device *>(device)->index, nullptr) == SEGNAS_OK) release(memory);
}

segnas_status buffer_write(void *stream, void *memory, size_t offset_bytes, const void *source, size_t bytes, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  if (bytes > 0) SEGNAS_GPU_TRY(copy_to_device(s->raw, static_cast<char *>(memory) + offset_bytes, source, bytes, err));
  return succeed(err);
}

segnas_status buffer_read(void *stream, void *memory, size_t offset_bytes, void *target, size_t bytes, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  if (bytes > 0) SEGNAS_GPU_TRY(copy_to_host(s->raw, target, static_cast<const char *>(memory) + offset_bytes, bytes, err));
  return succeed(err);
}

// ---------------------------------------------------------------- operations and sessions

inline segnas_error *last(segnas_error *err) { return err; }
template <class First, class... Rest>
segnas_error *last(First, Rest... rest) {
  return last(rest...);
}

template <auto kOperation>
struct Entry;
template <class... Args, segnas_status (*kOperation)(void *, Args...)>
struct Entry<kOperation> {
  static segnas_status call(void *first, Args... args) {
    try {
      return kOperation(first, args...);
    } catch (const std::bad_alloc &) {
      return fail(last(args...), SEGNAS_OUT_OF_MEMORY, "no memory on the host");
    } catch (...) {
      return fail(last(args...), SEGNAS_INTERNAL, "an exception that nobody caught");
    }
  }
};

// The table begins with its size, padded to a pointer; the rest are operations, and ops.h names all of them.
#define SEGNAS_GPU_COUNT(name) +1
static_assert(sizeof(segnas_backend_ops) == sizeof(void *) * (1 SEGNAS_GPU_OPERATIONS(SEGNAS_GPU_COUNT)), "ops.h should name every operation of backend.h");
#undef SEGNAS_GPU_COUNT

segnas_backend make_table() {
  segnas_backend table = {};
  table.size = sizeof table;
  table.version = SEGNAS_BACKEND_VERSION;
  table.interface_hash = SEGNAS_INTERFACE_HASH;
  table.name = SEGNAS_GPU_BACKEND_NAME;
  table.device_count = device_count;
  table.device_describe = device_describe;
  table.device_open = device_open;
  table.device_close = device_close;
  table.stream_create = open_stream;
  table.stream_destroy = close_stream;
  table.stream_synchronize = synchronize;
  table.stream_scratch_bytes = scratch_bytes;
  table.buffer_create = buffer_create;
  table.buffer_destroy = buffer_destroy;
  table.buffer_write = buffer_write;
  table.buffer_read = buffer_read;
  table.device_precision = device_precision;
  table.session_create = Entry<&session_create>::call;
  table.session_destroy = session_destroy;
  table.session_run = Entry<&session_run>::call;
  table.ops.size = sizeof table.ops;
#define SEGNAS_GPU_ENTER_INTO_TABLE(name) table.ops.name = Entry<&gpu::name>::call;
  SEGNAS_GPU_OPERATIONS(SEGNAS_GPU_ENTER_INTO_TABLE)
#undef SEGNAS_GPU_ENTER_INTO_TABLE
  return table;
}

// ---------------------------------------------------------------- handshake

// Version first: what lies behind it in the host's table means something only when that agrees.
bool fits(const segnas_host *host, char *text, size_t text_bytes) {
  if (!host) {
    snprintf(text, text_bytes, "the host lends nothing");
  } else if (host->version != SEGNAS_BACKEND_VERSION) {
    snprintf(text, text_bytes, "the host speaks interface version %u, this plug-in version %u", host->version, SEGNAS_BACKEND_VERSION);
  } else if (host->size != sizeof *host) {
    snprintf(text, text_bytes, "the host's table has %u bytes, should be %zu", host->size, sizeof *host);
  } else if (host->interface_hash != SEGNAS_INTERFACE_HASH) {
    snprintf(text, text_bytes, "the host was built with interface %016llx, this plug-in with %016llx; build both from one version",
             static_cast<unsigned long long>(host->interface_hash), static_cast<unsigned long long>(SEGNAS_INTERFACE_HASH));
  } else {
    return true;
  }
  return false;
}

}  // namespace
}  // namespace segnas::gpu

extern "C" SEGNAS_API const segnas_backend *segnas_backend_open(const segnas_host *host, char *text, size_t text_bytes) {
  static const segnas_backend table = segnas::gpu::make_table();
  return segnas::gpu::fits(host, text, text_bytes) ? &table : nullptr;
}
