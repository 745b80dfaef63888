// Depthwise k x k forwards, for the operations (float32) and for sessions (any stored type):
//   y[i,j,c] = sum_{u,v} x[i*s+u-k/2, j*s+v-k/2, c] w[u*k+v, c]
//
// Tile: dwconv.h's, 4 columns x up to 64 rows a thread, 2 channels for k = 3, 1 otherwise. The taps of a thread's channels stay in registers. It
// reads each input row under its columns once ((4-1)s+k values) and adds it to the k/s rows of y that it reaches, which stay in registers until
// they are done; the next row is on its way meanwhile. So an output costs 1.5 (k=3), 2 (5), 2.5 (7) reads from the first-level cache at stride 1
// in place of k^2, k^2 FMAs, and 8 bytes of memory: 9, 25, 49 FMAs for 8 bytes are below a large GPU's 12 FMAs a byte, so the bytes are the
// floor. Holding the k input rows in place of the sums needs 1.5 to 2.5 times the registers; a tile in shared memory needs barriers between rows.
// 96 to 128 registers (k = 7: up to 168) leave 16 (12) warps, each with a row of 1 to 1.5 KiB under way: 16 KiB a multiprocessor and more, where an
// H100's 25 bytes/ns with half of them reads and 600 ns to wait want 8.
//
// Each output is one chain of FMAs, from 0 or the bias, that takes its taps in row-major order: the same bits however threads are laid out.
#pragma once
#include "dwconv.h"

namespace segnas::gpu {

// What is made of x on its way in, and of y on its way out.
enum class DwconvKind {
  kPlain,
  kNorm,    // x is normalised, and y measured
  kQuantised,  // and x rounded
  kBiased,  // sums begin at a bias, and a ReLU may end them: a deployed layer
};

// Channels of a thread. Two of 16 bits are one register's worth of memory; with a norm's parameters they would spill for k = 5, with a range for k = 3.
template <class T>
constexpr int vector_for(int k, DwconvKind kind) {
  if (kind == DwconvKind::kQuantised) return 1;
  return k == 3 || (k == 5 && sizeof(T) == 2 && kind != DwconvKind::kNorm) ? 2 : 1;
}

template <class T>
struct DwconvForward {
  const T *x;
  int64_t x_pitch;
  const float *w;
  int64_t w_pitch;  // may be negative
  T *y;
  int64_t y_pitch;
  Norm norm;
  MomentPart *parts;  // [tiles][channels], or NULL
  const float *bias;  // [channels], and whether a ReLU follows: kBiased
  int relu;
  int in_h, in_w;
  DwconvTiling tiling;
};

template <int K, int S, int V, bool kVector, DwconvKind kKind, class T>
struct DwconvForwardThread {
  static constexpr bool kQuantised = kKind == DwconvKind::kQuantised, kFused = kKind == DwconvKind::kNorm || kQuantised;
  static constexpr bool kBiased = kKind == DwconvKind::kBiased;
  static constexpr int kHalf = K / 2, kSlots = (K - 1) / S + 1, kWidth = (kTileColumns - 1) * S + K;
  using Row = float[kWidth][V];

  const DwconvForward<T> &a;
  const DwconvPlace &at;
  const T *picture;
  T *target;
  float w[K * K][V];
  float mean[V] = {}, scale[V] = {}, beta[V] = {}, bias[V] = {};
  Range range[kQuantised ? V : 1];
  LongMoments moments[V];
  int pixels = 0;
  unsigned columns;

  SEGNAS_DEVICE DwconvForwardThread(const DwconvForward<T> &args, const DwconvPlace &place) : a(args), at(place), columns(0) {}

  SEGNAS_DEVICE bool has(int c) const { return kVector || c == 0 || at.channel + c * at.step < a.tiling.channels; }

  SEGNAS_DEVICE void run() {
    picture = a.x + static_cast<int64_t>(at.picture) * a.in_h * a.in_w * a.x_pitch + at.channel;
    target = a.y + static_cast<int64_t>(at.picture) * a.tiling.height * a.tiling.width * a.y_pitch + at.channel;
#pragma unroll
    for (int c = 0; c < V; c++) {
      const int channel = at.channel + c * at.step;
#pragma unroll
      for (int tap = 0; tap < K * K; tap++) w[tap][c] = has(c) ? a.w[tap * a.w_pitch + channel] : 0.0f;
      if constexpr (kFused)
        if (a.norm.mean && has(c)) mean[c] = a.norm.mean[channel], scale[c] = a.norm.scale[channel], beta[c] = a.norm.beta[channel];
      if constexpr (kQuantised)
        if (has(c)) range[c] = {a.norm.low[channel], a.norm.high[channel], a.norm.r[channel], a.norm.s[channel]};
      if constexpr (kBiased) bias[c] = has(c) ? a.bias[channel] : 0.0f;
    }
    columns = columns_inside(at.column * S - kHalf, kWidth, a.in_w);
    if (columns == (1u << kWidth) - 1) {
      rows<true>();
    } else {
      rows<false>();
    }
  }

