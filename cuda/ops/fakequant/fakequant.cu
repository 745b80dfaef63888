// fakequant_forward and _backward (segnas.h, "fake quantisation"): P pixels of C channels, rounded to a quantiser's levels and clipped, and the
// gradients of that. Geometry and sums: plugin/columns.h.
//
//                    reads     writes   operations an element
//   quantise         x         y        5      two for the clip, x r, its rounding, s
//   gradients        x, dy     dx       5      two for the clip, two choices, a sum; with learned steps 5 more
//
// At two operations a byte or less both passes are bound by memory: in float32 on an H100 (3.35 TB/s) forward takes 8 P C bytes, 2.4 ps an element,
// backward 12 P C, 3.6 ps. Rounding goes to the conversion units, 16 a clock on a multiprocessor: an eighth of that time in float32, a quarter in 16 bits.
// r and s are two divisions a channel, for which a pass of their own would cost more than making them anew for every thread's 8 pixels or more;
// a clip of the whole tensor is a channel's clip that all channels share. kBatch pixels are read before the first is used, quads in one access.
//
// The clip's gradient leaves the second pass as sums of slabs, a channel's or a block's, which a warp each adds in double. y and dx have the CPU's bits: every
// operation is one IEEE rounding, none is contracted.
#include "../../plugin/columns.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kBatch = 4;

struct Clips {
  const float *at;
  bool per_channel;
  bool aligned;
};

SEGNAS_DEVICE QuadRange load_clip(const Clips &clips, const Levels &levels, int64_t channel, int64_t left) {
  QuadRange q;
  if (clips.per_channel) {
    q.high = load_quad(clips.at + channel, left, clips.aligned);
  } else {
    q.high.at[0] = q.high.at[1] = q.high.at[2] = q.high.at[3] = *clips.at;
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const Range range = range_of(levels, q.high.at[i]);
    q.low.at[i] = range.low, q.high.at[i] = range.high, q.r.at[i] = range.r, q.s.at[i] = range.s;
  }
  return q;
}

template <class Stored>
struct QuantiseArgs {
  Columns columns;
  Matrix<Stored> x, y;
  Clips clips;
  Levels levels;
};

template <class Stored>
SEGNAS_KERNEL(kColumnThreads) quantise(const QuantiseArgs<Stored> a) {
  const Column at = column_of(a.columns);
  const QuadRange clip = load_clip(a.clips, a.levels, at.channel, at.left);
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      x[i] = a.x.load(pixel, at.channel, pixel < at.end ? at.left : 0);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      Quad y;
#pragma unroll
      for (int c = 0; c < 4; c++) y.at[c] = quantised(x[i].at[c], clip.of(c));
      a.y.store(pixel, at.channel, y, pixel < at.end ? at.left : 0);
    }
  }
}

template <class Stored>
struct GradientArgs {
  Columns columns;
  Matrix<Stored> x, dy, dx;
  Clips clips;
  Levels levels;
  double *parts;  // of the clip's gradient: [slab][channels], or one a block
};

// What an element adds to its clip's gradient. Choices of values, no branches: neighbours differ. inverse: 1 / L.
template <bool kStep>
SEGNAS_DEVICE float step_term(float x, float dy, float low, float high, float r, float inverse, bool is_signed) {
  float inside = 0;
  if constexpr (kStep) {
    const float level = x * r, slope = dy * ((round_even(level) - level) * inverse);
    inside = x > low ? slope : 0.0f;
  }
  const float below = is_signed ? -dy : 0.0f, inside_or_below = x <= low ? below : inside;
  return x >= high ? dy : inside_or_below;
}

// The sum of all the block's sums into parts, a number a block. Every thread of the block calls it.
SEGNAS_DEVICE void put_total(ColumnSums<1> &sums, double *parts) {
  sums.flush();
  const double total = warp_sum((sums.sum[0][0] + sums.sum[0][1]) + (sums.sum[0][2] + sums.sum[0][3]));
  Shared<double> shared = shared_memory<double>(0);
  if (lane() == 0) shared[warp()] = total;
  barrier();
  if (thread() != 0) return;
  double all = 0;
  for (int i = 0; i < kColumnThreads / kWarp; i++) all += shared[i];
  parts[static_cast<int64_t>(block_x()) * blocks_y() + block_y()] = all;
}

