// The stem's dense 3x3 convolution, at most 16 input channels, for the operations (float32) and for sessions (any stored type):
//   y[i,j,o] = sum_{u,v,c} x[i*s+u-1, j*s+v-1, c] w[(3u+v)*Cin+c, o]
// with y's moments taken on write for conv3x3_norm_forward.
//
// Tile: conv3x3.h's, steps of 8 rows x 32 columns x 32 output channels for 256 threads, 8 pixels x 4 channels each in registers. For a tap row and an
// input channel a thread reads 7s+3 values of x and 12 weights from shared memory for 96 FMAs; for 8 to 29 accesses of shared memory per 24 cycles
// of FMAs it runs at half to all of the FMA rate. 3 to 32 channels at stride 2: 864 FMAs and 176 bytes a pixel; 5 FMAs a byte are below a large
// GPU's 12, so bytes are the floor, with FMAs at 40 % when it is reached. Cin is a run-time number: x and the weights pass in chunks of 4 channels.
//
// An output is one chain of FMAs, from 0 or the bias, over chunks of channels, then u, c, v; taps outside the picture are left out.
#pragma once
#include "../../plugin/bytes.h"
#include "conv3x3.h"

namespace segnas::gpu {

constexpr int kForwardRows = 8, kForwardThreads = 256, kForwardGroups = kForwardThreads / kOutputLanes;
constexpr int kWeightFloats = 9 * kChunk * kTileOutputs;
static_assert(kForwardGroups * kRun == kForwardRows * kTileColumns, "a thread has one run of a step");

// Source: Patch::stage's. T: what y is stored as; bytes as `rounding` says, pixels in whole words. A deployed layer's weights are rounded to it.
template <class Source, class T>
struct Conv3x3Forward {
  Source x;
  int64_t x_pitch;
  const float *w;
  int64_t w_pitch;
  T *y;
  int64_t y_pitch;
  bool vector;         // y can be written four channels at a time
  MomentPart *parts;   // [tiles][cout], or NULL
  const float *bias;   // [cout], where sums begin, and whether a ReLU ends them: a deployed layer. Or NULL
  int relu;
  Conv3x3Tiling tiling;
  Rounding rounding = {};
};

// Weights [u][c][v][kTileOutputs] of `count` input channels; zeros beyond the last output channel.
template <class Source, class T>
SEGNAS_DEVICE void stage_weights(Shared<float> to, const Conv3x3Forward<Source, T> &a, int output, int channel, int count) {
  const int o = output + lane();
  for (int row = warp(); row < 9 * count; row += kForwardThreads / kWarp) {
    const int tap = row / count, c = row % count;
    const float w = o < a.tiling.cout ? a.w[(tap * a.tiling.cin + channel + c) * a.w_pitch + o] : 0.0f;
    to[((tap / 3 * kChunk + c) * 3 + tap % 3) * kTileOutputs + lane()] = a.bias ? rounded_to<T>(w) : w;
  }
}

// A thread's run: pixels j, j + 1, ... of row i.
template <int S, class Source, class T>
struct Conv3x3Run {
  using P = Patch<S, kForwardRows>;
  const Conv3x3Forward<Source, T> &a;
  int row, column, lane4;  // in the tile; first output channel
  float sums[kRun][4], bias[4] = {};
  LongMoments moments[4];
  int pixels = 0;

  SEGNAS_DEVICE Conv3x3Run(const Conv3x3Forward<Source, T> &args, int output) : a(args) {
    const int group = thread() / kOutputLanes, of_warp = group / 4;
    lane4 = thread() % kOutputLanes * 4;
    row = of_warp / 4 * 4 + group % 4;
    column = of_warp % 4 * kRun;
    if (a.bias) {
#pragma unroll
      for (int k = 0; k < 4; k++)
        if (output + lane4 + k < a.tiling.cout) bias[k] = a.bias[output + lane4 + k];
    }
    begin();
  }

  SEGNAS_DEVICE void begin() {
#pragma unroll
    for (int t = 0; t < kRun; t++)
#pragma unroll
      for (int k = 0; k < 4; k++) sums[t][k] = bias[k];
  }

  template <bool kInside>
  SEGNAS_DEVICE void add(Shared<float> patch, Shared<float> weights, int i, int j, int count) {
    Shared<Float4> quads = (weights + lane4).template as<Float4>();
    for (int u = 0; u < 3; u++) {
      if (i * S + u - 1 < 0 || i * S + u - 1 >= a.tiling.in_h) continue;
      for (int c = 0; c < count; c++) {
        float x[P::kReach];
#pragma unroll
        for (int q = 0; q < P::kReach; q++) x[q] = patch[(c * P::kHeight + row * S + u) * P::kPitch + column * S + q];
#pragma unroll
        for (int v = 0; v < 3; v++) {
          const Float4 w = quads[((u * kChunk + c) * 3 + v) * (kTileOutputs / 4)];
#pragma unroll
          for (int t = 0; t < kRun; t++) {
            const int q = (j + t) * S + v - 1;
            if (!kInside && (q < 0 || q >= a.tiling.in_w)) continue;
            sums[t][0] = fused_multiply_add(x[t * S + v], w.x, sums[t][0]);
            sums[t][1] = fused_multiply_add(x[t * S + v], w.y, sums[t][1]);
            sums[t][2] = fused_multiply_add(x[t * S + v], w.z, sums[t][2]);
            sums[t][3] = fused_multiply_add(x[t * S + v], w.w, sums[t][3]);
          }
        }
      }
    }
  }