  // kInside: every tap of the tile's columns lies in the picture.
  template <bool kInside>
  SEGNAS_DEVICE void rows() {
    float sums[kSlots][kTileColumns][V];  // of the rows i, i + 1, ... of y
#pragma unroll
    for (int slot = 0; slot < kSlots; slot++)
#pragma unroll
      for (int t = 0; t < kTileColumns; t++)
#pragma unroll
        for (int c = 0; c < V; c++) sums[slot][t][c] = bias[c];
    Row next = {}, now;
    const int end = at.row_end;
    int i = at.row - (kSlots - 1), p = i * S + kHalf - (S - 1);
    read<kInside>(p, next);
    for (; i < end; i++) {
#pragma unroll
      for (int s = 0; s < S; s++, p++) {
#pragma unroll
        for (int q = 0; q < kWidth; q++)
#pragma unroll
          for (int c = 0; c < V; c++) now[q][c] = next[q][c];
        if (s + 1 < S || i + 1 < end) read<kInside>(p + 1, next);
        if (p < 0 || p >= a.in_h) continue;
        if constexpr (kFused) {
          if (a.norm.mean) normalise(now);
        }
        add<kInside>(s, i, now, sums);
      }
      if (i >= at.row) write(i, sums[0]);
#pragma unroll
      for (int slot = 0; slot < kSlots; slot++)
#pragma unroll
        for (int t = 0; t < kTileColumns; t++)
#pragma unroll
          for (int c = 0; c < V; c++) sums[slot][t][c] = slot + 1 < kSlots ? sums[slot + 1 < kSlots ? slot + 1 : 0][t][c] : bias[c];
    }
  }

  // Input row p under the tile's columns; columns outside the picture are left alone.
  template <bool kInside>
  SEGNAS_DEVICE void read(int p, Row &to) const {
    if (p < 0 || p >= a.in_h) return;
    const int64_t row = (static_cast<int64_t>(p) * a.in_w + at.column * S - kHalf) * a.x_pitch;
#pragma unroll
    for (int q = 0; q < kWidth; q++) {
      if (!kInside && !(columns >> q & 1)) continue;
      const T *from = picture + (row + q * a.x_pitch);
      if constexpr (kVector) {
        load_pack(from, to[q]);
      } else {
#pragma unroll
        for (int c = 0; c < V; c++)
          if (has(c)) to[q][c] = load(from + c * at.step);
      }
    }
  }

  SEGNAS_DEVICE void normalise(Row &row) const {
#pragma unroll
    for (int q = 0; q < kWidth; q++)
#pragma unroll
      for (int c = 0; c < V; c++) row[q][c] = activation(row[q][c], mean[c], scale[c], beta[c], a.norm.relu);
    if constexpr (kQuantised) {
#pragma unroll
      for (int q = 0; q < kWidth; q++)
#pragma unroll
        for (int c = 0; c < V; c++) row[q][c] = quantised(row[q][c], range[c]);
    }
  }

  // The s-th row of the S that end row i of y: tap row K-S+s of it, and of the rows below it S tap rows higher each.
  template <bool kInside>
  SEGNAS_DEVICE void add(int s, int i, const Row &row, float (&sums)[kSlots][kTileColumns][V]) const {
#pragma unroll
    for (int slot = 0; slot < kSlots; slot++) {
      const int u = K - S + s - S * slot;
      if (u < 0 || i + slot < at.row || i + slot >= at.row_end) continue;
#pragma unroll
      for (int v = 0; v < K; v++)
#pragma unroll
        for (int t = 0; t < kTileColumns; t++) {
          if (!kInside && !(columns >> (t * S + v) & 1)) continue;
#pragma unroll
          for (int c = 0; c < V; c++) sums[slot][t][c] = fused_multiply_add(row[t * S + v][c], w[u < 0 ? 0 : u * K + v][c], sums[slot][t][c]);
        }
    }
  }

