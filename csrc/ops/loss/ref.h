// Cross-entropy, argmax and confusion in double: plain loops over dense arrays, as segnas.h words them. The bilinear taps are written
// again here, from the same sentence of segnas.h as ops/upsample/ref.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../../test/sum.h"

namespace segnas::ref {

struct LossShape {
  int64_t n, h, w, k, rows, cols;  // logits [n,h,w,k], labels [n,rows,cols]
};

// Pixel (i, j) of the upsampled logits: four source pixels (indices into h*w) and their weights.
struct Corners {
  int64_t pixel[4];
  double weight[4];
};

inline double half_pixel_source(int64_t i, int64_t in, int64_t out) {
  double source = double((2 * i + 1) * in - out) / double(2 * out);
  return std::clamp(source, 0.0, double(in - 1));
}

inline Corners corners_of(const LossShape &s, int64_t i, int64_t j) {
  double a = half_pixel_source(i, s.h, s.rows), b = half_pixel_source(j, s.w, s.cols);
  int64_t top = int64_t(std::floor(a)), left = int64_t(std::floor(b));
  int64_t bottom = std::min(top + 1, s.h - 1), right = std::min(left + 1, s.w - 1);
  double down = a - double(top), across = b - double(left);
  return {{top * s.w + left, top * s.w + right, bottom * s.w + left, bottom * s.w + right},
          {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across}};
}

// The K upsampled logits of one output pixel of picture n.
inline void upsampled_logits(const LossShape &s, const double *logits, int64_t n, const Corners &corners, std::vector<Sum> &z) {
  z.assign(size_t(s.k), Sum{});
  for (int corner = 0; corner < 4; corner++)
    for (int64_t k = 0; k < s.k; k++)
      if (corners.weight[corner] != 0) z[size_t(k)].add(corners.weight[corner] * logits[(n * s.h * s.w + corners.pixel[corner]) * s.k + k]);
}

struct CrossEntropy {
  Sum loss;          // sum over pixels of cw nll / total
  double total = 0;  // sum of class weights over labelled pixels
  std::vector<Sum> dlogits;
};

// A float32 exp may stop at the least normal float instead of underflowing, so a probability's absolute error is up to 2^-126: what half an
// ulp of this one is.
constexpr double kLeastProbability = 0x1p-102;

// nll and softmax of one pixel. reach: the largest |z| that went into it, which exp and the subtraction of the maximum turn from an absolute
// into a relative error.
struct Softmax {
  std::vector<double> p;
  double nll = 0, reach = 0;
};

inline Softmax softmax_of(const std::vector<Sum> &z, int64_t label) {
  Softmax r;
  double most = z[0].value, sum = 0;
  for (const Sum &one : z) {
    most = std::max(most, one.value);
    r.reach = std::max(r.reach, one.magnitude);
  }
  for (const Sum &one : z) {
    r.p.push_back(std::exp(one.value - most));
    sum += r.p.back();
  }
  for (double &p : r.p) p /= sum;
  r.nll = std::log(sum) + most - z[size_t(label)].value;
  return r;
}

// class_weights may be NULL (all 1). dlogits = scale dL/dlogits.
inline CrossEntropy cross_entropy(const LossShape &s, const double *logits, const double *labels, int ignore, const double *class_weights,
                                  double scale) {
  CrossEntropy r;
  r.dlogits.resize(size_t(s.n * s.h * s.w * s.k));
  auto weight_of = [&](int64_t p) { return labels[p] == ignore ? 0.0 : class_weights ? class_weights[int64_t(labels[p])] : 1.0; };
  for (int64_t p = 0; p < s.n * s.rows * s.cols; p++) r.total += weight_of(p);
  if (r.total == 0) return r;
  std::vector<Sum> z;
  for (int64_t p = 0; p < s.n * s.rows * s.cols; p++) {
    if (labels[p] == ignore) continue;
    int64_t n = p / (s.rows * s.cols), label = int64_t(labels[p]);
    Corners corners = corners_of(s, p / s.cols % s.rows, p % s.cols);
    upsampled_logits(s, logits, n, corners, z);
    Softmax softmax = softmax_of(z, label);
    double share = weight_of(p) / r.total;
    r.loss.add(share * softmax.nll, share * (1 + softmax.nll + 2 * softmax.reach));
    for (int corner = 0; corner < 4; corner++)
      for (int64_t k = 0; k < s.k; k++) {
        if (corners.weight[corner] == 0) continue;
        double hit = k == label ? 1 : 0, factor = scale * share * corners.weight[corner], p_k = softmax.p[size_t(k)];
        r.dlogits[size_t((n * s.h * s.w + corners.pixel[corner]) * s.k + k)].add(
            factor * (p_k - hit), std::fabs(factor) * (std::max(p_k, kLeastProbability) * (1 + 2 * softmax.reach) + hit));
      }
  }
  return r;
}

// The loss of every pixel, -log softmax(z)[label]; of no terms where the label is ignored.
inline std::vector<Sum> pixel_losses(const LossShape &s, const double *logits, const double *labels, int ignore) {
  std::vector<Sum> losses(size_t(s.n * s.rows * s.cols)), z;
  for (int64_t p = 0; p < s.n * s.rows * s.cols; p++) {
    if (labels[p] == ignore) continue;
    upsampled_logits(s, logits, p / (s.rows * s.cols), corners_of(s, p / s.cols % s.rows, p % s.cols), z);
    const Softmax softmax = softmax_of(z, int64_t(labels[p]));
    losses[size_t(p)].add(softmax.nll, 1 + softmax.nll + 2 * softmax.reach);
  }
  return losses;
}

struct Distillation {
  Sum loss;  // mean over the pixels
  std::vector<Sum> dlogits;
};

// dlogits = scale dL/dlogits.
inline Distillation distillation(int64_t pixels, int64_t classes, const double *logits, const double *teacher, double scale) {
  Distillation r;
  std::vector<Sum> z, t;
  for (int64_t p = 0; p < pixels; p++) {
    z.assign(size_t(classes), Sum{});
    t.assign(size_t(classes), Sum{});
    for (int64_t k = 0; k < classes; k++) {
      z[size_t(k)].add(logits[p * classes + k]);
      t[size_t(k)].add(teacher[p * classes + k]);
    }
    const Softmax ours = softmax_of(z, 0), theirs = softmax_of(t, 0);
    const double share = 1 / double(pixels), factor = scale * share;
    double loss = 0;
    for (int64_t k = 0; k < classes; k++) {
      const double own = ours.p[size_t(k)], wanted = theirs.p[size_t(k)];
      loss += wanted * (ours.nll + logits[p * classes] - logits[p * classes + k]);
      r.dlogits.emplace_back().add(factor * (own - wanted), std::fabs(factor) * (std::max(own, kLeastProbability) * (1 + 2 * ours.reach) +
                                                                                 std::max(wanted, kLeastProbability) * (1 + 2 * theirs.reach)));
    }
    r.loss.add(share * loss, share * (1 + loss * (1 + 2 * theirs.reach) + 2 * ours.reach));
  }
  return r;
}

// counts [K,K] += 1 at [truth, predicted].
inline void confusion(int64_t pixels, int64_t k, const double *truth, const double *predicted, int ignore, double *counts) {
  for (int64_t p = 0; p < pixels; p++)
    if (truth[p] != ignore) counts[int64_t(truth[p]) * k + int64_t(predicted[p])] += 1;
}

}  // namespace segnas::ref
