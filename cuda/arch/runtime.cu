// The runtime (runtime.h) on CUDA. Errors carry CUDA's own words.
#include <cstdio>
#include <cstring>

#include "../plugin/op.h"

namespace segnas::gpu {
namespace {

// Takes the error out of CUDA's own record as well, so that the next call does not report it again.
segnas_status answer(const char *what, cudaError_t result, segnas_error *err) {
  if (result == cudaSuccess) return SEGNAS_OK;
  cudaGetLastError();
  return fail(err, result == cudaErrorMemoryAllocation ? SEGNAS_OUT_OF_MEMORY : SEGNAS_BACKEND_FAILED, "%s: %s (%s)", what, cudaGetErrorString(result),
              cudaGetErrorName(result));
}

cudaStream_t native(RawStream stream) { return static_cast<cudaStream_t>(stream); }

segnas_status attribute(int device, cudaDeviceAttr which, int *value, segnas_error *err) {
  return answer("cudaDeviceGetAttribute", cudaDeviceGetAttribute(value, which, device), err);
}

}  // namespace

// ---------------------------------------------------------------- devices

int device_count(char *text, size_t text_bytes) {
  int count = 0;
  cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess && count > 0) {
    if (text_bytes > 0) text[0] = 0;
    return count;
  }
  cudaGetLastError();
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  char version[32] = "no driver";
  if (driver > 0) snprintf(version, sizeof version, "driver for CUDA %d.%d", driver / 1000, driver % 1000 / 10);
  snprintf(text, text_bytes, "%s (%s, plug-in built with CUDA %d.%d)", cudaGetErrorString(result == cudaSuccess ? cudaErrorNoDevice : result), version,
           runtime / 1000, runtime % 1000 / 10);
  return 0;
}

// cudaDeviceProp changes between major versions; attributes do not.
segnas_status device_facts(int device, DeviceFacts *facts, segnas_error *err) {
  *facts = {};
  int shared = 0, l2 = 0;
  SEGNAS_GPU_TRY(attribute(device, cudaDevAttrComputeCapabilityMajor, &facts->major, err));
  SEGNAS_GPU_TRY(attribute(device, cudaDevAttrComputeCapabilityMinor, &facts->minor, err));
  SEGNAS_GPU_TRY(attribute(device, cudaDevAttrMultiProcessorCount, &facts->multiprocessors, err));
  SEGNAS_GPU_TRY(attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared, err));
  SEGNAS_GPU_TRY(attribute(device, cudaDevAttrL2CacheSize, &l2, err));
  cudaDeviceProp properties;
  SEGNAS_GPU_TRY(answer("cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, device), err));
  snprintf(facts->name, sizeof facts->name, "%.*s", static_cast<int>(sizeof facts->name) - 1, properties.name);
  char *uuid = facts->uuid + snprintf(facts->uuid, sizeof facts->uuid, "GPU-");
  for (int i = 0; i < 16; i++) {
    const bool dash = i == 4 || i == 6 || i == 8 || i == 10;
    uuid += snprintf(uuid, 4, dash ? "-%02x" : "%02x", static_cast<unsigned>(static_cast<unsigned char>(properties.uuid.bytes[i])));
  }
  facts->memory_bytes = properties.totalGlobalMem;
  facts->shared_bytes_per_block = static_cast<size_t>(shared);
  facts->l2_bytes = static_cast<size_t>(l2);
  return SEGNAS_OK;
}

segnas_status set_device(int device, segnas_error *err) { return answer("cudaSetDevice", cudaSetDevice(device), err); }

// ---------------------------------------------------------------- memory

segnas_status allocate(size_t bytes, void **memory, segnas_error *err) {
  *memory = nullptr;
  if (bytes == 0) return SEGNAS_OK;
  cudaError_t result = cudaMalloc(memory, bytes);
  if (result != cudaErrorMemoryAllocation) return answer("cudaMalloc", result, err);
  cudaGetLastError();
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  return fail(err, SEGNAS_OUT_OF_MEMORY, "no memory for %zu bytes on the device, of whose %zu bytes %zu are free: %s", bytes, total, free,
              cudaGetErrorString(result));
}

// cudaFree waits for the device's work only as a side effect, so this waits itself.
void release(void *memory) {
  if (cudaDeviceSynchronize() != cudaSuccess) cudaGetLastError();
  if (cudaFree(memory) != cudaSuccess) cudaGetLastError();
}

segnas_status fill_bytes(RawStream stream, void *memory, int byte, size_t bytes, segnas_error *err) {
  return answer("cudaMemsetAsync", cudaMemsetAsync(memory, byte, bytes, native(stream)), err);
}

// Both wait: host memory may be page-locked, and then the copy goes on after cudaMemcpyAsync has returned.
segnas_status copy_to_device(RawStream stream, void *target, const void *source, size_t bytes, segnas_error *err) {
  SEGNAS_GPU_TRY(answer("cudaMemcpyAsync", cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, native(stream)), err));
  return stream_synchronize(stream, err);
}

