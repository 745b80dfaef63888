// segnas_batchnorm_*: checks, the split into slabs, and the per-channel arithmetic between the passes.
#include "batchnorm.h"

#include <algorithm>
#include <cmath>

#include "../../core/slabs.h"
#include "../../core/view.h"

namespace segnas {
namespace {

// Scratch of one call: per-channel vectors, a block per worker, and the slabs' sums.
struct Workspace {
  float *vectors[3];  // [channels] each
  float *blocks;      // per worker, block_floats apart
  size_t block_floats;
  double *sums;  // [slabs][2][channels]

  bool take(segnas_stream *s, int64_t channels, int64_t slabs) {
    size_t vector = cache_lines(static_cast<size_t>(channels) * sizeof(float));
    size_t block = cache_lines(2 * static_cast<size_t>(channels) * sizeof(float));
    size_t threads = static_cast<size_t>(s->context->pool->threads());
    size_t sum_bytes = 2 * static_cast<size_t>(channels * slabs) * sizeof(double);
    char *memory = static_cast<char *>(s->scratch.reserve(3 * vector + threads * block + sum_bytes));
    if (!memory) return false;
    for (size_t i = 0; i < 3; i++) vectors[i] = reinterpret_cast<float *>(memory + i * vector);
    blocks = reinterpret_cast<float *>(memory + 3 * vector);
    block_floats = block / sizeof(float);
    sums = reinterpret_cast<double *>(memory + 3 * vector + threads * block);
    return true;
  }
};

segnas_status no_memory(const char *op, segnas_error *err) { return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", op); }

// The mean of up to 16 pixels spread over x, exact for a constant channel; 0 where it is not finite.
void shift_of(const float *x, const Pixels &px, float *shift) {
  int64_t samples = 1;
  while (samples < 16 && 2 * samples <= px.count()) samples *= 2;
  for (int64_t c = 0; c < px.channels; c++) {
    double sum = 0;
    for (int64_t i = 0; i < samples; i++) sum += static_cast<double>(x[i * px.count() / samples * px.pitch + c]);
    float mean = static_cast<float>(sum / static_cast<double>(samples));
    shift[c] = std::isfinite(mean) ? mean : 0.0f;
  }
}

// Adds the slabs' sums to the first slab's, in order.
void add_slabs(int64_t channels, int64_t slabs, double *sums) {
  for (int64_t slab = 1; slab < slabs; slab++) {
    const double *part = sums + slab * 2 * channels;
    for (int64_t c = 0; c < 2 * channels; c++) sums[c] += part[c];
  }
}

float inverse_std(double var, float eps) { return static_cast<float>(1.0 / std::sqrt(var + static_cast<double>(eps))); }

struct Vectors {
  const float *gamma, *beta;
  float eps, update;
  float *running_mean, *running_var;  // both or neither
  float *mean, *inv_std;
};

// Statistics from the total sums about shift; scale is inv_std gamma.
void finish_statistics(int64_t channels, int64_t pixels, const double *sums, const float *shift, const Vectors &v, float *scale) {
  double count = static_cast<double>(pixels);
  for (int64_t c = 0; c < channels; c++) {
    double offset = sums[c] / count;
    double var = sums[channels + c] / count - offset * offset;
    if (var < 0) var = 0;
    v.mean[c] = static_cast<float>(static_cast<double>(shift[c]) + offset);
    v.inv_std[c] = inverse_std(var, v.eps);
    scale[c] = v.inv_std[c] * v.gamma[c];
    if (!v.running_mean) continue;
    double unbiased = pixels > 1 ? var * (count / (count - 1)) : var;
    v.running_mean[c] = (1 - v.update) * v.running_mean[c] + v.update * v.mean[c];
    v.running_var[c] = (1 - v.update) * v.running_var[c] + v.update * static_cast<float>(unbiased);
  }
}

segnas_status check_flag(const char *op, const char *name, int32_t flag, segnas_error *err) {
  if (flag == 0 || flag == 1) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %d, should be 0 or 1", op, name, flag);
}

segnas_status check_eps(const char *op, float eps, segnas_error *err) {
  if (eps >= 0 && std::isfinite(eps)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: eps is %g, should be finite and not negative", op, static_cast<double>(eps));
}

// Two activations of one shape.
segnas_status check_pair(const segnas_stream *s, const char *op, const segnas_tensor *a, const char *a_name, Pixels *a_pixels, const segnas_tensor *b,
                         const char *b_name, Pixels *b_pixels, segnas_error *err) {
  SEGNAS_TRY(check_pixels(s, op, a_name, a, a_pixels, err));
  SEGNAS_TRY(check_pixels(s, op, b_name, b, b_pixels, err));
  if (same_shape(*a, *b)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s and %s differ in shape", op, a_name, b_name);
}

// y = normalised x over the slabs.
void apply_slabs(segnas_stream *s, const BatchnormApply &whole) {
  Slabs slabs(whole.pixels, whole.channels, kBatchnormBlock);
  s->context->pool->run(slabs.count, [&](int64_t slab, int) {
    BatchnormApply a = whole;
    a.x += slabs.begin(slab) * a.x_pitch;
    a.y += slabs.begin(slab) * a.y_pitch;
    a.pixels = slabs.size(slab, whole.pixels);
    s->context->kernels->batchnorm.apply(a);
  });
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_batchnorm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta,
                                                  float eps, float update, int32_t relu, const segnas_tensor *running_mean,
                                                  const segnas_tensor *running_var, const segnas_tensor *mean, const segnas_tensor *inv_std,
                                                  const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels xp, yp;
  SEGNAS_TRY(check_pair(s, __func__, x, "x", &xp, y, "y", &yp, err));
  SEGNAS_TRY(check_vector(s, __func__, "gamma", gamma, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "beta", beta, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "mean", mean, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "inv_std", inv_std, xp.channels, err));
  if (!running_mean != !running_var) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: running_mean and running_var go together", __func__);
  if (running_mean) {
    SEGNAS_TRY(check_vector(s, __func__, "running_mean", running_mean, xp.channels, err));
    SEGNAS_TRY(check_vector(s, __func__, "running_var", running_var, xp.channels, err));
  }
  SEGNAS_TRY(check_eps(__func__, eps, err));
  SEGNAS_TRY(check_flag(__func__, "relu", relu, err));
  if (!(update >= 0 && update <= 1))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: update is %g, should be in [0,1]", __func__, static_cast<double>(update));
  SEGNAS_DISPATCH(s, batchnorm_forward, err, x, gamma, beta, eps, update, relu, running_mean, running_var, mean, inv_std, y);

  Slabs slabs(xp.count(), xp.channels, kBatchnormBlock);
  Workspace work;
  if (!work.take(s, xp.channels, slabs.count)) return no_memory(__func__, err);
  float *shift = work.vectors[0], *scale = work.vectors[1];
  shift_of(f32(*x), xp, shift);
  s->context->pool->run(slabs.count, [&](int64_t slab, int worker) {
    s->context->kernels->batchnorm.sums({f32(*x) + slabs.begin(slab) * xp.pitch, xp.pitch, slabs.size(slab, xp.count()), xp.channels, shift,
                                         work.blocks + static_cast<size_t>(worker) * work.block_floats, work.sums + slab * 2 * xp.channels});
  });
  add_slabs(xp.channels, slabs.count, work.sums);
  Vectors v = {f32(*gamma), f32(*beta), eps, update, running_mean ? f32(*running_mean) : nullptr, running_mean ? f32(*running_var) : nullptr,
               f32(*mean), f32(*inv_std)};
  finish_statistics(xp.channels, xp.count(), work.sums, shift, v, scale);
  apply_slabs(s, {f32(*x), xp.pitch, f32(*y), yp.pitch, xp.count(), xp.channels, v.mean, scale, v.beta, relu});
  return succeed(err);
}

SEGNAS_API segnas_status segnas_batchnorm_inference(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta,
                                                    const segnas_tensor *mean, const segnas_tensor *var, float eps, int32_t relu,
                                                    const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels xp, yp;
  SEGNAS_TRY(check_pair(s, __func__, x, "x", &xp, y, "y", &yp, err));
  SEGNAS_TRY(check_vector(s, __func__, "gamma", gamma, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "beta", beta, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "mean", mean, xp.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "var", var, xp.channels, err));
  SEGNAS_TRY(check_eps(__func__, eps, err));
  SEGNAS_TRY(check_flag(__func__, "relu", relu, err));
  SEGNAS_DISPATCH(s, batchnorm_inference, err, x, gamma, beta, mean, var, eps, relu, y);

  Workspace work;
  if (!work.take(s, xp.channels, 0)) return no_memory(__func__, err);
  float *scale = work.vectors[0];
  for (int64_t c = 0; c < xp.channels; c++) scale[c] = inverse_std(static_cast<double>(f32(*var)[c]), eps) * f32(*gamma)[c];
  apply_slabs(s, {f32(*x), xp.pitch, f32(*y), yp.pitch, xp.count(), xp.channels, f32(*mean), scale, f32(*beta), relu});
  return succeed(err);
}

}  // extern "C"

namespace segnas {
namespace {

struct Backward {
  Pixels x_pixels, dy_pixels, dx_pixels;
  const float *x, *dy, *gamma, *beta, *mean, *inv_std;
  float *dx, *dgamma, *dbeta;
  int32_t relu;
  bool frozen, accumulate;
};

// Parameter gradients from the total sums, and what the second pass needs of them.
void finish_gradients(const Backward &b, const double *sums, float *centre, float *slope) {
  int64_t channels = b.x_pixels.channels;
  double count = static_cast<double>(b.x_pixels.count());
  for (int64_t c = 0; c < channels; c++) {
    double inv_std = static_cast<double>(b.inv_std[c]);
    float dgamma = static_cast<float>(sums[channels + c] * inv_std), dbeta = static_cast<float>(sums[c]);
    centre[c] = static_cast<float>(sums[c] / count);
    slope[c] = static_cast<float>(sums[channels + c] / count * inv_std * inv_std);
    b.dgamma[c] = b.accumulate ? b.dgamma[c] + dgamma : dgamma;
    b.dbeta[c] = b.accumulate ? b.dbeta[c] + dbeta : dbeta;
  }
}

void backward(segnas_stream *s, const Backward &b, const Slabs &slabs, const Workspace &work) {
  const Pixels &xp = b.x_pixels;
  const BatchnormKernels &kernels = s->context->kernels->batchnorm;
  float *scale = work.vectors[0], *centre = work.vectors[1], *slope = work.vectors[2];
  for (int64_t c = 0; c < xp.channels; c++) scale[c] = b.inv_std[c] * b.gamma[c];
  s->context->pool->run(slabs.count, [&](int64_t slab, int worker) {
    int64_t at = slabs.begin(slab);
    kernels.gradient_sums({b.x + at * xp.pitch, xp.pitch, b.dy + at * b.dy_pixels.pitch, b.dy_pixels.pitch, slabs.size(slab, xp.count()),
                           xp.channels, b.mean, scale, b.beta, b.relu, b.frozen ? b.dx + at * b.dx_pixels.pitch : nullptr, b.dx_pixels.pitch,
                           work.blocks + static_cast<size_t>(worker) * work.block_floats, work.sums + slab * 2 * xp.channels});
  });
  add_slabs(xp.channels, slabs.count, work.sums);
  finish_gradients(b, work.sums, centre, slope);
  if (b.frozen) return;
  s->context->pool->run(slabs.count, [&](int64_t slab, int) {
    int64_t at = slabs.begin(slab);
    kernels.gradient({b.x + at * xp.pitch, xp.pitch, b.dy + at * b.dy_pixels.pitch, b.dy_pixels.pitch, slabs.size(slab, xp.count()),
                      xp.channels, b.mean, scale, b.beta, centre, slope, b.relu, b.dx + at * b.dx_pixels.pitch, b.dx_pixels.pitch});
  });
}

}  // namespace
}  // namespace segnas

extern "C" {

SEGNAS_API segnas_status segnas_batchnorm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, const segnas_tensor *gamma,
                                                   const segnas_tensor *beta, const segnas_tensor *mean, const segnas_tensor *inv_std, int32_t relu,
                                                   int32_t frozen, int32_t accumulate, const segnas_tensor *dgamma, const segnas_tensor *dbeta,
                                                   const segnas_tensor *dx, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Backward b;
  SEGNAS_TRY(check_pair(s, __func__, x, "x", &b.x_pixels, dy, "dy", &b.dy_pixels, err));
  SEGNAS_TRY(check_pair(s, __func__, x, "x", &b.x_pixels, dx, "dx", &b.dx_pixels, err));
  int64_t channels = b.x_pixels.channels;
  SEGNAS_TRY(check_vector(s, __func__, "gamma", gamma, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "beta", beta, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "mean", mean, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "inv_std", inv_std, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "dgamma", dgamma, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "dbeta", dbeta, channels, err));
  SEGNAS_TRY(check_flag(__func__, "relu", relu, err));
  SEGNAS_TRY(check_flag(__func__, "frozen", frozen, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  SEGNAS_DISPATCH(s, batchnorm_backward, err, x, dy, gamma, beta, mean, inv_std, relu, frozen, accumulate, dgamma, dbeta, dx);

  Slabs slabs(b.x_pixels.count(), channels, kBatchnormBlock);
  Workspace work;
  if (!work.take(s, channels, slabs.count)) return no_memory(__func__, err);
  b.x = f32(*x), b.dy = f32(*dy), b.gamma = f32(*gamma), b.beta = f32(*beta), b.mean = f32(*mean), b.inv_std = f32(*inv_std);
  b.dx = f32(*dx), b.dgamma = f32(*dgamma), b.dbeta = f32(*dbeta);
  b.relu = relu, b.frozen = frozen, b.accumulate = accumulate;
  backward(s, b, slabs, work);
  return succeed(err);
}

}  // extern "C"
