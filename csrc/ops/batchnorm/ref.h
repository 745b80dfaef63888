// Batch norm, plain loops over dense arrays, as segnas.h words it. T is double for the reference, and float for the yardstick: a backend
// may be eight times as far from the double result as this plain float32 code is.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace segnas::ref {

struct BatchnormShape {
  int64_t pixels, c;
};

template <class T>
struct BatchnormForward {
  std::vector<T> running_mean, running_var, mean, inv_std, y;
};

template <class T>
T batchnorm_relu(T v, bool relu) {
  return relu && v <= 0 ? T(0) : v;
}

// running_mean and running_var hold the old values (empty: none are kept).
template <class T>
BatchnormForward<T> batchnorm_forward(const BatchnormShape &s, const std::vector<T> &x, const std::vector<T> &gamma, const std::vector<T> &beta,
                                      T eps, T update, bool relu, const std::vector<T> &running_mean, const std::vector<T> &running_var) {
  BatchnormForward<T> r{running_mean, running_var, std::vector<T>(s.c), std::vector<T>(s.c), std::vector<T>(s.pixels * s.c)};
  const T pixels = T(s.pixels);
  for (int64_t c = 0; c < s.c; c++) {
    T sum = 0, deviations = 0;
    for (int64_t p = 0; p < s.pixels; p++) sum += x[p * s.c + c];
    T mean = sum / pixels;
    for (int64_t p = 0; p < s.pixels; p++) deviations += (x[p * s.c + c] - mean) * (x[p * s.c + c] - mean);
    T var = deviations / pixels;
    T inv_std = 1 / std::sqrt(var + eps);
    for (int64_t p = 0; p < s.pixels; p++) r.y[p * s.c + c] = batchnorm_relu((x[p * s.c + c] - mean) * inv_std * gamma[c] + beta[c], relu);
    r.mean[c] = mean;
    r.inv_std[c] = inv_std;
    if (running_mean.empty()) continue;
    T unbiased = s.pixels > 1 ? deviations / (pixels - 1) : var;
    r.running_mean[c] = (1 - update) * running_mean[c] + update * mean;
    r.running_var[c] = (1 - update) * running_var[c] + update * unbiased;
  }
  return r;
}

template <class T>
std::vector<T> batchnorm_inference(const BatchnormShape &s, const std::vector<T> &x, const std::vector<T> &gamma, const std::vector<T> &beta,
                                   const std::vector<T> &mean, const std::vector<T> &var, T eps, bool relu) {
  std::vector<T> y(s.pixels * s.c);
  for (int64_t p = 0; p < s.pixels; p++)
    for (int64_t c = 0; c < s.c; c++)
      y[p * s.c + c] = batchnorm_relu((x[p * s.c + c] - mean[c]) / std::sqrt(var[c] + eps) * gamma[c] + beta[c], relu);
  return y;
}

template <class T>
struct BatchnormBackward {
  std::vector<T> dgamma, dbeta, dx;
};

// dgamma and dbeta hold what the gradients are added to: zeros, or the old ones.
template <class T>
BatchnormBackward<T> batchnorm_backward(const BatchnormShape &s, const std::vector<T> &x, const std::vector<T> &dy, const std::vector<T> &gamma,
                                        const std::vector<T> &beta, const std::vector<T> &mean, const std::vector<T> &inv_std, bool relu, bool frozen,
                                        const std::vector<T> &dgamma, const std::vector<T> &dbeta) {
  BatchnormBackward<T> r{dgamma, dbeta, std::vector<T>(s.pixels * s.c)};
  const T pixels = T(s.pixels);
  auto normal = [&](int64_t p, int64_t c) { return (x[p * s.c + c] - mean[c]) * inv_std[c]; };
  auto masked = [&](int64_t p, int64_t c) { return !relu || normal(p, c) * gamma[c] + beta[c] > 0 ? dy[p * s.c + c] : T(0); };
  for (int64_t c = 0; c < s.c; c++) {
    T sum = 0, product = 0;
    for (int64_t p = 0; p < s.pixels; p++) {
      sum += masked(p, c);
      product += masked(p, c) * normal(p, c);
    }
    r.dgamma[c] += product;
    r.dbeta[c] += sum;
    for (int64_t p = 0; p < s.pixels; p++) {
      T centred = frozen ? T(0) : sum / pixels + normal(p, c) * (product / pixels);
      r.dx[p * s.c + c] = gamma[c] * inv_std[c] * (masked(p, c) - centred);
    }
  }
  return r;
}

}  // namespace segnas::ref
