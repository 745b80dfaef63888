// What a kernel is written in: one small language that nvcc compiles for a GPU and a C++ compiler for sim (cuda/sim), from the same sources.
// Kernels, and what they call, use nothing of CUDA but what stands here, in mma.h and in copy.h.
//
//   SEGNAS_KERNEL(threads)   in place of "__global__ void": template <int K> SEGNAS_KERNEL(256) rows(const RowsArgs a) { ... }
//                            threads: the most that a block is launched with; SEGNAS_KERNEL(threads, blocks): registers for so many blocks on a
//                            multiprocessor, where the compiler's own choice would spill. Arguments are plain data, passed by value.
//   SEGNAS_DEVICE            before a function that kernels call (always inlined); SEGNAS_BOTH: one that the host calls too
//   thread(), threads()      a block is one-dimensional; int
//   block_x/y/z(), blocks_x/y/z()
//   lane(), warp()           thread() % 32, thread() / 32
//   barrier()                of the block. Every thread that has not returned must reach the same one.
//   warp_barrier(), shuffle(v, lane), shuffle_xor(v, mask), shuffle_down(v, by): of a whole warp; int, float or double; threads a multiple of 32
//   Shared<T> s = shared_memory<T>(byte_offset);  the block's shared memory, as many bytes as the launch says, contents unspecified. s[i] reads
//                            and writes elements; s + n moves; s.as<U>() views it as U (aligned to U). sim records every access and reports
//                            a read or a write that no barrier separates from another thread's write or read, so go through Shared only.
//   shared_add(s, i, v)      adds v to s[i], a Shared<int>, as one step whatever other threads add: integers alone, whose sum has no order. No
//                            barrier is needed between two of them; between one and a read or a write it is.
//   Float4                   four floats, 16-byte aligned: for vector loads where the address is known to be aligned
//
// Numbers: no contraction and no fast mathematics on either side; fused_multiply_add(a, b, c) where an FMA is meant. Division, square root and
// conversions are IEEE's; exponential, exponential2 (2^a) and logarithm are the toolkit's (2 ulp). maximum(a, b) of floats: NaN if a is NaN,
// else as std::max; larger(a, b), smaller(a, b): b if a is NaN, a if b is: one instruction. round_even(a): the nearest integer, a tie to the even one, with a's
// sign. bits_of(a): the 32 bits of a float.
// Four bytes in a word, uint32_t, the first in the lowest bits: dot_bytes(a, b, sum) is sum plus the products of a's bytes, unsigned, and b's, signed;
// permute_bytes(a, b, which) has as byte i the one that which's i-th hexadecimal digit names, 0 to 3 of a and 4 to 7 of b.
// No atomics but shared_add: sums of floats are taken in an order that depends on shapes alone.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(SEGNAS_SIM)
#include "../sim/language.h"
#else
#include "language.h"
#endif

namespace segnas::gpu {

struct alignas(16) Float4 {
  float x, y, z, w;
};

constexpr int kWarp = 32;
SEGNAS_DEVICE int lane() { return thread() % kWarp; }
SEGNAS_DEVICE int warp() { return thread() / kWarp; }
SEGNAS_DEVICE float maximum(float a, float b) { return a > b || a != a ? a : b; }
SEGNAS_DEVICE float relu_of(float a) { return a < 0 ? 0.0f : a; }  // of -0: -0, as on the CPU

template <class Integer>
SEGNAS_BOTH constexpr Integer ceil_div(Integer a, Integer b) {
  return (a + b - 1) / b;
}

// Sum over the warp's lanes in every lane, as a balanced tree.
template <class Number>
SEGNAS_DEVICE Number warp_sum(Number v) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
  return v;
}

}  // namespace segnas::gpu
