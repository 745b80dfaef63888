// distillation: the mean cross-entropy of softmax(logits) against softmax(teacher) on maps of one size, and its gradient. Two kernels: pixels, and the
// sum of the blocks' losses in fixed order.
//
// Tile: a warp takes a pixel, a lane two of its at most 64 classes, so that a pixel's logits are read and its gradient is written as one stretch; maxima
// and sums go by shuffles. A class that is not there has logits of -infinity, whose exponentials are 0. At most kMostBlocks blocks take pixels in
// turn, and each leaves one double.
// Bytes: 12 a pixel and class: 90x120x19 in a batch of 8 is 20 MB, 5.9 us of an H100. Operations: some 60 a lane and pixel, 25 of them shuffles; at 86400
// pixels 2.6 us. The pictures' own loss has 64 times the pixels.
#include "../../plugin/op.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int64_t kMostBlocks = 1024;
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718f;

struct DistillationArgs {
  Rows logits, teacher, dlogits;  // dlogits.at NULL: loss alone
  int64_t pixels;
  int classes;
  float factor;
  double *sums;  // [blocks]
};

SEGNAS_DEVICE float warp_most(float v) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) v = larger(v, shuffle_xor(v, mask));
  return v;
}

// A lane's classes lane() and lane() + 32 of a pixel: 2^(z - the largest), z in units of ln 2; below: the largest - z, 0 for a class that is not there.
struct Exponentials {
  float at[2], below[2], sum;
};
SEGNAS_DEVICE Exponentials exponentials(const float *z, int classes) {
  Exponentials e;
  float values[2];
  for (int i = 0; i < 2; i++) values[i] = lane() + i * kWarp < classes ? z[lane() + i * kWarp] * kLog2E : -__builtin_inff();
  const float most = warp_most(larger(values[0], values[1]));
  for (int i = 0; i < 2; i++) {
    e.at[i] = exponential2(values[i] - most);
    e.below[i] = lane() + i * kWarp < classes ? most - values[i] : 0.0f;
  }
  e.sum = warp_sum(e.at[0] + e.at[1]);
  return e;
}

// Of the block's warps, each with its value in every lane, in thread 0.
SEGNAS_DEVICE double sum_of_warps(double own, Shared<double> warps) {
  if (lane() == 0) warps[warp()] = own;
  barrier();
  double sum = 0;
  if (thread() == 0)
    for (int w = 0; w < kWarps; w++) sum += warps[w];
  return sum;
}

SEGNAS_KERNEL(kThreads) distil_pixels(const DistillationArgs a) {
  double loss = 0;
  for (int64_t p = static_cast<int64_t>(block_x()) * kWarps + warp(); p < a.pixels; p += static_cast<int64_t>(blocks_x()) * kWarps) {
    const Exponentials z = exponentials(a.logits.at + p * a.logits.pitch, a.classes), t = exponentials(a.teacher.at + p * a.teacher.pitch, a.classes);
    const float apart = warp_sum(fused_multiply_add(t.at[1], z.below[1], t.at[0] * z.below[0]));
    loss += static_cast<double>(fused_multiply_add(apart / t.sum, kLn2, logarithm(z.sum)));
    if (!a.dlogits.at) continue;
    const float ours = a.factor / z.sum, theirs = a.factor / t.sum;
    float *dlogits = a.dlogits.at + p * a.dlogits.pitch;
    for (int i = 0; i < 2; i++)
      if (lane() + i * kWarp < a.classes) dlogits[lane() + i * kWarp] = z.at[i] * ours - t.at[i] * theirs;
  }
  const double sum = sum_of_warps(loss, shared_memory<double>(0));
  if (thread() == 0) a.sums[block_x()] = sum;
}

// One block.
SEGNAS_KERNEL(kThreads) distil_total(const double *sums, int64_t blocks, int64_t pixels, double *result) {
  double own = 0;
  for (int64_t i = thread(); i < blocks; i += kThreads) own += sums[i];
  const double sum = sum_of_warps(warp_sum(own), shared_memory<double>(0));
  if (thread() != 0) return;
  result[0] = sum / static_cast<double>(pixels);
  result[1] = static_cast<double>(pixels);
}

}  // namespace

segnas_status distillation(void *stream, const segnas_tensor *logits, const segnas_tensor *teacher, float scale, const segnas_tensor *result,
                           const segnas_tensor *dlogits, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*logits), wanted = ceil_div<int64_t>(pixels, kWarps), blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
  void *scratch = nullptr;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(blocks) * sizeof(double), &scratch, err));
  const DistillationArgs a = {rows_of(*logits), rows_of(*teacher), dlogits ? rows_of(*dlogits) : Rows{nullptr, 0}, pixels,
                              static_cast<int>(channels_of(*logits)), static_cast<float>(static_cast<double>(scale) / static_cast<double>(pixels)),
                              static_cast<double *>(scratch)};
  constexpr size_t kSharedBytes = kWarps * sizeof(double);
  SEGNAS_GPU_TRY(launch("distillation", s->raw, err, {blocks, 1, 1, kThreads, kSharedBytes}, distil_pixels, a));
  SEGNAS_GPU_TRY(launch("distillation", s->raw, err, {1, 1, 1, kThreads, kSharedBytes}, distil_total, a.sums, blocks, pixels, f64(*result)));
  return succeed(err);
}

}  // namespace segnas::gpu
