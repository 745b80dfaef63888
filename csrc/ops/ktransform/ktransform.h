// The kernel transform of once-for-all's elastic kernels (Cai et al. 2020, section 3.3): the contract of its kernels. With n = ks*ks small taps
// and x[j] the j-th of the n middle rows of w_large [kl*kl, C]:
//   w_small[i, c] = sum_j t[i, j] x[j, c]
//   dx[j, c]     += sum_i t[i, j] dw_small[i, c]
//   dt[i, j]     += sum_c dw_small[i, c] x[j, c]
#pragma once
#include <cstdint>

namespace segnas {

constexpr int64_t kKtransformMostTaps = 25;

// y[c] = sum_{j < n} t[j*t_distance] x[rows[j] + c], one chain of FMAs per element, j upwards; added to y at its end when accumulate.
using KtransformMix = void(const float *t, int64_t t_distance, int64_t n, const float *x, const int64_t *rows, int64_t channels, bool accumulate, float *y);

// dt[j] += sum_c a[c] x[rows[j] + c] for j < n: one chain per lane, then the lanes pairwise.
using KtransformDot = void(const float *a, const float *x, const int64_t *rows, int64_t n, int64_t channels, float *dt);

struct KtransformKernels {
  KtransformMix *mix;
  KtransformDot *dot;
};

}  // namespace segnas
