// What the opaque handles of segnas.h are.
#pragma once
#include <atomic>
#include <memory>

#include "../include/segnas/backend.h"
#include "../include/segnas/segnas.h"
#include "../isa/kernels.h"
#include "memory.h"
#include "status.h"
#include "thread_pool.h"

struct segnas_context {
  std::unique_ptr<segnas::ThreadPool> pool;
  const segnas::Kernels *kernels = nullptr;      // the CPU's, of the instruction set in use
  const segnas_backend *backend = nullptr;       // a plug-in's; NULL: the CPU
  void *backend_device = nullptr;
  char device_name[160] = "cpu";
};

struct segnas_stream {
  segnas_context *context = nullptr;
  std::atomic<bool> in_use{false};
  segnas::Arena scratch;
  void *backend_stream = nullptr;
};

struct segnas_buffer {
  segnas_context *context = nullptr;
  void *memory = nullptr;  // host memory, or the plug-in's handle
  size_t bytes = 0;
};

namespace segnas {

// Marks a stream as used for the length of one call.
class StreamUse {
 public:
  explicit StreamUse(segnas_stream *stream) : stream_(stream), held_(!stream->in_use.exchange(true, std::memory_order_acquire)) {}
  ~StreamUse() {
    if (held_) stream_->in_use.store(false, std::memory_order_release);
  }
  StreamUse(const StreamUse &) = delete;
  StreamUse &operator=(const StreamUse &) = delete;
  bool held() const { return held_; }

 private:
  segnas_stream *stream_;
  bool held_;
};

}  // namespace segnas

// First lines of every operation: the stream is there, and is ours for this call.
#define SEGNAS_ENTER(stream, err)                                                                          \
  if (!(stream)) return segnas::fail(err, SEGNAS_INVALID_ARGUMENT, "%s: stream is NULL", __func__);        \
  segnas::StreamUse segnas_use(stream);                                                                    \
  if (!segnas_use.held()) return segnas::fail(err, SEGNAS_BUSY, "%s: the stream is in use by another thread", __func__)

// Hands the call to a plug-in's table when the context runs on one. Arguments are checked before.
#define SEGNAS_DISPATCH(stream, op, err, ...)                                                              \
  if ((stream)->context->backend) {                                                                        \
    if (!(stream)->context->backend->ops.op)                                                               \
      return segnas::fail(err, SEGNAS_NO_KERNEL, "%s: %s has no such kernel", __func__, (stream)->context->device_name); \
    return (stream)->context->backend->ops.op((stream)->backend_stream, __VA_ARGS__, err);                 \
  }
