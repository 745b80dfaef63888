// Gradients of the depthwise k x k convolution, together or each alone:
//   dx[p,q,c]   = sum over (u,v,i,j) with i*s+u-k/2 = p, j*s+v-k/2 = q of dy[i,j,c] w[u*k+v, c]
//   dw[u*k+v,c] = sum over the same (u,v,i,j) and all p, q of a[p,q,c] dy[i,j,c]
// with a = x normalised on read, dy computed on read from y, y_norm and da, and the sums that x_norm wants taken of dx on write.
//
// Tile: dwconv.h's over the grid of y, 1 channel and the s x 4s pixels of x under a row's 4 columns. A pixel of x meets the same values of dy for
// both gradients, so a thread holds the k/s rows of dy around its pixels (k x (4+k-1) values at stride 1), reads one new row of them a step and
// each of its own pixels of x once, and needs no x from elsewhere. In registers: dy, the taps, and k^2 sums for dw, which are added up over the
// threads of the block in shared memory: chains in float of at most 256 products, then double; parts of blocks as moments.h has it.
// Together at stride 1: 2 k^2 FMAs and 16 bytes a value of x (x, y, da, dx), against 28 bytes in two passes. So the bytes are the floor for k = 3
// and 5 on a large GPU (12 FMAs a byte); 98 FMAs for 16 bytes (k = 7) take about half the time of the bytes. From the first-level cache it
// reads 1 + 2 (4+k-1)/4 values. Registers: 80 to 120 (k = 3), 120 to 170 (5), 160 to 255 (7) leave 16, 12 and 8 warps with 14 to 24 reads each under
// way.
//
// Stride 2 visits, for each parity of a pixel, the taps that reach it. The products of an output are added in row-major order of taps.
#include "../../plugin/ops.h"
#include "dwconv.h"

namespace segnas::gpu {
namespace {

template <class T>
struct DwconvBackward {
  const T *x, *y, *da;  // y NULL where da is dy itself
  int64_t x_pitch, y_pitch, da_pitch;
  const float *w;
  int64_t w_pitch;
  T *dx;
  int64_t dx_pitch;
  Norm x_norm, y_norm;
  float *weight_parts;   // [tiles][k*k][channels]
  void *parts;           // GradientPart or ClipPart [tiles][channels], or NULL
  int in_h, in_w;
  DwconvTiling tiling;
};

// What a kernel computes. kFused: with norms; else x is an activation and da is dy. kQuantised: one of the norms quantises, or both.
template <bool kInputGradient, bool kWeightGradient, bool kFusedNorms, bool kQuantisedNorms = false>
struct Wanted {
  static constexpr bool kInput = kInputGradient, kWeight = kWeightGradient, kFused = kFusedNorms, kQuantised = kQuantisedNorms;
  using Part = PartOf<kQuantised>;
};

template <int K, int S, class W, class T>
struct DwconvBackwardThread {
  static constexpr int kHalf = K / 2;
  // Rows of dy before and after output row i that the pixels of x under it meet; the same of columns.
  static constexpr int kBefore = S == 1 ? kHalf : kHalf / 2, kAfter = S == 1 ? kHalf : (kHalf + 1) / 2;
  static constexpr int kDepth = kBefore + kAfter + 1, kWidth = kTileColumns + kBefore + kAfter, kPixels = kTileColumns * S;

  const DwconvBackward<T> &a;
  const DwconvPlace &at;
  int64_t first_in, first_out;  // pixels before the picture, in x and in y
  float dy[kDepth][kWidth] = {};
  float w[K * K], dw[K * K] = {};
  SumsOf<W::kQuantised> sums;
  Range x_range, y_range;
  float x_mean = 0, x_scale = 0, x_beta = 0, mean = 0, scale = 0, beta = 0, centre = 0, slope = 0;
  unsigned in_columns = 0, out_columns = 0;

  SEGNAS_DEVICE DwconvBackwardThread(const DwconvBackward<T> &args, const DwconvPlace &place) : a(args), at(place), first_in(0), first_out(0) {}

  SEGNAS_DEVICE void run() {
    first_in = static_cast<int64_t>(at.picture) * a.in_h * a.in_w;
    first_out = static_cast<int64_t>(at.picture) * a.tiling.height * a.tiling.width;
    if constexpr (W::kInput) {
#pragma unroll
      for (int tap = 0; tap < K * K; tap++) w[tap] = a.w[tap * a.w_pitch + at.channel];
    }
    if constexpr (W::kFused) {
      if (a.x_norm.mean) x_mean = a.x_norm.mean[at.channel], x_scale = a.x_norm.scale[at.channel], x_beta = a.x_norm.beta[at.channel];
      mean = a.y_norm.mean[at.channel], scale = a.y_norm.scale[at.channel], beta = a.y_norm.beta[at.channel];
      centre = a.y_norm.centre[at.channel], slope = a.y_norm.slope[at.channel];
    }
    if constexpr (W::kQuantised) {
      if (a.x_norm.low) x_range = range_at(a.x_norm);
      if (a.y_norm.low) y_range = range_at(a.y_norm);
    }
    in_columns = columns_inside(at.column * S, kPixels, a.in_w);
    out_columns = columns_inside(at.column - kBefore, kWidth, a.tiling.width);
    if (in_columns == (1u << kPixels) - 1 && out_columns == (1u << kWidth) - 1) {
      rows<true>();
    } else {
      rows<false>();
    }
  }

