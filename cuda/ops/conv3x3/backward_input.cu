// The gradient of the stem's input,
//   dx[p,q,c] = sum over (u,v,i,j) with i*s+u-1 = p, j*s+v-1 = q and over o of dy[i,j,o] w[(3u+v)*Cin+c, o]
//
// Training asks for it only where something learns before the stem, so this is the plain kernel: a thread has a pixel and 4 input channels and reads
// dy through the first-level cache, four output channels at a time where they are aligned; the weights of 32 output channels lie in shared memory as
// [tap][o][4 channels], one access for 4 FMAs. 3 to 32 channels at stride 2: 216 FMAs, 12 + 32 bytes a pixel; the reads of weights, at a
// quarter of the FMA rate, are the floor. At stride 2 neighbouring pixels have other taps: half of a warp waits.
//
// 32 output channels are one chain, u, v, then o; such chains are added in order.
#include "../../plugin/ops.h"
#include "conv3x3.h"

namespace segnas::gpu {
namespace {

constexpr int kOutputs = 32, kThreads = kOutputs * kChunk;

template <class T>
struct Conv3x3Input {
  const T *dy;
  int64_t dy_pitch;
  const float *w;
  int64_t w_pitch;
  T *dx;
  int64_t dx_pitch;
  bool vector;  // dy can be read four channels at a time
  int64_t pixels;
  int height, width, in_h, in_w, cin, cout;
};

template <class T>
SEGNAS_DEVICE void stage_weights(Shared<float> to, const Conv3x3Input<T> &a, int channel, int output) {
  const int o = thread() % kOutputs, c = thread() / kOutputs;
  const bool there = output + o < a.cout && channel + c < a.cin;
  const float *from = a.w + (channel + c) * a.w_pitch + output + o;
  float taps[9];
#pragma unroll
  for (int tap = 0; tap < 9; tap++) taps[tap] = there ? from[tap * a.cin * a.w_pitch] : 0.0f;
#pragma unroll
  for (int tap = 0; tap < 9; tap++) to[(tap * kOutputs + o) * kChunk + c] = taps[tap];
}

// Adds the outputs [output, output + kOutputs) of one pixel of dy, for one tap.
template <class T>
SEGNAS_DEVICE void add_tap(const Conv3x3Input<T> &a, const T *dy, Shared<Float4> w, int output, float (&sums)[kChunk]) {
  const int count = a.cout - output < kOutputs ? a.cout - output : kOutputs;
#pragma unroll 1
  for (int o = 0; o < count; o += 4) {
    float g[4] = {};
    if (a.vector) {
      load_pack(dy + o, g);
    } else {
#pragma unroll
      for (int k = 0; k < 4; k++)
        if (o + k < count) g[k] = load(dy + o + k);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const Float4 taps = w[o + k];
      sums[0] = fused_multiply_add(g[k], taps.x, sums[0]);
      sums[1] = fused_multiply_add(g[k], taps.y, sums[1]);
      sums[2] = fused_multiply_add(g[k], taps.z, sums[2]);
      sums[3] = fused_multiply_add(g[k], taps.w, sums[3]);
    }
  }
}

template <int S, class T>
SEGNAS_KERNEL(kThreads) conv3x3_input_pixels(const Conv3x3Input<T> a) {
  const int64_t pixel = static_cast<int64_t>(block_x()) * kThreads + thread(), line = pixel / a.in_w, picture = line / a.in_h;
  const int q = static_cast<int>(pixel % a.in_w), p = static_cast<int>(line % a.in_h), channel = block_y() * kChunk;
  Shared<float> shared = shared_memory<float>(0);
  float sums[kChunk] = {};
  for (int output = 0; output < a.cout; output += kOutputs) {
    barrier();
    stage_weights(shared, a, channel, output);
    barrier();
    if (pixel >= a.pixels) continue;
    float chain[kChunk] = {};
#pragma unroll 1
    for (int tap = 0; tap < 9; tap++) {
      const int row = p + 1 - tap / 3, column = q + 1 - tap % 3, i = row / S, j = column / S;
      if (row < 0 || row % S != 0 || i >= a.height || column < 0 || column % S != 0 || j >= a.width) continue;
      const T *dy = a.dy + ((picture * a.height + i) * a.width + j) * a.dy_pitch + output;
      add_tap(a, dy, (shared + tap * kOutputs * kChunk).template as<Float4>(), output, chain);
    }
#pragma unroll
    for (int c = 0; c < kChunk; c++) sums[c] += chain[c];
  }
  if (pixel >= a.pixels) return;
#pragma unroll
  for (int c = 0; c < kChunk; c++)
    if (channel + c < a.cin) store(a.dx + (pixel * a.dx_pitch + channel + c), sums[c]);
}

}  // namespace

segnas_status conv3x3_backward_input(void *stream, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx,
                                     segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Rows out = rows_of(*dy), taps = rows_of(*w), in = rows_of(*dx);
  auto size = [](const segnas_tensor *t, int d) { return static_cast<int>(t->shape[d]); };
  Conv3x3Input<float> a = {out.at, out.pitch, taps.at, taps.pitch, in.at, in.pitch, false, pixels_of(*dx),
                           size(dy, 1), size(dy, 2), size(dx, 1), size(dx, 2), size(dx, 3), size(dy, 3)};
  a.vector = a.cout % 4 == 0 && packs<4>(a.dy, a.dy_pitch);
  const Grid grid = {ceil_div<int64_t>(a.pixels, kThreads), ceil_div(a.cin, kChunk), 1, kThreads, 9 * kOutputs * kChunk * sizeof(float)};
  SEGNAS_GPU_TRY(launch("conv3x3_input_pixels", s->raw, err, grid, stride == 1 ? conv3x3_input_pixels<1, float> : conv3x3_input_pixels<2, float>, a));
  return succeed(err);
}

}  // namespace segnas::gpu
