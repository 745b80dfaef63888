// Dense 3x3 convolution with few input channels (the stem), stride s in {1, 2}, padding 1: the contract of its kernels, one row at a time.
//   y[i,j,o]  = bias[o] + sum_{u,v,c} x[i*s+u-1, j*s+v-1, c] w[(3u+v)*Cin+c, o], then max(., 0) when relu
//   dx[p,q,c] = sum over (u,v,i,j) with i*s+u-1 = p, j*s+v-1 = q and over o of dy[i,j,o] w[(3u+v)*Cin+c, o]
//   dw[(3u+v)*Cin+c, o] = sum_{i,j} x[i*s+u-1, j*s+v-1, c] dy[i,j,o]
// Taps outside the picture are skipped, not multiplied by zero.
#pragma once
#include <cstdint>

namespace segnas {

constexpr int64_t kConv3x3MostChannels = 16;  // Cin

// Floats of the packed weights: panels of two vectors of output channels, [panel][9*Cin][2*lanes], the last one filled up with zeros.
constexpr int64_t conv3x3_packed_floats(int64_t lanes, int64_t cin, int64_t cout) {
  return (cout + 2 * lanes - 1) / (2 * lanes) * (2 * lanes) * 9 * cin;
}

// Packs w [9*cin][cout], rows w_pitch apart.
using Conv3x3Pack = void(const float *w, int64_t w_pitch, int64_t cin, int64_t cout, float *packed);

// One row of y, or a stretch of one. rows[u], u < 3, is the input row under tap row u, nullptr outside the picture; a row has in_w pixels of
// cin values, in_pitch floats apart. Output column j's tap v reads input column first + j*s + v - 1 and contributes nothing outside [0, in_w).
// bias nullptr: zeros. Each output is one chain of FMAs that starts from its bias and takes (u, v, c) in row-major order: the same bits for
// any stretch. An output may be written twice, with the same value.
using Conv3x3Row = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, int64_t cin, const float *packed, const float *bias,
                        bool relu, int64_t cout, int64_t out_w, int64_t out_pitch, float *out);

// One row of dx. rows[u] is the row of dy that tap row u brings to this row of dx, or nullptr. w [9*cin][cout], rows w_pitch apart.
using Conv3x3InputRow = void(const float *const *rows, int64_t dy_w, int64_t dy_pitch, int64_t stride, const float *w, int64_t w_pitch, int64_t cin,
                             int64_t cout, int64_t dx_w, int64_t dx_pitch, float *dx);

// Adds one row of dy, or a stretch of one, to sums [9*cin][cout] (dense); rows, in_w, in_pitch and first as in Conv3x3Row. The stretch's products
// are summed by one chain per sum, then added.
using Conv3x3WeightRow = void(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, int64_t stride, int64_t cin, const float *dy,
                              int64_t dy_pitch, int64_t cout, int64_t out_w, float *sums);

// Sums `parts` arrays of n floats, `distance` apart, pairwise (a balanced tree; overwrites them) into target, or onto it when accumulate.
using Conv3x3Fold = void(float *part, int64_t parts, int64_t distance, int64_t n, bool accumulate, float *target);

struct Conv3x3Kernels {
  Conv3x3Pack *pack;
  Conv3x3Row *row[2];  // [s-1]
  Conv3x3InputRow *input_row;
  Conv3x3WeightRow *weight_row;
  Conv3x3Fold *fold;
};

}  // namespace segnas
