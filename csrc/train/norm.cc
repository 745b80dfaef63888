// segnas_norm_*, and what the fused convolutions share.
#include "norm.h"

namespace segnas {

segnas_status out_of_scratch(const char *op, segnas_error *err) { return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", op); }

segnas_status check_flag(const char *op, const char *name, int32_t flag, segnas_error *err) {
  if (flag == 0 || flag == 1) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %d, should be 0 or 1", op, name, flag);
}

segnas_status check_sums_wanted(const char *op, const segnas_tensor *x_norm, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err) {
  if (!sums || (x_norm && dx)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: sums are wanted without %s", op, x_norm ? "dx" : "x_norm");
}

segnas_status check_norm_rows(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int64_t *pitch,
                              segnas_error *err) {
  const bool quantised = t && t->rank == 2 && quantised_norm(*t);
  SEGNAS_TRY(check_matrix(s, op, name, t, quantised ? kNormQuantisedRows : kNormRows, channels, pitch, err));
  if (!quantised || !s->context->backend || s->context->backend->ops.norm_quantise) return SEGNAS_OK;
  return fail(err, SEGNAS_NO_KERNEL, "%s: %s has %d rows; %s does not quantise in passing", op, name, kNormQuantisedRows, s->context->device_name);
}

segnas_status check_norm(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int32_t relu, Norm *norm,
                         segnas_error *err) {
  int64_t pitch;
  SEGNAS_TRY(check_norm_rows(s, op, name, t, channels, &pitch, err));
  SEGNAS_TRY(check_flag(op, "relu", relu, err));
  const float *rows = f32(*t);
  *norm = {rows + kNormMean * pitch, rows + kNormScale * pitch, rows + kNormBeta * pitch, rows + kNormCentre * pitch, rows + kNormSlope * pitch,
           relu != 0};
  if (quantised_norm(*t)) norm->range = {rows + kNormLow * pitch, rows + kNormHigh * pitch, rows + kNormR * pitch, rows + kNormS * pitch};
  return SEGNAS_OK;
}

segnas_status check_optional_norm(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int32_t relu,
                                  Norm *norm, segnas_error *err) {
  if (t) return check_norm(s, op, name, t, channels, relu, norm, err);
  return check_flag(op, "relu", relu, err);
}

segnas_status check_totals(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int rows, int64_t channels, Totals *totals,
                           segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, name, t, SEGNAS_F64, err));
  if (t->rank != 2 || t->shape[0] != rows || t->shape[1] != channels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s should be %d x %lld", op, name, rows, static_cast<long long>(channels));
  if ((channels > 1 && t->stride[1] != 1) || t->stride[0] < channels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: the column stride must be 1 and rows must not overlap", op, name);
  for (int row = 0; row < rows; row++) totals->rows[row] = f64(*t) + row * t->stride[0];
  return SEGNAS_OK;
}

segnas_status check_like(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, const char *like_name, const segnas_tensor *like,
                         Rows *rows, segnas_error *err) {
  Pixels pixels;
  SEGNAS_TRY(check_stored_pixels(s, op, name, t, &pixels, err));
  SEGNAS_TRY(check_alike(op, name, t, like_name, like, err));
  if (!same_shape(*t, *like)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s and %s differ in shape", op, name, like_name);
  *rows = {f32(*t), pixels.pitch};
  return SEGNAS_OK;
}

segnas_status check_window(const segnas_stream *s, const char *op, const segnas_tensor *x, const char *w_name, const segnas_tensor *w, const char *y_name,
                           const segnas_tensor *y, int64_t k, int32_t stride, Window *window, int64_t *w_pitch, segnas_error *err) {
  Pixels in, out;
  SEGNAS_TRY(k == 0 ? check_stored_pixels(s, op, "x", x, &in, err) : check_pixels(s, op, "x", x, &in, err));
  SEGNAS_TRY(check_stored_pixels(s, op, y_name, y, &out, err));
  if (k == 0) SEGNAS_TRY(check_alike(op, "x", x, y_name, y, err));
  if (x->rank != 4 || y->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: x and %s should have rank 4 (N,H,W,C)", op, y_name);
  const bool depthwise = k == 0;
  SEGNAS_TRY(check_matrix(s, op, w_name, w, depthwise ? -1 : k * k * in.channels, out.channels, w_pitch, err));
  if (depthwise) {
    for (int64_t size : {3, 5, 7}) k = w->shape[0] == size * size ? size : k;
    if (k == 0) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has %lld rows, should be 9, 25 or 49", op, w_name, static_cast<long long>(w->shape[0]));
    SEGNAS_TRY(check_equal(op, "number of channels of the output", out.channels, in.channels, err));
  }
  if (stride != 1 && stride != 2) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: stride is %d, should be 1 or 2", op, stride);
  SEGNAS_TRY(check_equal(op, "number of pictures of the output", out.n, in.n, err));
  SEGNAS_TRY(check_equal(op, "height of the output", out.h, (in.h - 1) / stride + 1, err));
  SEGNAS_TRY(check_equal(op, "width of the output", out.w, (in.w - 1) / stride + 1, err));
  *window = {in.n, in.h, in.w, out.h, out.w, in.channels, out.channels, k, stride};
  return SEGNAS_OK;
}

namespace {

// The mean of up to 8 pixels spread over rows, in double, so exact for a constant channel; 0 where it is not finite.
void take_shift(Rows rows, int64_t pixels, int64_t channels, float *shift) {
  constexpr int64_t kChannels = 64;
  int64_t samples = 1;
  while (samples < 8 && 2 * samples <= pixels) samples *= 2;
  for (int64_t begin = 0; begin < channels; begin += kChannels) {
    const int64_t n = std::min(kChannels, channels - begin);
    double sum[kChannels] = {};
    for (int64_t i = 0; i < samples; i++) {
      const float *row = rows.at + i * pixels / samples * rows.pitch + begin;
      for (int64_t c = 0; c < n; c++) sum[c] += static_cast<double>(row[c]);
    }
    for (int64_t c = 0; c < n; c++) {
      const float mean = static_cast<float>(sum[c] / static_cast<double>(samples));
      shift[begin + c] = std::isfinite(mean) ? mean : 0;
    }
  }
}

}  // namespace

void PieceSums::measure(const Kernels &kernels, int64_t piece, int worker, bool first, Rows rows, int64_t pixels) const {
  if (first) take_shift(rows, pixels, channels_, shift(piece));
  kernels.batchnorm.sums({rows.at, rows.pitch, pixels, channels_, shift(piece), block(worker), sums(piece), !first});
}

void PieceSums::add_gradient(const Kernels &kernels, int64_t piece, int worker, bool first, const Norm &norm, Rows x, Rows da, int64_t pixels) const {
  kernels.batchnorm.gradient_sums({x.at, x.pitch, da.at, da.pitch, pixels, channels_, norm.mean, norm.scale, norm.beta, norm.relu, nullptr, 0,
                                   block(worker), sums(piece), !first, norm.range});
}

void PieceSums::finish_gradient(ThreadPool &pool, const Totals &target) const {
  pool.run((channels_ + kChannels - 1) / kChannels, [&](int64_t part, int) {
    const int64_t begin = part * kChannels, n = std::min(kChannels, channels_ - begin);
    for (int row = 0; row < rows_; row++) {
      double sum[kChannels] = {};
      for (int64_t piece = 0; piece < pieces_; piece++) {
        const double *from = sums(piece) + row * channels_ + begin;
        for (int64_t c = 0; c < n; c++) sum[c] += from[c];
      }
      std::copy_n(sum, n, target.rows[row] + begin);
    }
  });
}

namespace {

// Pixels of a piece of an operation that goes over an activation once: some 16 K elements, at most 64 pieces.
int64_t pass_pixels(int64_t pixels, int64_t channels) { return std::max<int64_t>({1, 16384 / channels, (pixels + 63) / 64}); }

// body(first pixel, pixels, piece, worker)
template <class Body>
void each_piece(segnas_stream *s, int64_t pixels, int64_t channels, Body &&body) {
  const int64_t size = pass_pixels(pixels, channels);
  s->context->pool->run((pixels + size - 1) / size, [&](int64_t piece, int worker) {
    body(piece * size, std::min(size, pixels - piece * size), piece, worker);
  });
}

float inverse_deviation(double var, float eps) { return static_cast<float>(1.0 / std::sqrt(var + static_cast<double>(eps))); }

segnas_status check_eps(const char *op, float eps, segnas_error *err) {
  if (eps >= 0 && std::isfinite(eps)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: eps is %g, should be finite and not negative", op, static_cast<double>(eps));
}

segnas_status check_pixel_count(const char *op, int64_t pixels, segnas_error *err) {
  if (pixels >= 1) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: pixels is %lld, should be at least 1", op, static_cast<long long>(pixels));
}

// The norm to be written, and the vectors that go into it.
struct Making {
  float *norm = nullptr;
  int64_t pitch = 0, channels = 0;
  const float *gamma = nullptr, *beta = nullptr;

  segnas_status check(const segnas_stream *s, const char *op, const segnas_tensor *gamma_tensor, const segnas_tensor *beta_tensor,
                      const segnas_tensor *norm_tensor, segnas_error *err) {
    SEGNAS_TRY(check_norm_rows(s, op, "norm", norm_tensor, -1, &pitch, err));
    norm = f32(*norm_tensor), channels = norm_tensor->shape[1];
    SEGNAS_TRY(check_vector(s, op, "gamma", gamma_tensor, channels, err));
    SEGNAS_TRY(check_vector(s, op, "beta", beta_tensor, channels, err));
    gamma = f32(*gamma_tensor), beta = f32(*beta_tensor);
    return SEGNAS_OK;
  }
  void set(int64_t c, float mean, float inv_std) const {
    norm[kNormMean * pitch + c] = mean;
    norm[kNormScale * pitch + c] = inv_std * gamma[c];
    norm[kNormBeta * pitch + c] = beta[c];
    norm[kNormInvStd * pitch + c] = inv_std;
    norm[kNormCentre * pitch + c] = norm[kNormSlope * pitch + c] = 0;
  }
};

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_norm_from_moments(segnas_stream *s, const segnas_tensor *moments, int64_t pixels, const segnas_tensor *gamma, const segnas_tensor *beta,
                                       float eps, float update, const segnas_tensor *running_mean, const segnas_tensor *running_var,
                                       const segnas_tensor *norm, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Making making;
  Totals totals;
  SEGNAS_TRY(making.check(s, __func__, gamma, beta, norm, err));
  SEGNAS_TRY(check_totals(s, __func__, "moments", moments, 2, making.channels, &totals, err));
  SEGNAS_TRY(check_pixel_count(__func__, pixels, err));
  SEGNAS_TRY(check_eps(__func__, eps, err));
  if (!(update >= 0 && update <= 1))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: update is %g, should be in [0,1]", __func__, static_cast<double>(update));
  if (!running_mean != !running_var) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: running_mean and running_var go together", __func__);
  if (running_mean) {
    SEGNAS_TRY(check_vector(s, __func__, "running_mean", running_mean, making.channels, err));
    SEGNAS_TRY(check_vector(s, __func__, "running_var", running_var, making.channels, err));
  }
  SEGNAS_DISPATCH(s, norm_from_moments, err, moments, pixels, gamma, beta, eps, update, running_mean, running_var, norm);
  const double unbias = pixels > 1 ? static_cast<double>(pixels) / static_cast<double>(pixels - 1) : 1;
  for (int64_t c = 0; c < making.channels; c++) {
    const float mean = static_cast<float>(totals.rows[0][c]);
    making.set(c, mean, inverse_deviation(totals.rows[1][c], eps));
    if (!running_mean) continue;
    float &old_mean = f32(*running_mean)[c], &old_var = f32(*running_var)[c];
    old_mean = (1 - update) * old_mean + update * mean;
    old_var = (1 - update) * old_var + update * static_cast<float>(totals.rows[1][c] * unbias);
  }
  return succeed(err);
}

segnas_status segnas_norm_from_statistics(segnas_stream *s, const segnas_tensor *mean, const segnas_tensor *var, const segnas_tensor *gamma,
                                          const segnas_tensor *beta, float eps, const segnas_tensor *norm, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Making making;
  SEGNAS_TRY(making.check(s, __func__, gamma, beta, norm, err));
  SEGNAS_TRY(check_vector(s, __func__, "mean", mean, making.channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "var", var, making.channels, err));
  SEGNAS_TRY(check_eps(__func__, eps, err));
  SEGNAS_DISPATCH(s, norm_from_statistics, err, mean, var, gamma, beta, eps, norm);
  for (int64_t c = 0; c < making.channels; c++) making.set(c, f32(*mean)[c], inverse_deviation(static_cast<double>(f32(*var)[c]), eps));
  return succeed(err);
}

segnas_status segnas_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *y,
                                  segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels px;
  Norm n;
  Rows out;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "x", x, &px, err));
  SEGNAS_TRY(check_norm(s, __func__, "norm", norm, px.channels, relu, &n, err));
  SEGNAS_TRY(check_like(s, __func__, "y", y, "x", x, &out, err));
  SEGNAS_DISPATCH(s, norm_forward, err, x, norm, relu, y);
  const Kernels &kernels = *s->context->kernels;
  const Rows in = rows_of(*x);
  each_piece(s, px.count(), px.channels, [&](int64_t first, int64_t pixels, int64_t, int) {
    apply_norm(kernels, n, in.from(first), pixels, px.channels, out.from(first));
  });
  return succeed(err);
}

segnas_status segnas_norm_sums(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da,
                               const segnas_tensor *sums, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels px;
  Norm n;
  Rows gradient;
  Totals totals;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "x", x, &px, err));
  SEGNAS_TRY(check_norm(s, __func__, "norm", norm, px.channels, relu, &n, err));
  SEGNAS_TRY(check_like(s, __func__, "da", da, "x", x, &gradient, err));
  SEGNAS_TRY(check_totals(s, __func__, "sums", sums, n.sums(), px.channels, &totals, err));
  SEGNAS_DISPATCH(s, norm_sums, err, x, norm, relu, da, sums);
  ThreadPool &pool = *s->context->pool;
  const int64_t size = pass_pixels(px.count(), px.channels), pieces = (px.count() + size - 1) / size;
  char *memory = static_cast<char *>(s->scratch.reserve(PieceSums::bytes(pieces, px.channels, pool.threads(), n.sums())));
  if (!memory) return out_of_scratch(__func__, err);
  const PieceSums parts(memory, pieces, px.channels, n.sums());
  const Kernels &kernels = *s->context->kernels;
  const Rows in = rows_of(*x);
  each_piece(s, px.count(), px.channels, [&](int64_t first, int64_t pixels, int64_t piece, int worker) {
    parts.add_gradient(kernels, piece, worker, true, n, in.from(first), gradient.from(first), pixels);
  });
  parts.finish_gradient(pool, totals);
  return succeed(err);
}

segnas_status segnas_norm_backward(segnas_stream *s, const segnas_tensor *sums, int64_t pixels, int32_t frozen, int32_t accumulate,
                                   const segnas_tensor *norm, const segnas_tensor *dgamma, const segnas_tensor *dbeta, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  int64_t pitch;
  Totals totals;
  SEGNAS_TRY(check_norm_rows(s, __func__, "norm", norm, -1, &pitch, err));
  const int64_t channels = norm->shape[1];
  SEGNAS_TRY(check_totals(s, __func__, "sums", sums, Norm::sums_of(quantised_norm(*norm)), channels, &totals, err));
  SEGNAS_TRY(check_vector(s, __func__, "dgamma", dgamma, channels, err));
  SEGNAS_TRY(check_vector(s, __func__, "dbeta", dbeta, channels, err));
  SEGNAS_TRY(check_pixel_count(__func__, pixels, err));
  SEGNAS_TRY(check_flag(__func__, "frozen", frozen, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  SEGNAS_DISPATCH(s, norm_backward, err, sums, pixels, frozen, accumulate, norm, dgamma, dbeta);
  float *rows = f32(*norm), *gamma = f32(*dgamma), *beta = f32(*dbeta);
  const double count = static_cast<double>(pixels);
  for (int64_t c = 0; c < channels; c++) {
    const double sum = totals.rows[0][c], product = totals.rows[1][c], inv_std = static_cast<double>(rows[kNormInvStd * pitch + c]);
    const float of_gamma = static_cast<float>(product * inv_std), of_beta = static_cast<float>(sum);
    gamma[c] = accumulate ? gamma[c] + of_gamma : of_gamma;
    beta[c] = accumulate ? beta[c] + of_beta : of_beta;
    rows[kNormCentre * pitch + c] = frozen ? 0 : static_cast<float>(sum / count);
    rows[kNormSlope * pitch + c] = frozen ? 0 : static_cast<float>(product / count * inv_std * inv_std);
  }
  return succeed(err);
}

segnas_status segnas_norm_gradient(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da,
                                   const segnas_tensor *dx, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels px;
  Norm n;
  Rows gradient, out;
  SEGNAS_TRY(check_stored_pixels(s, __func__, "x", x, &px, err));
  SEGNAS_TRY(check_norm(s, __func__, "norm", norm, px.channels, relu, &n, err));
  SEGNAS_TRY(check_like(s, __func__, "da", da, "x", x, &gradient, err));
  SEGNAS_TRY(check_like(s, __func__, "dx", dx, "x", x, &out, err));
  SEGNAS_DISPATCH(s, norm_gradient, err, x, norm, relu, da, dx);
  const Kernels &kernels = *s->context->kernels;
  const Rows in = rows_of(*x);
  each_piece(s, px.count(), px.channels, [&](int64_t first, int64_t pixels, int64_t, int) {
    apply_gradient(kernels, n, in.from(first), gradient.from(first), pixels, px.channels, out.from(first));
  });
  return succeed(err);
}
