// Sums over pixels in two stages, for kernels that measure what they write and for gradients of weights: a block leaves its part in scratch, and
// a second kernel adds the parts of all blocks. Which pixels a thread, a block and a part hold depends on shapes alone, and parts are added in a
// fixed order.
//
// Moments: a thread adds at most kMomentPixels pixels of a channel in float, about a shift near their mean (near_mean), so that a large mean does
// not cancel the variance away and a constant channel has variance 0 exactly; threads and blocks are put together in double:
//   Moments m;  m.shift = near_mean(y, count);  m.add(y) for every pixel
//   s[place] = part_of(m);  barrier();  one thread a channel: parts[tile * channels + c] = merged(s + first, distance, count)
//   host: finish_moments(stream, parts, tiles, channels, moments, err)
// Gradient sums, of g and g (x - mean), likewise with GradientSums, GradientPart and finish_gradient_sums; sums of weights' gradients are float
// matrices, put together by finish_weights.
#pragma once
#include "../../plugin/op.h"

namespace segnas::gpu {

constexpr int kMomentPixels = 256;

// The mean of the first 1, 2, 4, ... kMost of y[0..count), as many as there are, pairwise; 0 where that is not finite. Exact when all are equal.
template <int kMost>
SEGNAS_DEVICE float mean_of(const float *y) {
  if constexpr (kMost == 1) {
    return y[0];
  } else {
    return mean_of<kMost / 2>(y) * 0.5f + mean_of<kMost / 2>(y + kMost / 2) * 0.5f;
  }
}
template <int kMost>
SEGNAS_DEVICE float near_mean(const float *y, int count) {
  if constexpr (kMost > 1) {
    if (count < kMost) return near_mean<kMost / 2>(y, count);
  }
  const float mean = mean_of<kMost>(y);
  return mean - mean == 0 ? mean : 0.0f;
}

template <int kTerms>
SEGNAS_DEVICE float pairwise(const float *terms) {
  if constexpr (kTerms == 1) {
    return terms[0];
  } else {
    return pairwise<kTerms / 2>(terms) + pairwise<kTerms / 2>(terms + kTerms / 2);
  }
}

// A thread's pixels of one channel.
struct Moments {
  float shift = 0, sum = 0, squares = 0;
  int pixels = 0;
  SEGNAS_DEVICE void add(float y) {
    const float d = y - shift;
    sum += d;
    squares = fused_multiply_add(d, d, squares);
    pixels++;
  }
};

// The same for a thread that goes over many pixels: few at a time in float, pairwise, then double. It counts its pixels itself.
struct LongMoments {
  float shift = 0;
  double sum = 0, squares = 0;
  // The first `count` of y.
  template <int kMost>
  SEGNAS_DEVICE void add(const float *y, int count) {
    float first[kMost], second[kMost];
#pragma unroll
    for (int i = 0; i < kMost; i++) {
      first[i] = i < count ? y[i] - shift : 0.0f;
      second[i] = first[i] * first[i];
    }
    sum += static_cast<double>(pairwise<kMost>(first));
    squares += static_cast<double>(pairwise<kMost>(second));
  }
};

// Pixels of one channel: sums of y - shift and of its square.
struct MomentPart {
  double sum, squares;
  int64_t pixels;
  float shift;
};
SEGNAS_DEVICE MomentPart part_of(const Moments &m) { return {static_cast<double>(m.sum), static_cast<double>(m.squares), m.pixels, m.shift}; }
SEGNAS_DEVICE MomentPart part_of(const LongMoments &m, int pixels) { return {m.sum, m.squares, pixels, m.shift}; }

// Adds b to a. With t = shift of b - shift of a: sum (y - a) = sum (y - b) + n t, and the squares likewise.
SEGNAS_DEVICE void merge(MomentPart &a, const MomentPart &b) {
  if (b.pixels == 0) return;
  if (a.pixels == 0) {
    a = b;
    return;
  }
  const double move = static_cast<double>(b.shift) - static_cast<double>(a.shift), moved = static_cast<double>(b.pixels) * move;
  a.sum += b.sum + moved;
  a.squares += b.squares + move * (2 * b.sum + moved);
  a.pixels += b.pixels;
}

// A thread's pixels of one channel; at most kMomentPixels.
struct GradientSums {
  float g = 0, product = 0;
  SEGNAS_DEVICE void add(float masked_gradient, float centred) {
    g += masked_gradient;
    product = fused_multiply_add(masked_gradient, centred, product);
  }
};
struct GradientPart {
  double g, product;
};
SEGNAS_DEVICE GradientPart part_of(const GradientSums &s) { return {static_cast<double>(s.g), static_cast<double>(s.product)}; }
SEGNAS_DEVICE void merge(GradientPart &a, const GradientPart &b) {
  a.g += b.g;
  a.product += b.product;
}

// The same with the gradient of the clip, where a norm may quantise.
struct ClipSums : GradientSums {
  float beyond = 0;
};
struct ClipPart {
  double g, product, beyond;
};
SEGNAS_DEVICE ClipPart part_of(const ClipSums &s) {
  return {static_cast<double>(s.g), static_cast<double>(s.product), static_cast<double>(s.beyond)};
}
SEGNAS_DEVICE void merge(ClipPart &a, const ClipPart &b) {
  a.g += b.g;
  a.product += b.product;
  a.beyond += b.beyond;
}
template <bool kQuantised>
using SumsOf = std::conditional_t<kQuantised, ClipSums, GradientSums>;
template <bool kQuantised>
using PartOf = std::conditional_t<kQuantised, ClipPart, GradientPart>;

// `count` parts, `distance` apart, in their order.
template <class Part>
SEGNAS_DEVICE Part merged(Shared<Part> parts, int distance, int count) {
  Part total = parts[0];
  for (int i = 1; i < count; i++) merge(total, parts[i * distance]);
  return total;
}

// da where the activation of x is positive, else 0; without ReLU all of it.
SEGNAS_DEVICE float masked_gradient(float x, float da, float mean, float scale, float beta, int32_t relu) {
  return !relu || activation(x, mean, scale, beta, 0) > 0 ? da : 0.0f;
}
// The gradient of x from g, its activation's, masked.
SEGNAS_DEVICE float raw_gradient(float x, float g, float mean, float scale, float centre, float slope) {
  return scale * (g - centre - (x - mean) * slope);
}

// From parts [count][channels] in scratch: mean and variance, or the two sums, into an f64 tensor [2,channels]. The clip's sum becomes the third row of
// [3,channels]; where there are two, the norm does not quantise.
segnas_status finish_moments(Stream *s, const MomentPart *parts, int64_t count, int64_t channels, const segnas_tensor &moments, segnas_error *err);
segnas_status finish_gradient_sums(Stream *s, const GradientPart *parts, int64_t count, int64_t channels, const segnas_tensor &sums, segnas_error *err);
segnas_status finish_gradient_sums(Stream *s, const ClipPart *parts, int64_t count, int64_t channels, const segnas_tensor &sums, segnas_error *err);
// target [rows][columns], or what is added to it: the sum of parts [count][rows][columns].
segnas_status finish_weights(Stream *s, const float *parts, int64_t count, int64_t rows, int64_t columns, bool accumulate, Rows target,
                             segnas_error *err);

}  // namespace segnas::gpu
