// Batch norm in passing (segnas.h): the norm made of statistics, and the passes for readers that take no norm. Arithmetic as in csrc/train/norm.cc:
// per channel in double, rounded once, so the norm has the CPU's bits where the statistics have. Passes: passes.h.
#include "../../plugin/ops.h"
#include "../moments/moments.h"
#include "passes.h"

namespace segnas::gpu {
namespace {

enum NormRow { kMean, kScale, kBeta, kInvStd, kCentre, kSlope, kLow, kHigh, kR, kS };

SEGNAS_DEVICE int64_t channel_of_thread() { return static_cast<int64_t>(block_x()) * threads() + thread(); }
Grid thread_per_channel(int64_t channels) { return {ceil_div<int64_t>(channels, 256), 1, 1, 256, 0}; }

struct Making {
  int64_t channels, pitch;
  float *norm;
  const float *gamma, *beta;
  float eps;

  SEGNAS_DEVICE void set(int64_t c, float mean, double var) const {
    const float inv_std = static_cast<float>(1.0 / square_root(var + static_cast<double>(eps)));
    norm[kMean * pitch + c] = mean;
    norm[kScale * pitch + c] = inv_std * gamma[c];
    norm[kBeta * pitch + c] = beta[c];
    norm[kInvStd * pitch + c] = inv_std;
    norm[kCentre * pitch + c] = norm[kSlope * pitch + c] = 0;
  }
};
Making making_of(const segnas_tensor &norm, const segnas_tensor &gamma, const segnas_tensor &beta, float eps) {
  return {norm.shape[1], norm.stride[0], f32(norm), f32(gamma), f32(beta), eps};
}

struct FromMoments {
  Making making;
  const double *moments;
  int64_t moments_pitch;
  double unbias;
  float update;
  float *running_mean, *running_var;  // both or neither
};

SEGNAS_KERNEL(256) from_moments(const FromMoments a) {
  const int64_t c = channel_of_thread();
  if (c >= a.making.channels) return;
  const float mean = static_cast<float>(a.moments[c]);
  const double var = a.moments[a.moments_pitch + c];
  a.making.set(c, mean, var);
  if (!a.running_mean) return;
  a.running_mean[c] = (1 - a.update) * a.running_mean[c] + a.update * mean;
  a.running_var[c] = (1 - a.update) * a.running_var[c] + a.update * static_cast<float>(var * a.unbias);
}

struct FromStatistics {
  Making making;
  const float *mean, *var;
};

SEGNAS_KERNEL(256) from_statistics(const FromStatistics a) {
  const int64_t c = channel_of_thread();
  if (c < a.making.channels) a.making.set(c, a.mean[c], static_cast<double>(a.var[c]));
}

struct BackwardArgs {
  int64_t channels, pitch, sums_pitch;
  float *norm;
  const double *sums;
  double count;
  int32_t frozen, accumulate;
  float *dgamma, *dbeta;
};

SEGNAS_KERNEL(256) backward_of_sums(const BackwardArgs a) {
  const int64_t c = channel_of_thread();
  if (c >= a.channels) return;
  const double sum = a.sums[c], product = a.sums[a.sums_pitch + c], inv_std = static_cast<double>(a.norm[kInvStd * a.pitch + c]);
  const float dgamma = static_cast<float>(product * inv_std), dbeta = static_cast<float>(sum);
  a.dgamma[c] = a.accumulate ? a.dgamma[c] + dgamma : dgamma;
  a.dbeta[c] = a.accumulate ? a.dbeta[c] + dbeta : dbeta;
  a.norm[kCentre * a.pitch + c] = a.frozen ? 0.0f : static_cast<float>(sum / a.count);
  a.norm[kSlope * a.pitch + c] = a.frozen ? 0.0f : static_cast<float>(product / a.count * inv_std * inv_std);
}

struct QuantiseNormArgs {
  int64_t channels, pitch;
  float *norm;
  const float *clips;
  bool per_channel;
  Levels levels;
};

SEGNAS_KERNEL(256) quantise_norm(const QuantiseNormArgs a) {
  const int64_t c = channel_of_thread();
  if (c >= a.channels) return;
  const Range range = range_of(a.levels, a.clips[a.per_channel ? c : 0]);
  a.norm[kLow * a.pitch + c] = range.low;
  a.norm[kHigh * a.pitch + c] = range.high;
  a.norm[kR * a.pitch + c] = range.r;
  a.norm[kS * a.pitch + c] = range.s;
}

struct ClipGradientArgs {
  int64_t channels, clips;
  const double *sums;  // of what lies beyond, [channels]
  double scale;
  int32_t accumulate;
  float *dclip;
};

// A clip a warp; one clip of all channels is their sum.
SEGNAS_KERNEL(8 * kWarp) clip_gradient(const ClipGradientArgs a) {
  const int64_t c = warp_channel();
  if (c >= a.clips) return;
  double sum = 0;
  if (a.clips > 1) {
    sum = a.sums[c];
  } else {
    for (int64_t i = lane(); i < a.channels; i += kWarp) sum += a.sums[i];
    sum = warp_sum(sum);
  }
  const float g = static_cast<float>(a.scale * sum);
  if (lane() == 0) a.dclip[c] = a.accumulate ? a.dclip[c] + g : g;
}

}  // namespace

segnas_status norm_from_moments(void *stream, const segnas_tensor *moments, int64_t pixels, const segnas_tensor *gamma, const segnas_tensor *beta,
                                float eps, float update, const segnas_tensor *running_mean, const segnas_tensor *running_var,
                                const segnas_tensor *norm, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const double unbias = pixels > 1 ? static_cast<double>(pixels) / static_cast<double>(pixels - 1) : 1;
  SEGNAS_GPU_TRY(launch("norm_from_moments", s->raw, err, thread_per_channel(norm->shape[1]), from_moments,
                        FromMoments{making_of(*norm, *gamma, *beta, eps), f64(*moments), moments->stride[0], unbias, update,
                                    running_mean ? f32(*running_mean) : nullptr, running_mean ? f32(*running_var) : nullptr}));
  return succeed(err);
}

segnas_status norm_from_statistics(void *stream, const segnas_tensor *mean, const segnas_tensor *var, const segnas_tensor *gamma,
                                   const segnas_tensor *beta, float eps, const segnas_tensor *norm, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(launch("norm_from_statistics", s->raw, err, thread_per_channel(norm->shape[1]), from_statistics,
                        FromStatistics{making_of(*norm, *gamma, *beta, eps), f32(*mean), f32(*var)}));
  return succeed(err);
}

segnas_status norm_forward(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *y, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Columns pass = pass_columns(pixels_of(*x), channels_of(*x));
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
    using T = decltype(type);
    return launch("norm_forward", s->raw, err, pass.grid(), quantises(norm) ? apply<true, T> : apply<false, T>,
                  ApplyArgs<T>{pass, matrix_of<T>(*x), matrix_of<T>(*y), quad_norms_of(norm, relu)});
  }));
  return succeed(err);
}