segnas_status copy_to_host(RawStream stream, void *target, const void *source, size_t bytes, segnas_error *err) {
  SEGNAS_GPU_TRY(answer("cudaMemcpyAsync", cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, native(stream)), err));
  return stream_synchronize(stream, err);
}

// ---------------------------------------------------------------- streams

segnas_status stream_create(RawStream *stream, segnas_error *err) {
  cudaStream_t made = nullptr;
  SEGNAS_GPU_TRY(answer("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), err));
  *stream = made;
  return SEGNAS_OK;
}

void stream_destroy(RawStream stream) {
  if (cudaStreamDestroy(native(stream)) != cudaSuccess) cudaGetLastError();
}

segnas_status stream_synchronize(RawStream stream, segnas_error *err) {
  return answer("cudaStreamSynchronize", cudaStreamSynchronize(native(stream)), err);
}

// ---------------------------------------------------------------- graphs and events

// Thread-local: what other threads do meanwhile, allocations included, is their own affair.
segnas_status capture_begin(RawStream stream, segnas_error *err) {
  return answer("cudaStreamBeginCapture", cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal), err);
}

segnas_status capture_end(RawStream stream, RawGraph *graph, segnas_error *err) {
  *graph = nullptr;
  cudaGraph_t captured = nullptr;
  SEGNAS_GPU_TRY(answer("cudaStreamEndCapture", cudaStreamEndCapture(native(stream), &captured), err));
  cudaGraphExec_t made = nullptr;
  const cudaError_t result = cudaGraphInstantiateWithFlags(&made, captured, 0);
  cudaGraphDestroy(captured);
  SEGNAS_GPU_TRY(answer("cudaGraphInstantiateWithFlags", result, err));
  *graph = made;
  return answer("cudaGraphUpload", cudaGraphUpload(made, native(stream)), err);
}

segnas_status graph_launch(RawStream stream, RawGraph graph, segnas_error *err) {
  return answer("cudaGraphLaunch", cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), native(stream)), err);
}

void graph_destroy(RawGraph graph) {
  if (cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)) != cudaSuccess) cudaGetLastError();
}

segnas_status event_create(RawEvent *event, segnas_error *err) {
  cudaEvent_t made = nullptr;
  SEGNAS_GPU_TRY(answer("cudaEventCreate", cudaEventCreate(&made), err));
  *event = made;
  return SEGNAS_OK;
}

void event_destroy(RawEvent event) {
  if (cudaEventDestroy(static_cast<cudaEvent_t>(event)) != cudaSuccess) cudaGetLastError();
}

// External: without it the event would be an edge of the graph and carry no time.
segnas_status capture_event(RawStream stream, RawEvent event, segnas_error *err) {
  return answer("cudaEventRecordWithFlags", cudaEventRecordWithFlags(static_cast<cudaEvent_t>(event), native(stream), cudaEventRecordExternal), err);
}

segnas_status elapsed(RawEvent begin, RawEvent end, int64_t *nanoseconds, segnas_error *err) {
  float milliseconds = 0;
  SEGNAS_GPU_TRY(answer("cudaEventElapsedTime", cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(begin), static_cast<cudaEvent_t>(end)), err));
  *nanoseconds = static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6 + 0.5);
  return SEGNAS_OK;
}

// ---------------------------------------------------------------- launches

segnas_status allow_shared(const char *name, const void *kernel, size_t bytes, segnas_error *err) {
  constexpr size_t kWithoutAsking = 48 * 1024;
  if (bytes <= kWithoutAsking) return SEGNAS_OK;
  return answer(name, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), err);
}

segnas_status launched(const char *name, segnas_error *err) { return answer(name, cudaGetLastError(), err); }

}  // namespace segnas::gpu
