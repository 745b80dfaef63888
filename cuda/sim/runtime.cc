// The runtime (../arch/runtime.h) on the host: one device whose memory is the host's and whose streams have always done everything.
#include "../arch/runtime.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "language.h"

namespace segnas::gpu {
namespace {

segnas_status succeeded(segnas_error *err) {
  if (err) {
    err->status = SEGNAS_OK;
    err->text[0] = 0;
  }
  return SEGNAS_OK;
}
}  // namespace

int device_count(char *text, size_t text_bytes) {
  if (text_bytes > 0) text[0] = 0;
  return 1;
}

// The limits of the largest card, so that kernels may ask for what any has.
segnas_status device_facts(int, DeviceFacts *facts, segnas_error *err) {
  *facts = {};
  std::snprintf(facts->name, sizeof facts->name, "sim (kernels on the CPU)");
  facts->major = 9;
  facts->multiprocessors = 1;
  facts->memory_bytes = size_t{1} << 34;
  facts->shared_bytes_per_block = sim::kMostSharedBytes;
  facts->l2_bytes = size_t{1} << 20;
  return succeeded(err);
}

segnas_status set_device(int, segnas_error *err) { return succeeded(err); }

// Aligned as CUDA's memory is, and not a byte longer than asked for: the address sanitizer sees what runs over. Full of NaN.
segnas_status allocate(size_t bytes, void **memory, segnas_error *err) {
  constexpr size_t kAlignment = 256;
  if (posix_memalign(memory, kAlignment, bytes > 0 ? bytes : 1) != 0) {
    *memory = nullptr;
    if (err) {
      err->status = SEGNAS_OUT_OF_MEMORY;
      std::snprintf(err->text, sizeof err->text, "sim: no memory for %zu bytes", bytes);
    }
    return SEGNAS_OUT_OF_MEMORY;
  }
  std::memset(*memory, 0xff, bytes);
  return succeeded(err);
}

void release(void *memory) { std::free(memory); }

segnas_status stream_create(RawStream *stream, segnas_error *err) {
  *stream = nullptr;
  return succeeded(err);
}

void stream_destroy(RawStream) {}

segnas_status stream_synchronize(RawStream, segnas_error *err) { return succeeded(err); }

segnas_status fill_bytes(RawStream, void *memory, int byte, size_t bytes, segnas_error *err) {
  if (bytes > 0) std::memset(memory, byte, bytes);
  return succeeded(err);
}

segnas_status copy_to_device(RawStream, void *target, const void *source, size_t bytes, segnas_error *err) {
  if (bytes > 0) std::memcpy(target, source, bytes);
  return succeeded(err);
}

segnas_status copy_to_host(RawStream stream, void *target, const void *source, size_t bytes, segnas_error *err) {
  return copy_to_device(stream, target, source, bytes, err);
}

// ---------------------------------------------------------------- graphs and events

namespace {
using Event = std::chrono::steady_clock::time_point;
using Graph = std::vector<sim::Work>;
thread_local Graph *capturing = nullptr;
}  // namespace

namespace sim {
bool capture(Work work) {
  if (!capturing) return false;
  capturing->push_back(std::move(work));
  return true;
}
}  // namespace sim

segnas_status capture_begin(RawStream, segnas_error *err) {
  delete capturing;  // of a capture that nobody ended
  capturing = new Graph;
  return succeeded(err);
}

segnas_status capture_end(RawStream, RawGraph *graph, segnas_error *err) {
  *graph = capturing;
  capturing = nullptr;
  return succeeded(err);
}

segnas_status graph_launch(RawStream, RawGraph graph, segnas_error *err) {
  for (const sim::Work &work : *static_cast<Graph *>(graph))
    if (segnas_status status = work(err); status != SEGNAS_OK) return status;
  return succeeded(err);
}

void graph_destroy(RawGraph graph) { delete static_cast<Graph *>(graph); }

segnas_status event_create(RawEvent *event, segnas_error *err) {
  *event = new Event;
  return succeeded(err);
}

void event_destroy(RawEvent event) { delete static_cast<Event *>(event); }

segnas_status capture_event(RawStream, RawEvent event, segnas_error *err) {
  const bool captured = sim::capture([event](segnas_error *own) {
    *static_cast<Event *>(event) = std::chrono::steady_clock::now();
    return succeeded(own);
  });
  if (captured) return succeeded(err);
  if (err) {
    err->status = SEGNAS_INTERNAL;
    std::snprintf(err->text, sizeof err->text, "sim: an event outside of a capture");
  }
  return SEGNAS_INTERNAL;
}

segnas_status elapsed(RawEvent begin, RawEvent end, int64_t *nanoseconds, segnas_error *err) {
  *nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(*static_cast<Event *>(end) - *static_cast<Event *>(begin)).count();
  return succeeded(err);
}

}  // namespace segnas::gpu
