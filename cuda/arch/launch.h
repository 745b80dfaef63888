// The one way to start a kernel: launch("name", stream, err, {blocks_x, blocks_y, blocks_z, threads, shared_bytes}, kernel<K>, args...).
// The name is for the error's text. threads is a multiple of 32 where the kernel uses warps.
#pragma once
#include "../../csrc/include/segnas/segnas.h"
#include "arch.h"
#include "runtime.h"

namespace segnas::gpu {

struct Grid {
  int64_t x = 1, y = 1, z = 1;  // blocks; x < 2^31, y and z < 2^16
  int threads = 256;
  size_t shared_bytes = 0;
};

// Legal and not empty; otherwise SEGNAS_INTERNAL (a fault of the op's code).
segnas_status check_grid(const char *name, const Grid &grid, segnas_error *err);

#if defined(SEGNAS_SIM)
template <class... Parameters, class... Args>
segnas_status launch(const char *name, RawStream, segnas_error *err, const Grid &grid, void (*kernel)(Parameters...), const Args &...args) {
  if (segnas_status status = check_grid(name, grid, err); status != SEGNAS_OK) return status;
  // Arguments are kept by value, as a graph keeps them.
  auto work = [=](segnas_error *own) {
    auto body = [&] { kernel(args...); };
    return sim::run(name, grid.x, grid.y, grid.z, grid.threads, grid.shared_bytes, [](void *b) { (*static_cast<decltype(body) *>(b))(); }, &body, own);
  };
  return sim::capture(work) ? SEGNAS_OK : work(err);
}
#else
// Tells CUDA that the kernel may use more than 48 KiB of shared memory, and reports what a launch has left behind.
segnas_status allow_shared(const char *name, const void *kernel, size_t bytes, segnas_error *err);
segnas_status launched(const char *name, segnas_error *err);

template <class... Parameters, class... Args>
segnas_status launch(const char *name, RawStream stream, segnas_error *err, const Grid &grid, void (*kernel)(Parameters...), const Args &...args) {
  if (segnas_status status = check_grid(name, grid, err); status != SEGNAS_OK) return status;
  if (segnas_status status = allow_shared(name, reinterpret_cast<const void *>(kernel), grid.shared_bytes, err); status != SEGNAS_OK) return status;
  dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, static_cast<unsigned>(grid.threads), grid.shared_bytes, static_cast<cudaStream_t>(stream)>>>(static_cast<Parameters>(args)...);
  return launched(name, err);
}
#endif

}  // namespace segnas::gpu
