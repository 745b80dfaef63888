// Depthwise k x k convolution, k in {3, 5, 7}, stride s in {1, 2}, padding k/2: the contract of its kernels, one row at a time, so that a
// fused block can run them on a ring of rows in cache.
//   y[i,j,c]    = bias[c] + sum_{u,v} x[i*s+u-k/2, j*s+v-k/2, c] w[u*k+v, c], then max(., 0) when relu
//   dx[p,q,c]   = sum over (u,v,i,j) with i*s+u-k/2 = p, j*s+v-k/2 = q of dy[i,j,c] w[u*k+v, c]
//   dw[u*k+v,c] = sum_{i,j} x[i*s+u-k/2, j*s+v-k/2, c] dy[i,j,c]
// Taps outside the picture are skipped, not multiplied by zero.
#pragma once
#include <cstdint>

namespace segnas {

// Several rows at once.
struct DwconvBand {
  int64_t rows;       // output rows; rows[] then holds (rows - 1)*s + k input rows
  int64_t row_pitch;  // floats from one output row (or row of dy) to the next
  bool in_memory;     // input and output lie in memory, not in cache: what comes next is asked for ahead
};

// One row of y, or a stretch of one, or a band of rows. rows[u], u < k, is the input row under tap row u, nullptr outside the picture; a row
// has in_w pixels of `channels` values, in_pitch floats apart. Output column j's tap v reads input column first + j*s + v - k/2 and contributes
// nothing outside [0, in_w); so a stretch that starts at output column j0 passes first = j0*s and out moved by j0 pixels. w is [k*k][channels]
// with rows w_pitch apart (any distance, also negative: the flipped kernel). bias nullptr: zeros. band nullptr: one row.
// Each output is one chain of FMAs that starts from its bias and takes its taps in row-major order, whatever the stretch, the band, the
// channels beside it or its distance from the border: the same bits. An output may be written twice, with the same value.
using DwconvRow = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *w, int64_t w_pitch, const float *bias,
                       bool relu, int64_t channels, int64_t out_w, int64_t out_pitch, float *out, const DwconvBand *band);

// One row of dx for stride 2. rows[u] is the row of dy that tap row u brings to this row of dx, nullptr where there is none: half of them, by
// the row's parity. dx has dx_w pixels, each written. Taps in row-major order, starting from 0.
using DwconvSpreadRow = void(const float *const *rows, int64_t dy_w, int64_t dy_pitch, const float *w, int64_t w_pitch, int64_t channels, int64_t dx_w,
                             int64_t dx_pitch, float *dx);

// Sums of the gradient of the weights: for each vector of channels its k*k taps, [vectors][k*k][lanes]; the last vector is whole.
constexpr int64_t dwconv_sums_floats(int64_t lanes, int64_t k, int64_t channels) { return (channels + lanes - 1) / lanes * lanes * k * k; }

// Adds a band of rows of dy, or a stretch of one, to the sums: sum(u*k+v, c) += sum_{i,j} x(rows[i*s + u], first + j*s + v - k/2, c) dy[i, j, c];
// rows, in_w, in_pitch, first and band as in DwconvRow. One chain of FMAs per sum, whose order depends on first, in_w, out_w and the band's
// rows alone.
using DwconvWeight = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *dy, int64_t dy_pitch, int64_t channels,
                          int64_t out_w, float *sums, const DwconvBand *band);

// Sums of `parts` such arrays, `distance` floats apart, added pairwise (a balanced tree; overwrites them) for the `vectors` vectors of channels
// from `vector` on; then written to dw [taps][channels], rows dw_pitch apart, or added to it when accumulate.
using DwconvFold = void(float *sums, int64_t parts, int64_t distance, int64_t taps, int64_t vector, int64_t vectors, int64_t channels, bool accumulate,
                        float *dw, int64_t dw_pitch);

struct DwconvKernels {
  DwconvRow *row[3][2];            // [(k-3)/2][s-1]
  DwconvSpreadRow *spread_row[3];  // [(k-3)/2]
  DwconvWeight *weight[3][2];
  DwconvFold *fold;
};

}  // namespace segnas