  // Writes the run, takes its moments, and begins anew.
  SEGNAS_DEVICE void finish(int picture, int i, int j, int output) {
    const int count = a.tiling.width - j < kRun ? a.tiling.width - j : kRun, o = output + lane4;
    if (a.relu) {
#pragma unroll
      for (int t = 0; t < kRun; t++)
#pragma unroll
        for (int k = 0; k < 4; k++) sums[t][k] = relu_of(sums[t][k]);
    }
    if (i < a.tiling.height && count > 0 && o < a.tiling.cout) {
      T *to = a.y + ((static_cast<int64_t>(picture) * a.tiling.height + i) * a.tiling.width + j) * a.y_pitch + o;
#pragma unroll
      for (int t = 0; t < kRun; t++) {
        if (t >= count) continue;
        if constexpr (sizeof(T) == 1) {
          a.rounding.store(to + t * a.y_pitch, sums[t]);
        } else if (a.vector) {
          store_pack(to + t * a.y_pitch, sums[t]);
        } else {
#pragma unroll
          for (int k = 0; k < 4; k++)
            if (o + k < a.tiling.cout) store(to + t * a.y_pitch + k, sums[t][k]);
        }
      }
      if (a.parts) measure(count);
    }
    begin();
  }

  SEGNAS_DEVICE void measure(int count) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      float y[kRun];
#pragma unroll
      for (int t = 0; t < kRun; t++) y[t] = sums[t][k];
      if (pixels == 0) moments[k].shift = near_mean<kRun>(y, count);
      moments[k].template add<kRun>(y, count);
    }
    pixels += count;
  }

  // The block's moments: 8 warps add 4 groups each for the 32 channels, then one warp their results.
  SEGNAS_DEVICE void put_moments(const Conv3x3Place &at) const {
    constexpr int kSections = kForwardThreads / kWarp, kEach = kForwardGroups / kSections;
    Shared<MomentPart> shared = shared_memory<MomentPart>(0), sections = shared + 4 * kForwardThreads;
#pragma unroll
    for (int k = 0; k < 4; k++) shared[k * kForwardThreads + thread()] = part_of(moments[k], pixels);
    barrier();
    const int from = lane() % 4 * kForwardThreads + warp() * kEach * kOutputLanes + lane() / 4;
    sections[thread()] = merged(shared + from, kOutputLanes, kEach);
    barrier();
    if (warp() > 0 || at.output + lane() >= a.tiling.cout) return;
    a.parts[static_cast<int64_t>(at.tile) * a.tiling.cout + at.output + lane()] = merged(sections + lane(), kWarp, kSections);
  }
};

template <int S, class Source, class T>
SEGNAS_KERNEL(kForwardThreads) conv3x3_forward_tiles(const Conv3x3Forward<Source, T> a) {
  using P = Patch<S, kForwardRows>;
  const Conv3x3Place at = conv3x3_place(a.tiling, block_x());
  Shared<float> weights = shared_memory<float>(0), patch = weights + kWeightFloats;
  Conv3x3Run<S, Source, T> mine(a, at.output);
  const int j = at.column + mine.column;
  const bool inside = j > 0 && j * S - 1 + P::kReach <= a.tiling.in_w;
  for (int step = 0; step < a.tiling.band; step++) {
    const int first = at.row + step * kForwardRows, i = first + mine.row;
    if (first >= a.tiling.height) break;
    for (int channel = 0; channel < a.tiling.cin; channel += kChunk) {
      const int count = a.tiling.cin - channel < kChunk ? a.tiling.cin - channel : kChunk;
      barrier();
      if (step == 0 || a.tiling.cin > kChunk) stage_weights(weights, a, at.output, channel, count);
      P::stage(patch, a.x, a.x_pitch, a.tiling, at.picture, first * S - 1, at.column * S - 1, channel, count);
      barrier();
      if (inside) {
        mine.template add<true>(patch, weights, i, j, count);
      } else {
        mine.template add<false>(patch, weights, i, j, count);
      }
    }
    mine.finish(at.picture, i, j, at.output);
  }
  if (!a.parts) return;
  barrier();
  mine.put_moments(at);
}

// The tiling is conv3x3_tiling's for kForwardRows.
template <int S, class Source, class T>
segnas_status run_tiles(const char *name, Stream *s, const Conv3x3Forward<Source, T> &a, segnas_error *err) {
  constexpr size_t kTile = (kWeightFloats + Patch<S, kForwardRows>::kFloats) * sizeof(float), kParts = 5 * kForwardThreads * sizeof(MomentPart);
  const Grid grid = {a.tiling.tiles() * a.tiling.output_tiles, 1, 1, kForwardThreads, a.parts && kParts > kTile ? kParts : kTile};
  return launch(name, s->raw, err, grid, conv3x3_forward_tiles<S, Source, T>, a);
}

}  // namespace segnas::gpu
