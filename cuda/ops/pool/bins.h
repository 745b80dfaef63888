// The bins of adaptive average pooling along an axis (csrc/ops/pool/pool.h), for kernels and for the host.
#pragma once
#include "../../plugin/op.h"

namespace segnas::gpu {

// Sizes below 2^23.
struct Bins {
  int64_t in, out;
};
struct Bin {
  int64_t begin, end;
};

SEGNAS_BOTH Bin bin_of(const Bins &b, int64_t i) { return {i * b.in / b.out, ceil_div((i + 1) * b.in, b.out)}; }
SEGNAS_BOTH int64_t size_of(const Bin &bin) { return bin.end - bin.begin; }
// The first and the last bin that hold a position: one, or two.
SEGNAS_BOTH int64_t first_bin(const Bins &b, int64_t position) { return position * b.out / b.in; }
SEGNAS_BOTH int64_t last_bin(const Bins &b, int64_t position) { return ((position + 1) * b.out - 1) / b.in; }
// Positions of the largest bin, or one more.
inline int64_t largest_bin(const Bins &b) { return b.in % b.out == 0 || b.in / b.out + 2 > b.in ? ceil_div(b.in, b.out) : b.in / b.out + 2; }

}  // namespace segnas::gpu
