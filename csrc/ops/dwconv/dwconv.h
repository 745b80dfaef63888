// Depthwise k x k convolution, k in {3, 5, 7}, stride s in {1, 2}, padding k/2: the contract of its kernels, one row at a time, so that a
// fused block can run them on a ring of rows in cache.
//   y[i,j,c]    = bias[c] + sum_{u,v} x[i*s+u-k/2, j*s+v-k/2, c] w[u*k+v, c], then max(., 0) when relu
//   dx[p,q,c]   = sum over (u,v,i,j) with i*s+u-k/2 = p, j*s+v-k/2 = q of dy[i,j,c] w[u*k+v, c]
//   dw[u*k+v,c] = sum_{i,j} x[i*s+u-k/2, j*s+v-k/2, c] dy[i,j,c]
// Taps outside the picture are skipped, not multiplied by zero.
#pragma once
#include <cstdint>

namespace segnas {

// One row of y, or a stretch of one. rows[u], u < k, is the input row under tap row u, nullptr outside the picture; a row has in_w pixels of
// `channels` values, in_pitch floats apart. Output column j's tap v reads input column first + j*s + v - k/2 and contributes nothing outside
// [0, in_w); so a stretch that starts at output column j0 passes first = j0*s and out moved by j0 pixels. w is [k*k][channels] with rows w_pitch
// apart (any distance, also negative: the flipped kernel). bias nullptr: zeros. Each output is one chain of FMAs that starts from its bias
// and takes its taps in row-major order, whatever the stretch, the channels beside it or its distance from the border: the same bits.
// ahead: nullptr when rows and out are in cache; else they are in memory, and ahead[0..s-1] say where this stretch begins in the s input rows
// that the next call reads for the first time (any address; nothing is read there but into cache).
using DwconvRow = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *w, int64_t w_pitch, const float *bias,
                       bool relu, int64_t channels, int64_t out_w, int64_t out_pitch, float *out, const float *const *ahead);

// One row of dx for stride 2. rows[u] is the row of dy that tap row u brings to this row of dx, nullptr where there is none: half of them, by
// the row's parity. dx has dx_w pixels, each written. Taps in row-major order, starting from 0.
using DwconvSpreadRow = void(const float *const *rows, int64_t dy_w, int64_t dy_pitch, const float *w, int64_t w_pitch, int64_t channels, int64_t dx_w,
                             int64_t dx_pitch, float *dx);

// Adds one row of dy, or a stretch of one, to sums [k*k][channels] (dense): sums[u*k+v, c] += sum_j x(rows[u], first + j*s + v - k/2, c) dy[j, c],
// one chain of FMAs per sum, j upwards. rows, in_w, in_pitch and first as in DwconvRow; ahead[0..s-1] as there, ahead[s] for dy.
using DwconvWeightRow = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *dy, int64_t dy_pitch, int64_t channels,
                             int64_t out_w, float *sums, const float *const *ahead);

// Sums `parts` arrays of n floats, `distance` apart, pairwise (a balanced tree; overwrites them) into target, or onto it when accumulate.
using DwconvFold = void(float *part, int64_t parts, int64_t distance, int64_t n, bool accumulate, float *target);

struct DwconvKernels {
  DwconvRow *row[3][2];            // [(k-3)/2][s-1]
  DwconvSpreadRow *spread_row[3];  // [(k-3)/2]
  DwconvWeightRow *weight_row[3][2];
  DwconvFold *fold;
};

}  // namespace segnas