// Two blocks a multiprocessor have 32 to 64 KB of loads under way, which is enough; for three the compiler would spill.
template <bool kStep, class Stored>
SEGNAS_KERNEL(kColumnThreads, 2) gradients(const GradientArgs<Stored> a) {
  const Column at = column_of(a.columns);
  const QuadRange clip = load_clip(a.clips, a.levels, at.channel, at.left);
  const float inverse = 1 / a.levels.count;
  ColumnSums<1> sums;
  for (int64_t p = at.begin; p < at.end; p += kBatch * a.columns.rows) {
    Quad x[kBatch], dy[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows, left = pixel < at.end ? at.left : 0;
      x[i] = a.x.load(pixel, at.channel, left);
      dy[i] = a.dy.load(pixel, at.channel, left);
    }
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      const int64_t pixel = p + i * a.columns.rows;
      if (pixel >= at.end) break;
      Quad dx, terms[1];
#pragma unroll
      for (int c = 0; c < 4; c++) {
        const float low = clip.low.at[c], high = clip.high.at[c], v = x[i].at[c], g = dy[i].at[c];
        dx.at[c] = v > low && v < high ? g : 0.0f;
        terms[0].at[c] = step_term<kStep>(v, g, low, high, clip.r.at[c], inverse, a.levels.is_signed);
      }
      sums.add(terms);
      a.dx.store(pixel, at.channel, dx, at.left);
    }
  }
  if (a.clips.per_channel) {
    put_sums(a.columns, at, sums, a.parts);
  } else {
    put_total(sums, a.parts);
  }
}

struct FinishArgs {
  const double *parts;  // [count][clips]
  int64_t count, clips;
  double scale;
  int32_t accumulate;
  float *dclip;
};

// A clip a warp.
SEGNAS_KERNEL(8 * kWarp) finish(const FinishArgs a) {
  const int64_t c = warp_channel();
  if (c >= a.clips) return;
  double sum = 0;
  for (int64_t i = lane(); i < a.count; i += kWarp) sum += a.parts[i * a.clips + c];
  sum = warp_sum(sum) * a.scale;
  if (lane() == 0) a.dclip[c] = static_cast<float>(a.accumulate ? sum + static_cast<double>(a.dclip[c]) : sum);
}

Clips clips_of(const segnas_tensor &clip) { return {f32(clip), channels_of(clip) > 1, matrix_at(f32(clip), 4).aligned}; }

}  // namespace

segnas_status fakequant_forward(void *stream, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *y,
                                segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Columns pass = pass_columns(pixels_of(*x), channels_of(*x));
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
    using T = decltype(type);
    return launch("fakequant_forward", s->raw, err, pass.grid(), quantise<T>,
                  QuantiseArgs<T>{pass, matrix_of<T>(*x), matrix_of<T>(*y), clips_of(*clip), levels_of(*q)});
  }));
  return succeed(err);
}

segnas_status fakequant_backward(void *stream, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *dy,
                                 int32_t accumulate, const segnas_tensor *dx, const segnas_tensor *dclip, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Columns columns = sum_columns(pixels_of(*x), channels_of(*x));
  const Clips clips = clips_of(*clip);
  const int64_t sums = clips.per_channel ? columns.channels : 1, count = clips.per_channel ? columns.slabs : columns.slabs * columns.groups;
  void *memory;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(count * sums) * sizeof(double), &memory, err));
  double *parts = static_cast<double *>(memory);
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
    using T = decltype(type);
    return launch("fakequant_backward", s->raw, err, columns.grid(column_sum_bytes<1>()),
                  q->gradient == SEGNAS_CLIP_STEP ? gradients<true, T> : gradients<false, T>,
                  GradientArgs<T>{columns, matrix_of<T>(*x), matrix_of<T>(*dy), matrix_of<T>(*dx), clips, levels_of(*q), parts});
  }));
  SEGNAS_GPU_TRY(launch("fakequant_clip_gradient", s->raw, err, warp_per_channel(sums), finish,
                        FinishArgs{parts, count, sums, static_cast<double>(q->scale), accumulate, f32(*dclip)}));
  return succeed(err);
}

}  // namespace segnas::gpu
