// The gradient of the stem's weights,
//   dw[(3u+v)*Cin+c, o] = sum_{i,j} x[i*s+u-1, j*s+v-1, c] dy[i,j,o]
// with dy computed on read from y, y_norm and da for conv3x3_norm_backward_weight.
//
// Tile: conv3x3.h's, steps of 4 rows x 32 columns x 32 output channels for 384 threads: three for every 8 pixels x 4 output channels, one a tap row,
// each with the sums of its 3 taps x 4 input channels x 4 output channels in registers. x and dy pass through shared memory, so dy is computed
// once. A step costs a thread 8 reads of four values of dy, and 7s+3 of x for the 96 FMAs of each input channel: as many cycles as the FMAs. 3 to
// 32 channels at stride 2: 864 FMAs and 176 bytes a pixel (304 with y): as forwards, bytes are the floor on a large GPU, with FMAs at 40 %.
// More than 4 input channels are blocks of their own, which read dy again.
//
// A thread's chains have at most 256 products; its block adds the 16 threads of a sum in double, and finish_weights the blocks.
#include "../../plugin/ops.h"
#include "conv3x3.h"

namespace segnas::gpu {
namespace {

constexpr int kRows = 4, kGroups = 16, kThreads = 3 * kGroups * kOutputLanes;
constexpr int kGradientFloats = kRows * kTileColumns * kTileOutputs, kFoldFloats = kChunk * kThreads * 4;
static_assert(kGroups * kRun == kRows * kTileColumns, "a thread has one run of a step");

template <class T>
struct Conv3x3Weight {
  const float *x;
  const T *y, *da;  // y NULL where da is dy itself
  int64_t x_pitch, y_pitch, da_pitch;
  Norm norm;
  float *parts;  // [tiles][9 cin][cout]
  int chunks;    // of input channels
  Conv3x3Tiling tiling;
};

// dy of a step, [row][column][kTileOutputs]; zeros outside.
template <class T>
SEGNAS_DEVICE void stage_gradient(Shared<float> to, const Conv3x3Weight<T> &a, const Conv3x3Place &at, int row) {
  const int o = at.output + lane();
  const bool there = o < a.tiling.cout, normed = a.norm.mean && there;
  const float mean = normed ? a.norm.mean[o] : 0.0f, scale = normed ? a.norm.scale[o] : 0.0f, beta = normed ? a.norm.beta[o] : 0.0f;
  const float centre = normed ? a.norm.centre[o] : 0.0f, slope = normed ? a.norm.slope[o] : 0.0f;
  const bool ranged = a.norm.low && there;
  const float low = ranged ? a.norm.low[o] : 0.0f, high = ranged ? a.norm.high[o] : 0.0f;
  for (int p = warp(); p < kRows * kTileColumns; p += kThreads / kWarp) {
    const int i = row + p / kTileColumns, j = at.column + p % kTileColumns;
    float dy = 0;
    if (there && i < a.tiling.height && j < a.tiling.width) {
      const int64_t pixel = (static_cast<int64_t>(at.picture) * a.tiling.height + i) * a.tiling.width + j;
      dy = load(a.da + (pixel * a.da_pitch + o));
      if (a.norm.mean) {
        const float y = load(a.y + (pixel * a.y_pitch + o));
        float g = masked_gradient(y, dy, mean, scale, beta, a.norm.relu);
        if (ranged) g = within(activation(y, mean, scale, beta, 0), g, low, high);
        dy = raw_gradient(y, g, mean, scale, centre, slope);
      }
    }
    to[p * kTileOutputs + lane()] = dy;
  }
}

template <int S>
struct Conv3x3WeightRun {
  using P = Patch<S, kRows>;
  int row, column, group, lane4, u;
  float sums[kChunk][3][4] = {};

  SEGNAS_DEVICE Conv3x3WeightRun() {
    lane4 = thread() % kOutputLanes * 4;
    group = thread() / kOutputLanes % kGroups;
    u = thread() / kOutputLanes / kGroups;
    row = group % kRows;
    column = group / kRows * kRun;
  }

  // A step's run from column j on, of which `pixels` lie in the picture.
  template <bool kInside>
  SEGNAS_DEVICE void add(Shared<float> patch, Shared<float> gradient, int count, int pixels, int j, int in_w) {
    Float4 dy[kRun];
    Shared<Float4> quads = (gradient + lane4).template as<Float4>();
#pragma unroll
    for (int t = 0; t < kRun; t++) dy[t] = quads[(row * kTileColumns + column + t) * (kTileOutputs / 4)];
#pragma unroll
    for (int c = 0; c < kChunk; c++) {
      if (c >= count) continue;
      float x[P::kReach];
#pragma unroll
      for (int q = 0; q < P::kReach; q++) x[q] = patch[(c * P::kHeight + row * S + u) * P::kPitch + column * S + q];
#pragma unroll
      for (int v = 0; v < 3; v++)
#pragma unroll
        for (int t = 0; t < kRun; t++) {
          const int q = (j + t) * S + v - 1;
          if (!kInside && (t >= pixels || q < 0 || q >= in_w)) continue;
          sums[c][v][0] = fused_multiply_add(x[t * S + v], dy[t].x, sums[c][v][0]);
          sums[c][v][1] = fused_multiply_add(x[t * S + v], dy[t].y, sums[c][v][1]);
          sums[c][v][2] = fused_multiply_add(x[t * S + v], dy[t].z, sums[c][v][2]);
          sums[c][v][3] = fused_multiply_add(x[t * S + v], dy[t].w, sums[c][v][3]);
        }
    }
  }

