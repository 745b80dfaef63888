// ktransform_forward and _backward (csrc/ops/ktransform): with n = ks*ks taps, T the matrix [n,n], X the middle rows of w_large, rows of C channels
//   w_small = T X      dX += T' dW      dT += dW X'
//
// At most 25 x 25 x C multiply-adds over 25 rows: 0.5 MFLOP and 80 KB at C = 384, a microsecond of any card's time, so a launch's fixed cost is the floor
// and one launch a direction is what there is to win. A thread makes one element of w_small or dX, a chain of FMAs with the taps upwards,
// channels next to each other; T and the other rows come from L1. An element of dT is a warp's: lane l adds channels l, l+32, ...,
// then the lanes as a tree, summation depth ceil(C/32) + 5.
#include "../../../csrc/ops/ktransform/ktransform.h"

#include "../../plugin/op.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

struct KtransformArgs {
  Rows large, t, small;  // w_large, t, w_small or dw_small
  Rows dlarge, dt;
  int32_t kernel_large, kernel_small;
  int64_t channels;
  SEGNAS_BOTH int32_t taps() const { return kernel_small * kernel_small; }
  // The tap of the large kernel that lies where tap j of the small one does.
  SEGNAS_BOTH int64_t middle(int j) const {
    const int ring = (kernel_large - kernel_small) / 2;
    return (j / kernel_small + ring) * kernel_large + j % kernel_small + ring;
  }
};

// Block x: channels; y: the tap i.
SEGNAS_KERNEL(kThreads) transform(const KtransformArgs a) {
  const int64_t c = static_cast<int64_t>(block_x()) * kThreads + thread();
  if (c >= a.channels) return;
  const int i = block_y();
  float sum = 0;
  for (int j = 0; j < a.taps(); j++) sum = fused_multiply_add(a.t.at[i * a.t.pitch + j], a.large.at[a.middle(j) * a.large.pitch + c], sum);
  a.small.at[i * a.small.pitch + c] = sum;
}

// Block x < channel_blocks: channels of dX's row y, added to what is there. The others: row y of dT, an element a warp.
SEGNAS_KERNEL(kThreads) gradients(const KtransformArgs a, int channel_blocks) {
  const int row = block_y();
  if (block_x() < channel_blocks) {
    const int64_t c = static_cast<int64_t>(block_x()) * kThreads + thread();
    if (c >= a.channels) return;
    float sum = 0;
    for (int i = 0; i < a.taps(); i++) sum = fused_multiply_add(a.t.at[i * a.t.pitch + row], a.small.at[i * a.small.pitch + c], sum);
    a.dlarge.at[a.middle(row) * a.dlarge.pitch + c] += sum;
    return;
  }
  const int j = (block_x() - channel_blocks) * kWarps + warp();
  if (j >= a.taps()) return;
  const float *dw = a.small.at + row * a.small.pitch, *x = a.large.at + a.middle(j) * a.large.pitch;
  float sum = 0;
  for (int64_t c = lane(); c < a.channels; c += kWarp) sum = fused_multiply_add(dw[c], x[c], sum);
  sum = warp_sum(sum);
  if (lane() == 0) a.dt.at[row * a.dt.pitch + j] += sum;
}

KtransformArgs arguments(const segnas_tensor &w_large, const segnas_tensor &t, const segnas_tensor &w_small) {
  KtransformArgs a = {};
  a.large = rows_of(w_large);
  a.t = rows_of(t);
  a.small = rows_of(w_small);
  a.kernel_large = w_large.shape[0] == 25 ? 5 : 7;
  a.kernel_small = a.kernel_large - 2;
  a.channels = channels_of(w_large);
  return a;
}

}  // namespace

segnas_status ktransform_forward(void *stream, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *w_small, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const KtransformArgs a = arguments(*w_large, *t, *w_small);
  const Grid grid = {.x = ceil_div<int64_t>(a.channels, kThreads), .y = a.taps(), .threads = kThreads};
  SEGNAS_GPU_TRY(launch("ktransform_forward", s->raw, err, grid, transform, a));
  return succeed(err);
}

segnas_status ktransform_backward(void *stream, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *dw_small,
                                  const segnas_tensor *dw_large, const segnas_tensor *dt, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  KtransformArgs a = arguments(*w_large, *t, *dw_small);
  a.dlarge = rows_of(*dw_large);
  a.dt = rows_of(*dt);
  const int64_t channel_blocks = ceil_div<int64_t>(a.channels, kThreads);
  const Grid grid = {.x = channel_blocks + ceil_div(a.taps(), kWarps), .y = a.taps(), .threads = kThreads};
  SEGNAS_GPU_TRY(launch("ktransform_backward", s->raw, err, grid, gradients, a, static_cast<int>(channel_blocks)));
  return succeed(err);
}

}  // namespace segnas::gpu
