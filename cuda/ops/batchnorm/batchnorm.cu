// Batch norm as a layer of its own (csrc/ops/batchnorm/batchnorm.h): forward is the passes moments and apply, backward gradient_sums and gradient
// (with given statistics one pass), with a warp per channel between them that adds the slabs and does the channel's arithmetic, in double as on the
// CPU. Passes: passes.h.
#include "../../plugin/ops.h"
#include "passes.h"

namespace segnas::gpu {
namespace {

// Scratch: doubles first, then vectors of floats.
struct Parts {
  double *slabs;
  float *vectors[2];

  static segnas_status take(Stream *s, const Columns &c, Parts *parts, segnas_error *err) {
    const size_t channels = static_cast<size_t>(c.channels), sums = 2 * channels * static_cast<size_t>(c.slabs);
    void *memory;
    SEGNAS_GPU_TRY(s->reserve(sums * sizeof(double) + 2 * channels * sizeof(float), &memory, err));
    parts->slabs = static_cast<double *>(memory);
    parts->vectors[0] = reinterpret_cast<float *>(parts->slabs + sums);
    parts->vectors[1] = parts->vectors[0] + channels;
    return SEGNAS_OK;
  }
};

QuadNorms given(const float *mean, const float *scale, const float *beta, int32_t relu) {
  QuadNorms norms;
  norms.rows.mean = mean, norms.rows.scale = scale, norms.rows.beta = beta, norms.rows.relu = relu;
  return norms;
}

SEGNAS_DEVICE float inverse_std(double var, float eps) { return static_cast<float>(1.0 / square_root(var + static_cast<double>(eps))); }

struct StatisticsArgs {
  Columns columns;
  const double *slabs;
  const float *shift, *gamma;
  float eps, update;
  float *running_mean, *running_var;  // both or neither
  float *mean, *inv_std, *scale;
};

SEGNAS_KERNEL(8 * kWarp) statistics(const StatisticsArgs a) {
  const int64_t c = warp_channel();
  if (c >= a.columns.channels) return;
  const double count = static_cast<double>(a.columns.pixels);
  const double offset = sum_slabs<2>(a.columns, a.slabs, c, 0) / count;
  double var = sum_slabs<2>(a.columns, a.slabs, c, 1) / count - offset * offset;
  if (lane() != 0) return;
  if (var < 0) var = 0;
  const float mean = static_cast<float>(static_cast<double>(a.shift[c]) + offset), inv_std = inverse_std(var, a.eps);
  a.mean[c] = mean;
  a.inv_std[c] = inv_std;
  a.scale[c] = inv_std * a.gamma[c];
  if (!a.running_mean) return;
  const double unbiased = a.columns.pixels > 1 ? var * (count / (count - 1)) : var;
  a.running_mean[c] = (1 - a.update) * a.running_mean[c] + a.update * mean;
  a.running_var[c] = (1 - a.update) * a.running_var[c] + a.update * static_cast<float>(unbiased);
}

struct ScaleArgs {
  int64_t channels;
  const float *var, *gamma;
  float eps;
  float *scale;
};

SEGNAS_KERNEL(256) scale_of(const ScaleArgs a) {
  const int64_t c = static_cast<int64_t>(block_x()) * threads() + thread();
  if (c < a.channels) a.scale[c] = inverse_std(static_cast<double>(a.var[c]), a.eps) * a.gamma[c];
}

struct ParameterArgs {
  Columns columns;
  const double *slabs;
  const float *inv_std;
  int32_t accumulate;
  float *dgamma, *dbeta, *centre, *slope;
};

SEGNAS_KERNEL(8 * kWarp) parameter_gradients(const ParameterArgs a) {
  const int64_t c = warp_channel();
  if (c >= a.columns.channels) return;
  const double count = static_cast<double>(a.columns.pixels), inv_std = static_cast<double>(a.inv_std[c]);
  const double sum = sum_slabs<2>(a.columns, a.slabs, c, 0), product = sum_slabs<2>(a.columns, a.slabs, c, 1);
  if (lane() != 0) return;
  const float dgamma = static_cast<float>(product * inv_std), dbeta = static_cast<float>(sum);
  a.dgamma[c] = a.accumulate ? a.dgamma[c] + dgamma : dgamma;
  a.dbeta[c] = a.accumulate ? a.dbeta[c] + dbeta : dbeta;
  a.centre[c] = static_cast<float>(sum / count);
  a.slope[c] = static_cast<float>(product / count * inv_std * inv_std);
}

}  // namespace

segnas_status batchnorm_forward(void *stream, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, float update,
                                int32_t relu, const segnas_tensor *running_mean, const segnas_tensor *running_var, const segnas_tensor *mean,
                                const segnas_tensor *inv_std, const segnas_tensor *y, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*x), channels = channels_of(*x);
  const Columns sums = sum_columns(pixels, channels), pass = pass_columns(pixels, channels);
  Parts parts;
  SEGNAS_GPU_TRY(Parts::take(s, sums, &parts, err));
  float *shift = parts.vectors[0], *scale = parts.vectors[1];
  SEGNAS_GPU_TRY(launch("batchnorm_moments", s->raw, err, sums.grid(column_sum_bytes<2>()), moments<float>,
                        MomentsArgs<float>{sums, matrix_of(*x), parts.slabs, shift}));
  SEGNAS_GPU_TRY(launch("batchnorm_statistics", s->raw, err, warp_per_channel(channels), statistics,
                        StatisticsArgs{sums, parts.slabs, shift, f32(*gamma), eps, update, running_mean ? f32(*running_mean) : nullptr,
                                       running_mean ? f32(*running_var) : nullptr, f32(*mean), f32(*inv_std), scale}));
  SEGNAS_GPU_TRY(launch("batchnorm_apply", s->raw, err, pass.grid(), apply<false, float>,
                        ApplyArgs<float>{pass, matrix_of(*x), matrix_of(*y), given(f32(*mean), scale, f32(*beta), relu)}));
  return succeed(err);
}