  SEGNAS_DEVICE Range range_at(const Norm &n) const { return {n.low[at.channel], n.high[at.channel], n.r[at.channel], n.s[at.channel]}; }

  // kInside: all columns of the tile and of its halo lie in the pictures.
  template <bool kInside>
  SEGNAS_DEVICE void rows() {
    for (int i = at.row - (kDepth - 1); i < at.row_end; i++) {
      float x[S][kPixels] = {};
      if (W::kWeight && i >= at.row) read_x<kInside>(i, x);
      float row[kWidth] = {};
      read_dy<kInside>(i + kAfter, row);
#pragma unroll
      for (int d = 0; d < kDepth; d++)
#pragma unroll
        for (int j = 0; j < kWidth; j++) dy[d][j] = d + 1 < kDepth ? dy[d + 1 < kDepth ? d + 1 : 0][j] : row[j];
      if (i < at.row) continue;
#pragma unroll
      for (int s = 0; s < S; s++)
        if (i * S + s < a.in_h) pixels<kInside>(i, s, x[s]);
    }
  }

  // The raw pixels of x under row i.
  template <bool kInside>
  SEGNAS_DEVICE void read_x(int i, float (&x)[S][kPixels]) const {
#pragma unroll
    for (int s = 0; s < S; s++) {
      const T *from = a.x + (first_in + static_cast<int64_t>(i * S + s) * a.in_w + at.column * S) * a.x_pitch + at.channel;
#pragma unroll
      for (int e = 0; e < kPixels; e++) x[s][e] = i * S + s < a.in_h && (kInside || in_columns >> e & 1) ? load(from + e * a.x_pitch) : 0.0f;
    }
  }

  template <bool kInside>
  SEGNAS_DEVICE void read_dy(int i, float (&row)[kWidth]) const {
    if (i < 0 || i >= a.tiling.height) return;
    const int64_t first = first_out + static_cast<int64_t>(i) * a.tiling.width + at.column - kBefore;
    float y[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      const bool there = kInside || (out_columns >> j & 1);
      row[j] = there ? load(a.da + ((first + j) * a.da_pitch + at.channel)) : 0.0f;
      if constexpr (W::kFused) y[j] = there ? load(a.y + ((first + j) * a.y_pitch + at.channel)) : 0.0f;
    }
    if constexpr (W::kFused) {
#pragma unroll
      for (int j = 0; j < kWidth; j++) {
        float g = masked_gradient(y[j], row[j], mean, scale, beta, a.y_norm.relu);
        if constexpr (W::kQuantised)
          if (a.y_norm.low) g = within(activation(y[j], mean, scale, beta, 0), g, y_range.low, y_range.high);
        row[j] = raw_gradient(y[j], g, mean, scale, centre, slope);
      }
    }
  }

  // The tile's pixels in row i*S+s of x.
  template <bool kInside>
  SEGNAS_DEVICE void pixels(int i, int s, const float (&x)[kPixels]) {
    float activations[kPixels], dx[kPixels] = {};
    if constexpr (W::kWeight) {
#pragma unroll
      for (int e = 0; e < kPixels; e++) {
        activations[e] = W::kFused && a.x_norm.mean ? activation(x[e], x_mean, x_scale, x_beta, a.x_norm.relu) : x[e];
        if constexpr (W::kQuantised)
          if (a.x_norm.low) activations[e] = quantised(activations[e], x_range);
      }
    }
#pragma unroll
    for (int u = 0; u < K; u++) {
      if ((s + kHalf - u) % S != 0) continue;
      const int ahead = (s + kHalf - u) / S, d = ahead + kBefore;
      if (i + ahead < 0 || i + ahead >= a.tiling.height) continue;
#pragma unroll
      for (int v = 0; v < K; v++)
#pragma unroll
        for (int e = 0; e < kPixels; e++) {
          if ((e + kHalf - v) % S != 0) continue;
          const int j = (e + kHalf - v) / S + kBefore;
          if (!kInside && !(out_columns >> j & in_columns >> e & 1)) continue;
          if constexpr (W::kInput) dx[e] = fused_multiply_add(dy[d][j], w[u * K + v], dx[e]);
          if constexpr (W::kWeight) dw[u * K + v] = fused_multiply_add(activations[e], dy[d][j], dw[u * K + v]);
        }
    }
    if constexpr (W::kInput) write<kInside>(i * S + s, x, dx);
  }

