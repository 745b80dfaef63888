// session_avg_pool: a block per bin and 32 channels; its warps take every 16th pixel, in chains of 32 that are then added, and the 16 sums meet in shared
// memory. The only bin of a 64x128x320 picture is 10 blocks of 512 pixels a thread: some 20 us on any card, of several milliseconds that such a network
// takes. ops/pool has slabs against that, and scratch, which a recorded step must not ask for.
#include "../plugin/storage.h"
#include "apart.h"

namespace segnas::gpu {
namespace {

constexpr int kLanes = 32, kRows = 16, kThreads = kLanes * kRows, kChain = 32;

template <class T>
struct PoolArgs {
  const T *x;
  T *y;
  int64_t in_h, in_w, out_h, out_w, channels;
  int groups, relu;
};

template <class T>
SEGNAS_KERNEL(kThreads) pool_bins(const PoolArgs<T> a) {
  const int64_t bin = block_x() / a.groups, c = static_cast<int64_t>(block_x() - bin * a.groups) * kLanes + thread() % kLanes;
  const int64_t i = bin / a.out_w % a.out_h, j = bin % a.out_w, picture = bin / (a.out_w * a.out_h);
  const int64_t top = i * a.in_h / a.out_h, left = j * a.in_w / a.out_w;
  const int64_t height = ceil_div((i + 1) * a.in_h, a.out_h) - top, width = ceil_div((j + 1) * a.in_w, a.out_w) - left, pixels = height * width;
  const int row = thread() / kLanes;
  float sum = 0, chain = 0;
  int taken = 0;
  for (int64_t p = row; p < pixels && c < a.channels; p += kRows) {
    const int64_t line = p / width;
    chain += load(a.x + ((picture * a.in_h + top + line) * a.in_w + left + p - line * width) * a.channels + c);
    if (++taken % kChain == 0) sum += chain, chain = 0;
  }
  Shared<float> shared = shared_memory<float>(0);
  shared[thread()] = sum + chain;
  barrier();
  if (row != 0 || c >= a.channels) return;
  float total = 0;
  for (int r = 0; r < kRows; r++) total += shared[r * kLanes + thread()];
  total /= static_cast<float>(pixels);
  store(a.y + bin * a.channels + c, a.relu ? relu_of(total) : total);
}

}  // namespace

segnas_status session_avg_pool(Stream *s, const Image &x, int32_t relu, const Image &y, segnas_error *err) {
  return with_stored(x.stored, [&](auto type) {
    using T = decltype(type);
    const int64_t groups = ceil_div<int64_t>(y.c, kLanes);
    const PoolArgs<T> a = {static_cast<const T *>(x.at), static_cast<T *>(y.at), x.h, x.w, y.h, y.w, y.c, static_cast<int>(groups), relu};
    const Grid grid = {y.pixels() * groups, 1, 1, kThreads, kThreads * sizeof(float)};
    return launch("session_avg_pool", s->raw, err, grid, pool_bins<T>, a);
  });
}

}  // namespace segnas::gpu
