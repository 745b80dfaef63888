// Adaptive average pooling of N,H,W,C activations: pyramid pooling (Zhao et al. 2017) and image pooling (Chen et al. 2017).
//
// Bin i of `out` over an axis of `in` positions holds [floor(i in/out), ceil((i+1) in/out)): neighbours share a position where out does not
// divide in, never two, and a position lies in at most two bins.
// Forward sums a segment of a bin's rows in float32, at most kPoolRun columns one after the other and then the runs; segments are added in double
// in ascending order, divided and rounded once. Segments depend on shapes alone and no product is fused: the same bits on every instruction set.
// Backward adds, for a pixel in the bins (i, j), (i', j), (i, j'), (i', j') with i < i', j < j' as far as they are there, the rounded products
// g(i, j) = dy(i, j) (1/count(i, j)) as (g(i,j) + g(i',j)) + (g(i,j') + g(i',j')): the same bits on every backend.
#pragma once
#include <cstdint>

namespace segnas {

// Columns that are added one after the other.
constexpr int64_t kPoolRun = 256;

// Positions [begin, end) of a bin.
struct PoolBin {
  int64_t begin, end;
};

// sums[j * channels + c] = the sum of channel c over `rows` rows and the columns of bin j. No rows: zeros.
struct PoolSum {
  const float *x;  // the first row; pixels x_pitch floats apart, rows row_pitch
  int64_t x_pitch, row_pitch, channels, rows;
  const PoolBin *bins;  // [count], of columns
  int64_t count;
  float *sums;
};

// One row of dx: what its bins spread.
struct PoolSpread {
  const float *dy[2];  // the rows of bins that hold the row; dy[1] NULL: one
  int64_t heights[2];  // rows of those bins
  int64_t dy_pitch, channels;
  const PoolBin *bins;
  int64_t count;
  float *dx;
  int64_t dx_pitch;
  float *line;  // workspace [count * channels]
};

struct PoolKernels {
  void (*sum)(const PoolSum &);
  void (*spread)(const PoolSpread &);
};

}  // namespace segnas
