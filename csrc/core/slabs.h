// The split of a pass over pixels: whole blocks, at least 16384 elements each (a slab's sums cost as much as a few pixels), at most 64 slabs. It
// depends on the shape alone.
#pragma once
#include <algorithm>
#include <cstdint>

namespace segnas {

struct Slabs {
  int64_t pixels, count;
  Slabs(int64_t total, int64_t channels, int64_t block) {
    int64_t least = std::max(16384 / channels, (total + 63) / 64);
    pixels = (std::max<int64_t>(least, 1) + block - 1) / block * block;
    count = (total + pixels - 1) / pixels;
  }
  int64_t begin(int64_t slab) const { return slab * pixels; }
  int64_t size(int64_t slab, int64_t total) const { return std::min(pixels, total - slab * pixels); }
};

}  // namespace segnas