segnas_status batchnorm_inference(void *stream, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta,
                                  const segnas_tensor *mean, const segnas_tensor *var, float eps, int32_t relu, const segnas_tensor *y,
                                  segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t channels = channels_of(*x);
  const Columns pass = pass_columns(pixels_of(*x), channels);
  void *scale;
  SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(channels) * sizeof(float), &scale, err));
  SEGNAS_GPU_TRY(launch("batchnorm_scale", s->raw, err, {ceil_div<int64_t>(channels, 256), 1, 1, 256, 0}, scale_of,
                        ScaleArgs{channels, f32(*var), f32(*gamma), eps, static_cast<float *>(scale)}));
  SEGNAS_GPU_TRY(launch("batchnorm_apply", s->raw, err, pass.grid(), apply<false, float>,
                        ApplyArgs<float>{pass, matrix_of(*x), matrix_of(*y), given(f32(*mean), static_cast<float *>(scale), f32(*beta), relu)}));
  return succeed(err);
}

segnas_status batchnorm_backward(void *stream, const segnas_tensor *x, const segnas_tensor *dy, const segnas_tensor *gamma, const segnas_tensor *beta,
                                 const segnas_tensor *mean, const segnas_tensor *inv_std, int32_t relu, int32_t frozen, int32_t accumulate,
                                 const segnas_tensor *dgamma, const segnas_tensor *dbeta, const segnas_tensor *dx, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int64_t pixels = pixels_of(*x), channels = channels_of(*x);
  const Columns sums = sum_columns(pixels, channels), pass = pass_columns(pixels, channels);
  Parts parts;
  SEGNAS_GPU_TRY(Parts::take(s, sums, &parts, err));
  float *centre = parts.vectors[0], *slope = parts.vectors[1];
  QuadNorms norm = given(f32(*mean), f32(*inv_std), f32(*beta), relu);
  norm.gamma = f32(*gamma), norm.rows.centre = centre, norm.rows.slope = slope;
  GradientArgs<float> args = {sums, matrix_of(*x), matrix_of(*dy), matrix_of(*dx), norm, parts.slabs};
  SEGNAS_GPU_TRY(launch("batchnorm_gradient_sums", s->raw, err, sums.grid(column_sum_bytes<2>()),
                        frozen ? gradient_sums<true, false, float> : gradient_sums<false, false, float>, args));
  SEGNAS_GPU_TRY(launch("batchnorm_parameter_gradients", s->raw, err, warp_per_channel(channels), parameter_gradients,
                        ParameterArgs{sums, parts.slabs, f32(*inv_std), accumulate, f32(*dgamma), f32(*dbeta), centre, slope}));
  if (frozen) return succeed(err);
  args.columns = pass;
  SEGNAS_GPU_TRY(launch("batchnorm_gradient", s->raw, err, pass.grid(), gradient<false, float>, args));
  return succeed(err);
}

}  // namespace segnas::gpu
