// What the fused training operations share: the view of a norm, the statistics that a convolution takes of what it writes, and the sums that a
// gradient leaves for the norm before it. Everything happens a piece at a time while the piece is in the second-level cache.
#pragma once
#include <algorithm>
#include <cmath>

#include "../core/view.h"

namespace segnas {

// Rows of a norm tensor [6,C], or [10,C] where the activation is quantised.
enum NormRow {
  kNormMean, kNormScale, kNormBeta, kNormInvStd, kNormCentre, kNormSlope, kNormRows,
  kNormLow = kNormRows, kNormHigh, kNormR, kNormS, kNormQuantisedRows
};

// Batch norm and perhaps ReLU of a raw tensor x: a = (x - mean) scale + beta, perhaps quantised. Empty (mean NULL): a = x.
struct Norm {
  const float *mean = nullptr, *scale = nullptr, *beta = nullptr, *centre = nullptr, *slope = nullptr;
  bool relu = false;
  BatchnormRange range = {};
  explicit operator bool() const { return mean != nullptr; }
  int sums() const { return sums_of(range.low != nullptr); }  // a channel's
  static int sums_of(bool quantised) { return quantised ? 3 : 2; }
};

// 6 rows or, where the device quantises in passing, 10.
segnas_status check_norm_rows(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int64_t *pitch,
                              segnas_error *err);
inline bool quantised_norm(const segnas_tensor &norm) { return norm.shape[0] == kNormQuantisedRows; }
segnas_status check_norm(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int32_t relu, Norm *norm,
                         segnas_error *err);
// The same where NULL is legal.
segnas_status check_optional_norm(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t channels, int32_t relu,
                                  Norm *norm, segnas_error *err);
segnas_status check_flag(const char *op, const char *name, int32_t flag, segnas_error *err);
// sums are those of dx for x_norm: they need both.
segnas_status check_sums_wanted(const char *op, const segnas_tensor *x_norm, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err);
segnas_status out_of_scratch(const char *op, segnas_error *err);

inline size_t floats(int64_t count) { return static_cast<size_t>(count) * sizeof(float); }

// Parts of one scratch block, each on cache lines of its own.
class Layout {
 public:
  size_t add(size_t bytes) {
    size_t at = bytes_;
    bytes_ += cache_lines(bytes);
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// An f64 matrix [2, channels], or [3, channels].
struct Totals {
  double *rows[3] = {};
};
segnas_status check_totals(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int rows, int64_t channels, Totals *totals,
                           segnas_error *err);

// Rows of `channels` floats, pitch apart.
struct Rows {
  float *at;
  int64_t pitch;
  Rows from(int64_t pixel) const { return {at + pixel * pitch, pitch}; }
};

// How far ahead of its use memory is asked for where it is read in order: 4 KiB.
constexpr int64_t kAheadFloats = 1024;

// y = the activation of x. ahead: how many floats further on x is read next.
inline void apply_norm(const Kernels &kernels, const Norm &norm, Rows x, int64_t pixels, int64_t channels, Rows y, int64_t ahead = kAheadFloats) {
  kernels.batchnorm.apply({x.at, x.pitch, y.at, y.pitch, pixels, channels, norm.mean, norm.scale, norm.beta, norm.relu, ahead, norm.range});
}

// dx = the gradient of x, given da, that of its activation.
inline void apply_gradient(const Kernels &kernels, const Norm &norm, Rows x, Rows da, int64_t pixels, int64_t channels, Rows dx,
                           int64_t ahead = kAheadFloats) {
  kernels.batchnorm.gradient({x.at, x.pitch, da.at, da.pitch, pixels, channels, norm.mean, norm.scale, norm.beta, norm.centre, norm.slope, norm.relu,
                              dx.at, dx.pitch, ahead, norm.range});
}

// Two doubles a channel for every piece of a job, three where a quantised norm wants its clip's, and a shift about which the piece's moments are taken.
class PieceSums {
 public:
  static size_t bytes(int64_t pieces, int64_t channels, int threads, int rows = 2) {
    return static_cast<size_t>(pieces) * piece_bytes(channels, rows) + static_cast<size_t>(threads) * block_bytes(channels, rows);
  }

  PieceSums() = default;
  // memory: of bytes(...), aligned to a cache line.
  PieceSums(char *memory, int64_t pieces, int64_t channels, int rows = 2)
      : memory_(memory), blocks_(memory + static_cast<size_t>(pieces) * piece_bytes(channels, rows)), channels_(channels), pieces_(pieces), rows_(rows) {}
  explicit operator bool() const { return memory_ != nullptr; }

  // Adds the moments of rows to the piece's. The first call for a piece fixes the shift.
  void measure(const Kernels &kernels, int64_t piece, int worker, bool first, Rows rows, int64_t pixels) const;
  // Adds the sums of g and g (x - mean), g = da masked, and those of da beyond the norm's range.
  void add_gradient(const Kernels &kernels, int64_t piece, int worker, bool first, const Norm &norm, Rows x, Rows da, int64_t pixels) const;

  // Mean and variance over all pieces; pixels(piece) is how many a piece has.
  template <class Pixels>
  void finish_moments(ThreadPool &pool, Pixels &&pixels, const Totals &moments) const;
  // The sums over all pieces.
  void finish_gradient(ThreadPool &pool, const Totals &sums) const;

 private:
  static constexpr int64_t kChannels = 64;  // that one piece of the finish takes

  static size_t piece_bytes(int64_t channels, int rows) {
    return sums_bytes(channels, rows) + cache_lines(static_cast<size_t>(channels) * sizeof(float));
  }
  static size_t sums_bytes(int64_t channels, int rows) { return cache_lines(static_cast<size_t>(rows * channels) * sizeof(double)); }
  static size_t block_bytes(int64_t channels, int rows) { return cache_lines(static_cast<size_t>(rows * channels) * sizeof(float)); }
  char *part(int64_t piece) const { return memory_ + static_cast<size_t>(piece) * piece_bytes(channels_, rows_); }
  double *sums(int64_t piece) const { return reinterpret_cast<double *>(part(piece)); }
  float *shift(int64_t piece) const { return reinterpret_cast<float *>(part(piece) + sums_bytes(channels_, rows_)); }
  float *block(int worker) const { return reinterpret_cast<float *>(blocks_ + static_cast<size_t>(worker) * block_bytes(channels_, rows_)); }

  char *memory_ = nullptr, *blocks_ = nullptr;
  int64_t channels_ = 0, pieces_ = 0;
  int rows_ = 2;
};

// Every piece's sums are moved to the first piece's shift, in double: sum (x - s) = sum (x - t) + n (t - s), and the squares likewise.
template <class Pixels>
void PieceSums::finish_moments(ThreadPool &pool, Pixels &&pixels, const Totals &moments) const {
  pool.run((channels_ + kChannels - 1) / kChannels, [&](int64_t part, int) {
    const int64_t begin = part * kChannels, n = std::min(kChannels, channels_ - begin);
    double sum[kChannels] = {}, squares[kChannels] = {}, count = 0;
    const float *origin = shift(0) + begin;
    for (int64_t piece = 0; piece < pieces_; piece++) {
      const double *s = sums(piece) + begin, *q = s + channels_, size = static_cast<double>(pixels(piece));
      const float *t = shift(piece) + begin;
      for (int64_t c = 0; c < n; c++) {
        double move = static_cast<double>(t[c]) - static_cast<double>(origin[c]);
        sum[c] += s[c] + size * move;
        squares[c] += q[c] + move * (2 * s[c] + size * move);
      }
      count += size;
    }
    for (int64_t c = 0; c < n; c++) {
      double offset = sum[c] / count, var = squares[c] / count - offset * offset;
      moments.rows[0][begin + c] = static_cast<double>(origin[c]) + offset;
      moments.rows[1][begin + c] = var < 0 ? 0 : var;
    }
  });
}

// A convolution's pieces and their pixels: pictures by bands of rows by stretches of columns of the output, from the shape alone.
struct Tiling {
  int64_t n, height, width, rows, columns, bands, stretches;

  Tiling(int64_t pictures, int64_t out_h, int64_t out_w, int64_t most_rows, int64_t most_columns)
      : n(pictures), height(out_h), width(out_w), rows(std::min(most_rows, out_h)) {
    stretches = (width + most_columns - 1) / most_columns;
    columns = (width + stretches - 1) / stretches;
    stretches = (width + columns - 1) / columns;
    bands = (height + rows - 1) / rows;
  }
  int64_t count() const { return n * bands * stretches; }

  struct Tile {
    int64_t picture, row, row_end, column, column_end;
    int64_t pixels() const { return (row_end - row) * (column_end - column); }
  };
  Tile tile(int64_t index) const {
    const int64_t column = index % stretches * columns, row = index / stretches % bands * rows;
    return {index / stretches / bands, row, std::min(row + rows, height), column, std::min(column + columns, width)};
  }
};

// Sizes of a convolution with k x k taps over a padded picture.
struct Window {
  int64_t n, in_h, in_w, out_h, out_w, in_channels, out_channels, k, stride;
};

// x and y as input and output of a convolution with k x k taps; k = 0: take it from w's rows, a depthwise kernel.
segnas_status check_window(const segnas_stream *s, const char *op, const segnas_tensor *x, const char *w_name, const segnas_tensor *w, const char *y_name,
                           const segnas_tensor *y, int64_t k, int32_t stride, Window *window, int64_t *w_pitch, segnas_error *err);

// y must have x's shape.
segnas_status check_like(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, const char *like_name, const segnas_tensor *like,
                         Rows *rows, segnas_error *err);

inline Rows rows_of(const segnas_tensor &t) { return {f32(t), t.stride[t.rank - 2]}; }

}  // namespace segnas
