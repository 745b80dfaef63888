#include "context.h"

#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#include "plugin.h"

namespace segnas {
namespace {

constexpr uint32_t kMostThreads = 256;

uint32_t available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count < 1 ? 1 : static_cast<uint32_t>(count);
}

void list_isas(char *text, size_t bytes) {
  if (bytes == 0) return;
  text[0] = 0;
  for (int i = 0; i < kIsaCount; i++) {
    Isa isa = static_cast<Isa>(i);
    if (!kernels_of(isa) || !isa_runs(isa)) continue;
    size_t used = strlen(text);
    snprintf(text + used, bytes - used, "%s%s", used ? " " : "", isa_name(isa));
  }
}

// The named set, or the best that runs.
segnas_status choose_kernels(const char *wanted, const Kernels **kernels, segnas_error *err) {
  const Kernels *best = nullptr;
  for (int i = 0; i < kIsaCount; i++) {
    Isa isa = static_cast<Isa>(i);
    if (!kernels_of(isa) || !isa_runs(isa)) continue;
    best = kernels_of(isa);
    if (wanted && strcmp(wanted, isa_name(isa)) == 0) {
      *kernels = best;
      return SEGNAS_OK;
    }
  }
  if (wanted) {
    char available[64];
    list_isas(available, sizeof available);
    return fail(err, SEGNAS_INVALID_ARGUMENT, "instruction set \"%s\" is not to be had here; there is: %s", wanted, available);
  }
  *kernels = best;
  return SEGNAS_OK;
}

segnas_status choose_threads(uint32_t wanted, uint32_t *threads, segnas_error *err) {
  const char *text = wanted == 0 ? getenv("SEGNAS_THREADS") : nullptr;
  if (text && *text) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > kMostThreads)
      return fail(err, SEGNAS_INVALID_ARGUMENT, "SEGNAS_THREADS is \"%s\", should be 1 to %u", text, kMostThreads);
    wanted = static_cast<uint32_t>(value);
  }
  if (wanted == 0) wanted = available_processors();
  if (wanted > kMostThreads) return fail(err, SEGNAS_INVALID_ARGUMENT, "%u threads asked for, should be at most %u", wanted, kMostThreads);
  *threads = wanted;
  return SEGNAS_OK;
}

// "cuda:1" -> backend "cuda", index 1.
segnas_status open_device(segnas_context *context, const char *device, const char *plugin_dir, segnas_error *err) {
  char name[32];
  int index = 0;
  const char *colon = strchr(device, ':');
  size_t length = colon ? static_cast<size_t>(colon - device) : strlen(device);
  char *end = nullptr;
  if (colon) index = static_cast<int>(strtol(colon + 1, &end, 10));
  if (length == 0 || length >= sizeof name || (colon && (end == colon + 1 || *end || index < 0)))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "device \"%s\" should be cpu or NAME:NUMBER, such as cuda:0", device);
  memcpy(name, device, length);
  name[length] = 0;
  char text[220];
  const segnas_backend *backend = load_backend(name, plugin_dir, text, sizeof text);
  if (!backend) return fail(err, SEGNAS_BACKEND_MISSING, "%s", text);
  int32_t count = backend->device_count(text, sizeof text);
  if (count < 1) return fail(err, SEGNAS_BACKEND_MISSING, "%s: no device: %s", name, text);
  if (index >= count) return fail(err, SEGNAS_BACKEND_MISSING, "%s:%d is not there; there are %d devices, counted from 0", name, index, count);
  SEGNAS_TRY(backend->device_open(index, context, &context->backend_device, err));
  context->backend = backend;
  backend->device_describe(index, context->device_name, sizeof context->device_name);
  return SEGNAS_OK;
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_context_create(const segnas_context_options *options, segnas_context **context, segnas_error *err) {
  if (!context) return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_context_create: context is NULL");
  *context = nullptr;
  segnas_context_options given = {};
  if (options) {
    if (options->size != sizeof given)
      return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_context_create: options.size is %u, should be %zu", options->size, sizeof given);
    given = *options;
  }
  const char *isa = given.isa ? given.isa : getenv("SEGNAS_ISA");
  const Kernels *kernels = nullptr;
  uint32_t threads = 0;
  SEGNAS_TRY(choose_kernels(isa && *isa ? isa : nullptr, &kernels, err));
  SEGNAS_TRY(choose_threads(given.threads, &threads, err));
  void *memory = allocate_zeroed(sizeof(segnas_context));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_context_create: no memory");
  std::unique_ptr<segnas_context, void (*)(segnas_context *)> made(new (memory) segnas_context, segnas_context_destroy);
  made->kernels = kernels;
  try {
    made->pool = std::make_unique<ThreadPool>(static_cast<int>(threads));
  } catch (const std::bad_alloc &) {
    return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_context_create: no memory for %u threads", threads);
  } catch (const std::system_error &e) {
    return fail(err, SEGNAS_INTERNAL, "segnas_context_create: %u threads cannot be started: %s", threads, e.what());
  }
  if (given.device && *given.device && strcmp(given.device, "cpu") != 0)
    SEGNAS_TRY(open_device(made.get(), given.device, given.plugin_dir, err));
  *context = made.release();
  return succeed(err);
}