segnas_status norm_sums(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da,
                        const segnas_tensor *sums, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t channels = channels_of(*x);
  const Columns columns = sum_columns(pixels_of(*x), channels);
  void *slabs;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(sums->shape[0] * columns.slabs * channels) * sizeof(double), &slabs, err));
  SEGNAS_GPU_TRY(with_quantised(quantises(norm), [&](auto quantised) {
    constexpr bool kQuantised = decltype(quantised)::value;
    SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
      using T = decltype(type);
      return launch("norm_sums", s->raw, err, columns.grid(column_sum_bytes<kQuantised ? 3 : 2>()), gradient_sums<false, kQuantised, T>,
                    GradientArgs<T>{columns, matrix_of<T>(*x), matrix_of<T>(*da), {}, quad_norms_of(norm, relu), static_cast<double *>(slabs)});
    }));
    return finish_gradient_sums(s, static_cast<const PartOf<kQuantised> *>(slabs), columns.slabs, channels, *sums, err);
  }));
  return succeed(err);
}

segnas_status norm_backward(void *stream, const segnas_tensor *sums, int64_t pixels, int32_t frozen, int32_t accumulate, const segnas_tensor *norm,
                            const segnas_tensor *dgamma, const segnas_tensor *dbeta, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t channels = norm->shape[1];
  SEGNAS_GPU_TRY(launch("norm_backward", s->raw, err, thread_per_channel(channels), backward_of_sums,
                        BackwardArgs{channels, norm->stride[0], sums->stride[0], f32(*norm), f64(*sums), static_cast<double>(pixels), frozen,
                                     accumulate, f32(*dgamma), f32(*dbeta)}));
  return succeed(err);
}

segnas_status norm_gradient(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da,
                            const segnas_tensor *dx, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Columns pass = pass_columns(pixels_of(*x), channels_of(*x));
  SEGNAS_GPU_TRY(with_activation(*x, [&](auto type) {
    using T = decltype(type);
    return launch("norm_gradient", s->raw, err, pass.grid(), quantises(norm) ? gradient<true, T> : gradient<false, T>,
                  GradientArgs<T>{pass, matrix_of<T>(*x), matrix_of<T>(*da), matrix_of<T>(*dx), quad_norms_of(norm, relu), nullptr});
  }));
  return succeed(err);
}

segnas_status norm_quantise(void *stream, const segnas_quantiser *q, const segnas_tensor *clip, const segnas_tensor *norm, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t channels = norm->shape[1];
  SEGNAS_GPU_TRY(launch("norm_quantise", s->raw, err, thread_per_channel(channels), quantise_norm,
                        QuantiseNormArgs{channels, norm->stride[0], f32(*norm), f32(*clip), channels_of(*clip) > 1, levels_of(*q)}));
  return succeed(err);
}

segnas_status norm_quantise_backward(void *stream, const segnas_quantiser *q, const segnas_tensor *sums, int32_t accumulate, const segnas_tensor *dclip,
                                     segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t clips = channels_of(*dclip);
  SEGNAS_GPU_TRY(launch("norm_quantise_backward", s->raw, err, warp_per_channel(clips), clip_gradient,
                        ClipGradientArgs{sums->shape[1], clips, f64(*sums) + 2 * sums->stride[0], static_cast<double>(q->scale), accumulate, f32(*dclip)}));
  return succeed(err);
}

}  // namespace segnas::gpu