  // The block's sums into its part, a tap column at a time: every thread adds those of one tap row, input and output channel.
  template <class T>
  SEGNAS_DEVICE void put(const Conv3x3Weight<T> &a, const Conv3x3Place &at, int channel, int count) const {
    Shared<float> shared = shared_memory<float>(0);
    const int c = warp() / 3, tap_row = warp() % 3, o = at.output + lane();
#pragma unroll
    for (int v = 0; v < 3; v++) {
      barrier();
#pragma unroll
      for (int k = 0; k < kChunk; k++)
#pragma unroll
        for (int q = 0; q < 4; q++) shared[((k * 3 + u) * kGroups + group) * kTileOutputs + lane4 + q] = sums[k][v][q];
      barrier();
      if (c >= count || o >= a.tiling.cout) continue;
      double sum = 0;
      for (int g = 0; g < kGroups; g++) sum += static_cast<double>(shared[((c * 3 + tap_row) * kGroups + g) * kTileOutputs + lane()]);
      const int64_t line = static_cast<int64_t>(at.tile) * 9 * a.tiling.cin + (3 * tap_row + v) * a.tiling.cin + channel + c;
      a.parts[line * a.tiling.cout + o] = static_cast<float>(sum);
    }
  }
};

template <int S, class T>
SEGNAS_KERNEL(kThreads) conv3x3_weight_tiles(const Conv3x3Weight<T> a) {
  using P = Patch<S, kRows>;
  const Conv3x3Place at = conv3x3_place(a.tiling, block_x() / a.chunks);
  const int channel = block_x() % a.chunks * kChunk, left = a.tiling.cin - channel, count = left < kChunk ? left : kChunk;
  Shared<float> gradient = shared_memory<float>(0), patch = gradient + kGradientFloats;
  Conv3x3WeightRun<S> mine;
  const int j = at.column + mine.column, pixels = a.tiling.width - j;
  const bool inside = j > 0 && pixels >= kRun && j * S - 1 + P::kReach <= a.tiling.in_w;
  for (int step = 0; step < a.tiling.band; step++) {
    const int first = at.row + step * kRows, i = first + mine.row, p = i * S + mine.u - 1;
    if (first >= a.tiling.height) break;
    barrier();
    stage_gradient(gradient, a, at, first);
    P::stage(patch, AsStored<float>{a.x}, a.x_pitch, a.tiling, at.picture, first * S - 1, at.column * S - 1, channel, count);
    barrier();
    if (i >= a.tiling.height || p < 0 || p >= a.tiling.in_h) continue;
    if (inside) {
      mine.template add<true>(patch, gradient, count, pixels, j, a.tiling.in_w);
    } else {
      mine.template add<false>(patch, gradient, count, pixels, j, a.tiling.in_w);
    }
  }
  mine.put(a, at, channel, count);
}

template <int S, class T>
segnas_status run_tiles(Stream *s, const Conv3x3Weight<T> &a, segnas_error *err) {
  constexpr size_t kTile = (kGradientFloats + Patch<S, kRows>::kFloats) * sizeof(float), kFold = kFoldFloats * sizeof(float);
  const Grid grid = {a.tiling.tiles() * a.tiling.output_tiles * a.chunks, 1, 1, kThreads, kTile > kFold ? kTile : kFold};
  return launch("conv3x3_weight_tiles", s->raw, err, grid, conv3x3_weight_tiles<S, T>, a);
}

// y NULL: da is dy.
template <class T>
segnas_status weight_gradient(Stream *s, const segnas_tensor &x, int32_t stride, const segnas_tensor *y, const Norm &norm, const segnas_tensor &da,
                              int32_t accumulate, const segnas_tensor &dw, segnas_error *err) {
  Conv3x3Weight<T> a = {f32(x), y ? stored<T>(*y) : nullptr, stored<T>(da), pitch_of(x), y ? pitch_of(*y) : 0, pitch_of(da), norm, nullptr, 0,
                        conv3x3_tiling(conv3x3_shape(x, da), kRows)};
  const Conv3x3Tiling &t = a.tiling;
  a.chunks = ceil_div(t.cin, kChunk);
  void *memory;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(t.tiles() * 9 * t.cin * t.cout) * sizeof(float), &memory, err));
  a.parts = static_cast<float *>(memory);
  SEGNAS_GPU_TRY(stride == 1 ? run_tiles<1>(s, a, err) : run_tiles<2>(s, a, err));
  SEGNAS_GPU_TRY(finish_weights(s, a.parts, t.tiles(), 9 * t.cin, t.cout, accumulate != 0, rows_of(dw), err));
  return succeed(err);
}

}  // namespace

segnas_status conv3x3_backward_weight(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate,
                                      const segnas_tensor *dw, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return weight_gradient<float>(s, *x, stride, nullptr, {}, *dy, accumulate, *dw, err);
}

segnas_status conv3x3_norm_backward_weight(void *stream, const segnas_tensor *x, int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm,
                                           int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*da, [&](auto type) {
    return weight_gradient<decltype(type)>(s, *x, stride, y, norm_of(y_norm, y_relu), *da, accumulate, *dw, err);
  });
}

}  // namespace segnas::gpu
