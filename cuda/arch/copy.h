// Copies of 16 bytes from memory into shared memory that pass no register and wait for nothing: cp.async, from sm_80 on. A thread starts copies,
// closes what it has started as a batch, and later waits until all but the newest batches have arrived; then a barrier, and every thread may read.
// Elsewhere a copy is a load and a store, done when copy_chunk returns: right wherever the waits and barriers are, because they come later.
#pragma once
#include "arch.h"

namespace segnas::gpu {

struct alignas(16) Chunk {
  uint32_t at[4];
};

#if !defined(SEGNAS_SIM) && __CUDA_ARCH__ >= 800

// to[0] = *from, which lies on 16 bytes; zeros where !valid, and from is not read.
SEGNAS_DEVICE void copy_chunk(Shared<Chunk> to, const void *from, bool valid) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(&to[0]))),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
}
SEGNAS_DEVICE void close_batch() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most kOpen of the closed batches are on their way.
template <int kOpen>
SEGNAS_DEVICE void await_batches() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

#else

SEGNAS_DEVICE void copy_chunk(Shared<Chunk> to, const void *from, bool valid) {
  Chunk chunk = {};
  if (valid) chunk = *static_cast<const Chunk *>(from);
  to[0] = chunk;
}
SEGNAS_DEVICE void close_batch() {}
template <int kOpen>
SEGNAS_DEVICE void await_batches() {}

#endif

}  // namespace segnas::gpu
