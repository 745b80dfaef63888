// SGD's update and the norm that gradient clipping needs, on runs of consecutive floats; optimiser.cc cuts views into them.
#pragma once
#include <cstdint>

namespace segnas {

// Elements, in row-major order of the view, whose squares make one partial sum; the partial sums are added in order.
constexpr int64_t kSumSquaresBlock = 16384;

struct SgdStep {
  float lr, momentum, decay, clip;
  int32_t nesterov;
};

struct OptimiserKernels {
  // Sum of x^2. The products are exact in double; eight running sums (element index mod 8) are added pairwise: the same bits on every set.
  double (*sum_squares)(int64_t n, const float *x);
  // g' = g clip + decay w; m = momentum m + g'; w -= lr (nesterov ? g' + momentum m : m). Multiplications and additions only, each
  // rounded: the same bits on every set.
  void (*sgd)(int64_t n, float *w, float *m, const float *g, const SgdStep &step);
};

}  // namespace segnas
