// sum_squares and sgd: csrc/ops/optimiser on views of any rank and strides.
//
// sgd: 6 operations and 20 bytes an element (w and m read and written, g read); memory decides. Multiplications and additions only, each rounded,
// so the CPU's bits.
// sum_squares: 1 FMA in double and 4 bytes an element; memory decides on cards with full double rate, and where double runs at 1/64 some
// 15 us for the 4 million weights of a network. A block of kSumSquaresBlock elements is a thread block's: thread t takes the four elements
// from 4 (t + 256 k) for k = 0..15, a running sum for each place of the four, so that a 16-byte load and four loads of a scattered view add in
// the same order. One more block then adds the blocks' sums. The squares are exact in double, the sums round to 2^-53: depth 16 + 2 + 8 in a block, then
// ceil(blocks / 256) + 8.
#include "../../../csrc/ops/optimiser/optimiser.h"

#include "../../plugin/ops.h"
#include "../../plugin/walk.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kSteps = static_cast<int>(kSumSquaresBlock) / (4 * kThreads);

// The block's sum in thread 0, as balanced trees: of each warp, then of the warps. Ends with shared memory free again.
SEGNAS_DEVICE double block_sum(double v, Shared<double> warps) {
  v = warp_sum(v);
  if (lane() == 0) warps[warp()] = v;
  barrier();
  double sum = lane() < kThreads / kWarp ? static_cast<double>(warps[lane()]) : 0.0;
  sum = warp_sum(sum);
  barrier();
  return sum;
}

template <bool kByFour>
SEGNAS_KERNEL(kThreads) block_squares(const Walk<float, 1> w, double *sums) {
  const int64_t begin = static_cast<int64_t>(block_x()) * kSumSquaresBlock;
  double four[4] = {};
  for (int step = 0; step < kSteps; step++) {
    const int64_t i = begin + 4 * (step * kThreads + thread());
    if (i >= w.total) break;
    float *at[1];
    if constexpr (kByFour) {
      locate_element(w, i, at);
      const Float4 x = *reinterpret_cast<const Float4 *>(at[0]);
      const float v[4] = {x.x, x.y, x.z, x.w};
      for (int j = 0; j < 4; j++) four[j] = fused_multiply_add(static_cast<double>(v[j]), static_cast<double>(v[j]), four[j]);
    } else {
      for (int j = 0; j < 4 && i + j < w.total; j++) {
        locate_element(w, i + j, at);
        four[j] = fused_multiply_add(static_cast<double>(*at[0]), static_cast<double>(*at[0]), four[j]);
      }
    }
  }
  const double sum = block_sum((four[0] + four[2]) + (four[1] + four[3]), shared_memory<double>(0));
  if (thread() == 0) sums[block_x()] = sum;
}

SEGNAS_KERNEL(kThreads) add_blocks(const double *sums, int64_t blocks, int32_t accumulate, double *result) {
  double own = 0;
  for (int64_t i = thread(); i < blocks; i += kThreads) own += sums[i];
  const double sum = block_sum(own, shared_memory<double>(0));
  if (thread() == 0) *result = accumulate ? *result + sum : sum;
}

template <bool kNesterov>
struct Sgd {
  static constexpr int kViews = 3, kReads = 0b111, kWrites = 0b011;
  SgdStep step;
  // v: w, m, g
  SEGNAS_DEVICE void operator()(float (&v)[3]) const {
    const float g = v[2] * step.clip + step.decay * v[0];
    v[1] = step.momentum * v[1] + g;
    const float direction = kNesterov ? g + step.momentum * v[1] : v[1];
    v[0] = v[0] - step.lr * direction;
  }
};

}  // namespace

segnas_status sum_squares(void *stream, const segnas_tensor *x, int32_t accumulate, const segnas_tensor *result, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Walk<float, 1> w = walk_of<float, 1>({x});
  const int64_t blocks = ceil_div(w.total, kSumSquaresBlock);
  void *sums;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(blocks) * sizeof(double), &sums, err));
  const Grid grid = {.x = blocks, .threads = kThreads, .shared_bytes = kThreads / kWarp * sizeof(double)};
  SEGNAS_GPU_TRY(launch("sum_squares", s->raw, err, grid, w.by_four ? block_squares<true> : block_squares<false>, w, static_cast<double *>(sums)));
  const Grid one = {.threads = kThreads, .shared_bytes = grid.shared_bytes};
  SEGNAS_GPU_TRY(launch("sum_squares", s->raw, err, one, add_blocks, static_cast<const double *>(sums), blocks, accumulate, f64(*result)));
  return succeed(err);
}

segnas_status sgd(void *stream, const segnas_tensor *w, const segnas_tensor *m, const segnas_tensor *g, float lr, float momentum, float decay, float clip,
                  int32_t nesterov, segnas_error *err) {
  const SgdStep step = {lr, momentum, decay, clip, nesterov};
  return nesterov ? map_views("sgd", stream, {w, m, g}, Sgd<true>{step}, err) : map_views("sgd", stream, {w, m, g}, Sgd<false>{step}, err);
}

}  // namespace segnas::gpu