  template <bool kInside>
  SEGNAS_DEVICE void write(int p, const float (&x)[kPixels], const float (&dx)[kPixels]) {
    T *to = a.dx + (first_in + static_cast<int64_t>(p) * a.in_w + at.column * S) * a.dx_pitch + at.channel;
#pragma unroll
    for (int e = 0; e < kPixels; e++) {
      if (!kInside && !(in_columns >> e & 1)) continue;
      store(to + e * a.dx_pitch, dx[e]);
      if constexpr (W::kFused) {
        float g = masked_gradient(x[e], dx[e], x_mean, x_scale, x_beta, a.x_norm.relu);
        if constexpr (W::kQuantised)
          if (a.x_norm.low) {
            const float before = activation(x[e], x_mean, x_scale, x_beta, 0);
            g = within(before, g, x_range.low, x_range.high);
            sums.beyond += clip_term(before, dx[e], x_range.low, x_range.high, a.x_norm.relu);
          }
        sums.add(g, x[e] - x_mean);
      }
    }
  }
};

// The block's sums for dw, over its threads of a lane in order, into the tile's part; some taps at a time.
template <int K, class T>
SEGNAS_DEVICE void put_weights(const DwconvBackward<T> &a, const DwconvPlace &at, const float (&dw)[K * K]) {
  constexpr int kThreads = tile_threads(K), kTaps = kThreads / kWarp;  // there are as many groups at least
  const int lanes = a.tiling.lanes, groups = kThreads / lanes;
  Shared<float> shared = shared_memory<float>(0);
#pragma unroll
  for (int tap = 0; tap < K * K; tap++) {
    shared[tap % kTaps * kThreads + thread()] = dw[tap];
    if (tap % kTaps != kTaps - 1 && tap != K * K - 1) continue;
    barrier();
    if (at.group <= tap % kTaps && at.channel < a.tiling.channels) {
      double sum = 0;
      for (int g = 0; g < groups; g++) sum += static_cast<double>(shared[at.group * kThreads + g * lanes + at.lane]);
      const int64_t row = static_cast<int64_t>(at.tile) * (K * K) + (tap - tap % kTaps + at.group);
      a.weight_parts[row * a.tiling.channels + at.channel] = static_cast<float>(sum);
    }
    barrier();
  }
}

template <int K, int S, class W, class T>
SEGNAS_DEVICE void backward_rows(const DwconvBackward<T> &a) {
  const DwconvPlace at = place_of<1, false>(a.tiling);
  DwconvBackwardThread<K, S, W, T> mine(a, at);
  if (at.active) mine.run();
  if constexpr (W::kWeight) put_weights<K>(a, at, mine.dw);
  if constexpr (W::kFused && W::kInput) {
    if (!a.parts) return;
    using Part = typename W::Part;
    Shared<Part> shared = shared_memory<Part>(0);
    shared[thread()] = part_of(mine.sums);
    barrier();
    if (at.group > 0 || at.channel >= a.tiling.channels) return;
    static_cast<Part *>(a.parts)[static_cast<int64_t>(at.tile) * a.tiling.channels + at.channel] = merged(shared + at.lane, a.tiling.lanes, threads() / a.tiling.lanes);
  }
}

template <int K, int S, class W, class T>
SEGNAS_KERNEL(tile_threads(K)) dwconv_backward_rows(const DwconvBackward<T> a) {
  backward_rows<K, S, W>(a);
}
// Of 16 bits, and with norms that quantise: the compiler's own choice would spill.
template <int K, int S, class W, class T>
SEGNAS_KERNEL(tile_threads(K), 256 / tile_threads(K)) dwconv_backward_rows_bounded(const DwconvBackward<T> a) {
  backward_rows<K, S, W>(a);
}

// in: x or dx; out: y or its gradients.
template <int K, int S, class W, class T>
segnas_status run_backward(Stream *s, DwconvBackward<T> &a, const segnas_tensor &in, const segnas_tensor &out, int32_t accumulate,
                           const segnas_tensor *dw, const segnas_tensor *sums, segnas_error *err) {
  const int64_t channels = in.shape[3];
  a.in_h = static_cast<int>(in.shape[1]), a.in_w = static_cast<int>(in.shape[2]);
  a.tiling = tiling_of(K, in.shape[0], out.shape[1], out.shape[2], channels, 1, kMomentPixels / (kTileColumns * S * S));
  using Part = typename W::Part;
  const size_t part_bytes = sums ? static_cast<size_t>(a.tiling.tiles() * channels) * sizeof(Part) : 0;
  const size_t weight_bytes = W::kWeight ? static_cast<size_t>(a.tiling.tiles() * K * K * channels) * sizeof(float) : 0;
  if (W::kWeight || sums) {
    void *memory;
    SEGNAS_GPU_TRY(s->reserve(part_bytes + weight_bytes, &memory, err));
    a.parts = sums ? memory : nullptr;
    a.weight_parts = reinterpret_cast<float *>(static_cast<char *>(memory) + part_bytes);
  }
  constexpr size_t kTapBytes = W::kWeight ? tile_threads(K) / kWarp * tile_threads(K) * sizeof(float) : 0;
  constexpr size_t kPartBytes = W::kFused && W::kInput ? tile_threads(K) * sizeof(Part) : 0;
  const Grid grid = a.tiling.grid(K, kTapBytes > kPartBytes ? kTapBytes : kPartBytes);
  if constexpr (sizeof(T) == sizeof(float) && !W::kQuantised) {
    SEGNAS_GPU_TRY(launch("dwconv_backward_rows", s->raw, err, grid, dwconv_backward_rows<K, S, W, T>, a));
  } else {
    SEGNAS_GPU_TRY(launch("dwconv_backward_rows", s->raw, err, grid, dwconv_backward_rows_bounded<K, S, W, T>, a));
  }
  if constexpr (W::kWeight) SEGNAS_GPU_TRY(finish_weights(s, a.weight_parts, a.tiling.tiles(), K * K, channels, accumulate != 0, rows_of(*dw), err));
  if (sums) SEGNAS_GPU_TRY(finish_gradient_sums(s, static_cast<const Part *>(a.parts), a.tiling.tiles(), channels, *sums, err));
  return succeed(err);
}

// The tensors that a call has; NULL for the others.
template <class T>
DwconvBackward<T> backward_of(const segnas_tensor *x, const segnas_tensor *y, const segnas_tensor *da, const segnas_tensor *w, const segnas_tensor *dx) {
  auto at = [](const segnas_tensor *t) { return t ? stored<T>(*t) : nullptr; };
  auto pitch = [](const segnas_tensor *t) { return t ? pitch_of(*t) : 0; };
  DwconvBackward<T> a = {};
  a.x = at(x), a.x_pitch = pitch(x), a.y = at(y), a.y_pitch = pitch(y), a.da = at(da), a.da_pitch = pitch(da);
  a.w = w ? f32(*w) : nullptr, a.w_pitch = pitch(w), a.dx = at(dx), a.dx_pitch = pitch(dx);
  return a;
}

}  // namespace

segnas_status dwconv_backward_input(void *stream, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx,
                                    segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  if (stride == 1) return dwconv_turned(s, dy, w, dx, err);
  return with_activation(*dy, [&](auto type) {
    auto a = backward_of<decltype(type)>(nullptr, nullptr, dy, w, dx);
    return with_kernel_size(kernel_size(*w), stride, [&](auto k, auto) {
      return run_backward<decltype(k)::value, 2, Wanted<true, false, false>>(s, a, *dx, *dy, 0, nullptr, nullptr, err);
    });
  });
}

segnas_status dwconv_backward_weight(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate,
                                     const segnas_tensor *dw, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*dy, [&](auto type) {
    auto a = backward_of<decltype(type)>(x, nullptr, dy, nullptr, nullptr);
    return with_kernel_size(kernel_size(*dw), stride, [&](auto k, auto step) {
      return run_backward<decltype(k)::value, decltype(step)::value, Wanted<false, true, false>>(s, a, *x, *dy, accumulate, dw, nullptr, err);
    });
  });
}

segnas_status dwconv_norm_backward(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                   int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da,
                                   int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums,
                                   segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  return with_activation(*da, [&](auto type) {
    auto a = backward_of<decltype(type)>(x, y, da, w, dx);
    a.x_norm = norm_of(x_norm, x_relu), a.y_norm = norm_of(y_norm, y_relu);
    return with_kernel_size(kernel_size(*w), stride, [&](auto k, auto step) {
      return with_quantised(quantises(x_norm) || quantises(y_norm), [&](auto quantised) {
        constexpr int K = decltype(k)::value, S = decltype(step)::value;
        constexpr bool kQuantised = decltype(quantised)::value;
        if (dx) return run_backward<K, S, Wanted<true, true, true, kQuantised>>(s, a, *x, *y, accumulate, dw, sums, err);
        return run_backward<K, S, Wanted<false, true, true, kQuantised>>(s, a, *x, *y, accumulate, dw, nullptr, err);
      });
    });
  });
}

}  // namespace segnas::gpu