SEGNAS_API void segnas_context_destroy(segnas_context *context) {
  if (!context) return;
  if (context->backend) context->backend->device_close(context->backend_device);
  context->~segnas_context();
  release(context, sizeof *context);
}

SEGNAS_API uint32_t segnas_context_threads(const segnas_context *context) { return static_cast<uint32_t>(context->pool->threads()); }
SEGNAS_API const char *segnas_context_isa(const segnas_context *context) { return isa_name(context->kernels->isa); }
SEGNAS_API int32_t segnas_context_precision(const segnas_context *context, int32_t precision) {
  if (const segnas_backend *backend = context->backend) return backend->device_precision ? backend->device_precision(context->backend_device, precision) : 0;
  return precision == SEGNAS_PRECISION_F32 || precision == SEGNAS_PRECISION_INT8 || (precision == SEGNAS_PRECISION_BF16 && bf16_kernels_of(*context->kernels)) ? 1 : 0;
}
SEGNAS_API const char *segnas_context_device(const segnas_context *context) { return context->device_name; }
SEGNAS_API void segnas_available_isas(char *text, size_t text_bytes) { list_isas(text, text_bytes); }

SEGNAS_API void segnas_describe_backends(const char *plugin_dir, char *text, size_t text_bytes) {
  if (text_bytes == 0) return;
  char isas[64];
  list_isas(isas, sizeof isas);
  int used = snprintf(text, text_bytes, "cpu: %u processors, %s\n", available_processors(), isas);
  if (used > 0 && static_cast<size_t>(used) < text_bytes) describe_backend("cuda", plugin_dir, text + used, text_bytes - static_cast<size_t>(used));
}

SEGNAS_API segnas_status segnas_stream_create(segnas_context *context, segnas_stream **stream, segnas_error *err) {
  if (!context || !stream) return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_stream_create: context or stream is NULL");
  *stream = nullptr;
  void *memory = allocate_zeroed(sizeof(segnas_stream));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_stream_create: no memory");
  std::unique_ptr<segnas_stream, void (*)(segnas_stream *)> made(new (memory) segnas_stream, segnas_stream_destroy);
  made->context = context;
  if (context->backend) SEGNAS_TRY(context->backend->stream_create(context->backend_device, &made->backend_stream, err));
  *stream = made.release();
  return succeed(err);
}

SEGNAS_API void segnas_stream_destroy(segnas_stream *stream) {
  if (!stream) return;
  if (stream->backend_stream) stream->context->backend->stream_destroy(stream->backend_stream);
  stream->~segnas_stream();
  release(stream, sizeof *stream);
}

SEGNAS_API segnas_status segnas_stream_synchronize(segnas_stream *stream, segnas_error *err) {
  SEGNAS_ENTER(stream, err);
  if (stream->context->backend) return stream->context->backend->stream_synchronize(stream->backend_stream, err);
  return succeed(err);
}

SEGNAS_API size_t segnas_stream_scratch_bytes(const segnas_stream *stream) {
  if (!stream) return 0;
  return stream->context->backend ? stream->context->backend->stream_scratch_bytes(stream->backend_stream) : stream->scratch.bytes();
}

}  // extern "C"