  SEGNAS_DEVICE void write(int i, float (&y)[kTileColumns][V]) {
    if constexpr (kBiased) {
#pragma unroll
      for (int t = 0; t < kTileColumns; t++)
#pragma unroll
        for (int c = 0; c < V; c++) y[t][c] = a.relu ? relu_of(y[t][c]) : y[t][c];
    }
    const int left = a.tiling.width - at.column, count = left < kTileColumns ? left : kTileColumns;
    T *to = target + (static_cast<int64_t>(i) * a.tiling.width + at.column) * a.y_pitch;
#pragma unroll
    for (int t = 0; t < kTileColumns; t++) {
      if (t >= count) continue;
      if constexpr (kVector) {
        store_pack(to + t * a.y_pitch, y[t]);
      } else {
#pragma unroll
        for (int c = 0; c < V; c++)
          if (has(c)) store(to + t * a.y_pitch + c * at.step, y[t][c]);
      }
    }
    if constexpr (kFused) {
      if (a.parts) measure(i == at.row, y, count);
    }
  }

  SEGNAS_DEVICE void measure(bool first, const float (&y)[kTileColumns][V], int count) {
    pixels += count;
#pragma unroll
    for (int c = 0; c < V; c++) {
      float values[kTileColumns];
#pragma unroll
      for (int t = 0; t < kTileColumns; t++) values[t] = y[t][c];
      if (first) moments[c].shift = near_mean<kTileColumns>(values, count);
      moments[c].template add<kTileColumns>(values, count);
    }
  }
};

template <int K, int S, int V, bool kVector, DwconvKind kKind, class T>
SEGNAS_KERNEL(tile_threads(K)) dwconv_forward_rows(const DwconvForward<T> a) {
  const DwconvPlace at = place_of<V, kVector>(a.tiling);
  DwconvForwardThread<K, S, V, kVector, kKind, T> mine(a, at);
  if (at.active) mine.run();
  if constexpr (kKind == DwconvKind::kNorm || kKind == DwconvKind::kQuantised) {
    if (!a.parts) return;
    // A channel's parts lie `lanes` apart; the first V groups of threads add one of their lane's channels each.
    Shared<MomentPart> shared = shared_memory<MomentPart>(0);
#pragma unroll
    for (int c = 0; c < V; c++) shared[c * threads() + thread()] = part_of(mine.moments[c], mine.pixels);
    barrier();
    const int channel = at.channel + at.group * at.step;
    if (at.group >= V || channel >= a.tiling.channels) return;
    a.parts[static_cast<int64_t>(at.tile) * a.tiling.channels + channel] =
        merged(shared + (at.group * threads() + at.lane), a.tiling.lanes, threads() / a.tiling.lanes);
  }
}

struct Pictures {
  int64_t pictures, in_h, in_w, out_h, out_w, channels;
};

template <int K, int S, DwconvKind kKind, class T>
segnas_status run_forward(const char *name, Stream *s, DwconvForward<T> &a, const Pictures &d, const segnas_tensor *moments, segnas_error *err) {
  constexpr int V = vector_for<T>(K, kKind);
  a.in_h = static_cast<int>(d.in_h), a.in_w = static_cast<int>(d.in_w);
  a.tiling = tiling_of(K, d.pictures, d.out_h, d.out_w, d.channels, V, kMomentPixels / kTileColumns);
  a.parts = nullptr;
  size_t shared_bytes = 0;
  if (moments) {
    void *memory;
    SEGNAS_GPU_TRY(s->reserve(static_cast<size_t>(a.tiling.tiles() * d.channels) * sizeof(MomentPart), &memory, err));
    a.parts = static_cast<MomentPart *>(memory);
    shared_bytes = V * tile_threads(K) * sizeof(MomentPart);
  }
  const Grid grid = a.tiling.grid(K, shared_bytes);
  const bool vector = V > 1 && d.channels % V == 0 && packs<V>(a.x, a.x_pitch) && packs<V>(a.y, a.y_pitch);
  if (vector) {
    SEGNAS_GPU_TRY(launch(name, s->raw, err, grid, dwconv_forward_rows<K, S, V, (V > 1), kKind, T>, a));
  } else {
    SEGNAS_GPU_TRY(launch(name, s->raw, err, grid, dwconv_forward_rows<K, S, V, false, kKind, T>, a));
  }
  if (moments) SEGNAS_GPU_TRY(finish_moments(s, a.parts, a.tiling.tiles(), d.channels, *moments, err));
  return succeed(err);
}

}  // namespace segnas::gpu
