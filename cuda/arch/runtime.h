// What the plug-in's host code asks of the runtime: runtime.cu answers with CUDA's, cuda/sim/runtime.cc with host memory and work done at once.
// Every function but device_count and Stream's own needs its device current (set_device): CUDA keeps that per thread, so the plug-in sets it on
// every entry.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../../csrc/include/segnas/segnas.h"

namespace segnas::gpu {

using RawStream = void *;  // cudaStream_t
using RawEvent = void *;   // cudaEvent_t
using RawGraph = void *;   // what was captured, ready to be launched: cudaGraphExec_t

struct DeviceFacts {
  char name[96];
  char uuid[48];     // "GPU-" and 36 characters, as the driver's other tools write it; "" where there is none
  int major, minor;  // compute capability
  int multiprocessors;
  size_t memory_bytes;
  size_t shared_bytes_per_block;  // with opt-in
  size_t l2_bytes;
};

// How many; 0 with the reason in words, the driver's own where there is one.
int device_count(char *text, size_t text_bytes);
segnas_status device_facts(int device, DeviceFacts *facts, segnas_error *err);
segnas_status set_device(int device, segnas_error *err);

segnas_status allocate(size_t bytes, void **memory, segnas_error *err);  // contents unspecified; SEGNAS_OUT_OF_MEMORY
void release(void *memory);
segnas_status stream_create(RawStream *stream, segnas_error *err);
void stream_destroy(RawStream stream);
segnas_status stream_synchronize(RawStream stream, segnas_error *err);
// In the stream's order. The host copies return when host memory may be used again.
segnas_status fill_bytes(RawStream stream, void *memory, int byte, size_t bytes, segnas_error *err);
segnas_status copy_to_device(RawStream stream, void *target, const void *source, size_t bytes, segnas_error *err);
segnas_status copy_to_host(RawStream stream, void *target, const void *source, size_t bytes, segnas_error *err);

// Between capture_begin and capture_end what this thread launches on the stream is recorded and not run; both stand in one call of the plug-in. An
// end after a failure gives no graph. graph_launch enqueues all of it.
segnas_status capture_begin(RawStream stream, segnas_error *err);
segnas_status capture_end(RawStream stream, RawGraph *graph, segnas_error *err);
segnas_status graph_launch(RawStream stream, RawGraph graph, segnas_error *err);
void graph_destroy(RawGraph graph);
// capture_event records, as a part of the graph, when the work before it was done. elapsed: after the graph's work is.
segnas_status event_create(RawEvent *event, segnas_error *err);
void event_destroy(RawEvent event);
segnas_status capture_event(RawStream stream, RawEvent event, segnas_error *err);
segnas_status elapsed(RawEvent begin, RawEvent end, int64_t *nanoseconds, segnas_error *err);

}  // namespace segnas::gpu
