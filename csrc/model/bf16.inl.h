// bfloat16 kernels of sessions; bf16.h is the contract.
//
// Products: tiles of kTileRows x 2 vectors of float32 sums, as simd/gemm.inl.h, two multiply-adds to each step: on Zen 5 twice the rate of float32,
// with half the bytes of A and B. The result leaves the registers as bfloat16: one conversion and one permutation for two vectors.
// Depthwise: taps and sums in float32 (9 multiply-adds a value gain nothing from pairs), values unpacked from pairs by a shift and a mask.
namespace bf16 {

constexpr int kGroup = 2 * kLanes;
// Channel of position p of a group.
constexpr int channel_of(int p) { return p / 2 + p % 2 * kLanes; }

// ---------------------------------------------------------------- products

// Pairs of rows of w at `position` and after it, in columns [column, column + kGroup); row(position) is negative for fill.
template <class Row>
static inline void pack_pair(const float *w, int64_t n, int64_t position, int64_t column, Row row, uint16_t *packed) {
  for (int64_t i = 0; i < 2 * kGroup; i++) {
    const int64_t from = row(position + i % 2);
    const float value = from >= 0 && column + i / 2 < n ? w[from * n + column + i / 2] : 0.0f;
    narrow_first(packed + i, broadcast(value), 1);
  }
}

static void pack(const float *w, int64_t k, int64_t n, uint16_t *packed) {
  auto row = [k](int64_t position) {
    const int64_t channel = position / kGroup * kGroup + channel_of((int)(position % kGroup));
    return channel < k ? channel : -1;
  };
  for (int64_t column = 0; column < n; column += kGroup)
    for (int64_t p = 0; p < (k + kGroup - 1) / kGroup * kGroup; p += 2, packed += 2 * kGroup) pack_pair(w, n, p, column, row, packed);
}

static void pack_dense(const float *w, int64_t cin, int64_t n, uint16_t *packed) {
  const int64_t run = 3 * cin, filled = run + run % 2;
  auto row = [run, filled](int64_t position) { return position % filled < run ? position / filled * run + position % filled : -1; };
  for (int64_t column = 0; column < n; column += kGroup)
    for (int64_t p = 0; p < 3 * filled; p += 2, packed += 2 * kGroup) pack_pair(w, n, p, column, row, packed);
}

struct Product {
  const float *bias;
  int64_t residual_pitch;
  bool relu, floats;
};

// One group of columns of kRows rows; kVectors of its two hold columns, the other one is fill. ahead as in simd/gemm.inl.h.
template <int kRows, int kVectors, bool kAhead>
static inline void tile(const uint16_t *a, int64_t a_pitch, const uint16_t *panel, int64_t pairs, int64_t n, const Product &e, const uint16_t *residual,
                        void *c, int64_t c_pitch, Ahead *ahead) {
  F32 acc[kRows][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++)
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) acc[r][v] = load(e.bias + v * kLanes);
  const char *line = kAhead ? ahead->at : nullptr;
  for (int64_t i = 0; i < pairs; i++, panel += 2 * kGroup) {
    if constexpr (kAhead) __builtin_prefetch(line + i * 64, 0, 2);
    Bf16 b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) b[v] = load_pairs(panel + v * kGroup);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) {
      const Bf16 x = broadcast_pair(a + r * a_pitch + 2 * i);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) acc[r][v] = dot(acc[r][v], x, b[v]);
    }
  }
  if constexpr (kAhead) ahead->at = line + pairs * 64;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    F32 y0 = acc[r][0], y1 = zero();
    if constexpr (kVectors > 1) y1 = acc[r][1];
    if (residual) {
      const Bf16 more = load_pairs(residual + r * e.residual_pitch);
      y0 = add(y0, even(more));
      if (kVectors > 1) y1 = add(y1, odd(more));
    }
    if (e.relu) y0 = relu(y0), y1 = relu(y1);
    if (e.floats) {
      store_first((float *)c + r * c_pitch, y0, (int)n);
      store_first((float *)c + r * c_pitch + kLanes, y1, (int)n - kLanes);
    } else {
      store_pairs((uint16_t *)c + r * c_pitch, zip(y0, y1));
    }
  }
}

template <int kRows, int kVectors>
static inline void tail(int64_t rows, const uint16_t *a, int64_t a_pitch, const uint16_t *panel, int64_t pairs, int64_t n, const Product &e,
                        const uint16_t *residual, void *c, int64_t c_pitch) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile<kRows, kVectors, false>(a, a_pitch, panel, pairs, n, e, residual, c, c_pitch, nullptr);
    tail<kRows - 1, kVectors>(rows, a, a_pitch, panel, pairs, n, e, residual, c, c_pitch);
  }
}

// `count` rows of one group of columns; pitches in bytes for c.
template <int kVectors>
static inline void group(const uint16_t *a, int64_t a_pitch, int64_t count, const uint16_t *panel, int64_t pairs, int64_t n, const Product &e,
                         const uint16_t *residual, char *c, int64_t c_pitch, int64_t element, Ahead *ahead) {
  int64_t row = 0;
  for (; row + kTileRows <= count; row += kTileRows) {
    const uint16_t *more = residual ? residual + row * e.residual_pitch : nullptr;
    char *out = c + row * c_pitch * element;
    if (ahead->at < ahead->end) {
      tile<kTileRows, kVectors, true>(a + row * a_pitch, a_pitch, panel, pairs, n, e, more, out, c_pitch, ahead);
    } else {
      tile<kTileRows, kVectors, false>(a + row * a_pitch, a_pitch, panel, pairs, n, e, more, out, c_pitch, nullptr);
    }
  }
  tail<kTileRows - 1, kVectors>(count - row, a + row * a_pitch, a_pitch, panel, pairs, n, e, residual ? residual + row * e.residual_pitch : nullptr,
                                c + row * c_pitch * element, c_pitch);
}

// Rows in blocks whose A stays in L2 while the panels pass by; a panel stays in L1 over the block's tiles.
static void rows(const uint16_t *a, int64_t a_pitch, int64_t count, const uint16_t *packed, int64_t pairs, int64_t n, const float *bias,
                 const uint16_t *residual, int64_t residual_pitch, bool relu, bool floats, void *c, int64_t c_pitch, Ahead ahead) {
  constexpr int64_t kBlockPairs = 24 * 1024;
  int64_t block = kBlockPairs / pairs / kTileRows * kTileRows;
  if (block < kTileRows) block = kTileRows;
  const int64_t element = floats ? 4 : 2;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t some = count - first < block ? count - first : block;
    const uint16_t *panel = packed;
    for (int64_t column = 0; column < n; column += kGroup, panel += pairs * 2 * kGroup) {
      const Product e = {bias + column, residual_pitch, relu, floats};
      const int64_t left = n - column < kGroup ? n - column : kGroup;
      const uint16_t *more = residual ? residual + first * residual_pitch + column : nullptr;
      char *out = (char *)c + (first * c_pitch + column) * element;
      if (left > kLanes) {
        group<2>(a + first * a_pitch, a_pitch, some, panel, pairs, left, e, more, out, c_pitch, element, &ahead);
      } else {
        group<1>(a + first * a_pitch, a_pitch, some, panel, pairs, left, e, more, out, c_pitch, element, &ahead);
      }
    }
  }
}

// ---------------------------------------------------------------- depthwise

// Output columns of a tile: 2 T sums and 2 K taps in registers beside two values.
template <int K>
constexpr int tile_columns() { return alignof(F32) == alignof(float) ? 2 : K == 7 ? 4 : 8; }

// T neighbouring columns, all taps inside; x: offset of the first one's first tap.
template <int K, int S, int T>
static inline void depthwise_tile(const uint16_t *const *rows, int64_t x, const float *w, const float *bias, bool positive, int64_t stored, uint16_t *out) {
  for (int64_t c = 0; c < stored; c += kGroup, w += K * K * kGroup) {
    const F32 start0 = load(bias + c), start1 = load(bias + c + kLanes);
    F32 acc0[T], acc1[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) acc0[t] = start0, acc1[t] = start1;
    for (int u = 0; u < K; u++) {
      if (!rows[u]) continue;
      const uint16_t *row = rows[u] + x + c;
      F32 tap0[K], tap1[K];
#pragma GCC unroll 8
      for (int v = 0; v < K; v++) tap0[v] = load(w + (u * K + v) * kGroup), tap1[v] = load(w + (u * K + v) * kGroup + kLanes);
#pragma GCC unroll 32
      for (int q = 0; q < (T - 1) * S + K; q++) {
        const Bf16 column = load_pairs(row + q * stored);
        const F32 value0 = even(column), value1 = odd(column);
#pragma GCC unroll 8
        for (int t = 0; t < T; t++)
          if (q >= t * S && q < t * S + K) {
            acc0[t] = fma(value0, tap0[q - t * S], acc0[t]);
            acc1[t] = fma(value1, tap1[q - t * S], acc1[t]);
          }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      if (positive) acc0[t] = relu(acc0[t]), acc1[t] = relu(acc1[t]);
      store_pairs(out + t * stored + c, zip(acc0[t], acc1[t]));
    }
  }
}

// Column j, with the taps [from, to) of every row that lie inside it; x: offset of its tap 0.
template <int K>
static inline void depthwise_one(const uint16_t *const *rows, int64_t x, int from, int to, const float *w, const float *bias, bool positive,
                                 int64_t stored, uint16_t *out) {
  for (int64_t c = 0; c < stored; c += kGroup, w += K * K * kGroup) {
    F32 acc0 = load(bias + c), acc1 = load(bias + c + kLanes);
    for (int u = 0; u < K; u++)
      for (int v = from; rows[u] && v < to; v++) {
        const Bf16 value = load_pairs(rows[u] + x + v * stored + c);
        acc0 = fma(even(value), load(w + (u * K + v) * kGroup), acc0);
        acc1 = fma(odd(value), load(w + (u * K + v) * kGroup + kLanes), acc1);
      }
    if (positive) acc0 = relu(acc0), acc1 = relu(acc1);
    store_pairs(out + c, zip(acc0, acc1));
  }
}

template <int K, int S>
static void depthwise(const uint16_t *const *rows, int64_t in_w, int64_t first, const float *w, const float *bias, bool positive, int64_t stored,
                      int64_t out_w, uint16_t *out) {
  constexpr int T = tile_columns<K>();
  // Columns [begin, end) have all their taps inside the row.
  int64_t begin = first >= K / 2 ? 0 : (K / 2 - first + S - 1) / S;
  const int64_t room = in_w - K + K / 2 - first;
  int64_t end = room < 0 ? 0 : room / S + 1;
  if (end > out_w) end = out_w;
  if (begin > end) begin = end;
  for (int64_t j = 0; j < out_w; j++) {
    if (j == begin) {
      for (; j < end && end - begin >= T; j += T) {
        if (j > end - T) j = end - T;  // back over columns already done: they come out the same
        depthwise_tile<K, S, T>(rows, (first + j * S - K / 2) * stored, w, bias, positive, stored, out + j * stored);
      }
      if (j >= out_w) break;
    }
    const int64_t q = first + j * S - K / 2;
    const int from = q >= 0 ? 0 : (int)-q, to = in_w - q >= K ? K : (int)(in_w - q);
    depthwise_one<K>(rows, q * stored, from, to, w, bias, positive, stored, out + j * stored);
  }
}

// ---------------------------------------------------------------- dense 3x3

static inline void zeros(uint16_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = 0;
}

static void line(const Bf16Line &a) {
  const int64_t c = a.cin;
  const int64_t from = a.first > 0 ? a.first : 0, end = a.first + a.columns < a.in_w ? a.first + a.columns : a.in_w;
  if (!a.row || from >= end) return zeros(a.line, a.columns * c);
  zeros(a.line, (from - a.first) * c);
  zeros(a.line + (end - a.first) * c, (a.first + a.columns - end) * c);
  uint16_t *to = a.line + (from - a.first) * c;
  const int64_t n = (end - from) * c;
  float block[kConv3x3MostChannels * kNormalisePixels];
  const int64_t period = c * kNormalisePixels;
  for (int64_t i = 0; i < n; i += period) {
    const int64_t some = n - i < period ? n - i : period;
    const float *x = (const float *)a.row + from * c + i;
    if (a.bytes) {
      const uint8_t *bytes = (const uint8_t *)a.row + from * c + i;
      for (int64_t j = 0; j < some; j++) block[j] = (float)bytes[j] * a.scale[j] + a.shift[j];
      x = block;
    }
    int64_t j = 0;
    for (; j + kLanes <= some; j += kLanes) narrow(to + i + j, load(x + j));
    if (j < some) narrow_first(to + i + j, load_first(x + j, (int)(some - j)), (int)(some - j));
  }
}

// kRows neighbouring columns, one group of output channels. Three runs of 3*cin values that lie together in a line; the last one of an odd run is
// paired with a zero, not with its neighbour, which may be infinite.
template <int kRows, int kVectors>
static inline void dense_tile(const Bf16Dense &a, int64_t j, const uint16_t *panel, const float *bias, uint16_t *out) {
  const int64_t step = a.stride * a.cin, run = 3 * a.cin;
  F32 acc[kRows][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++)
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) acc[r][v] = load(bias + v * kLanes);
  for (int u = 0; u < 3; u++) {
    const uint16_t *x = a.lines[u] + j * step;
    for (int64_t i = 0; i < run; i += 2, panel += 2 * kGroup) {
      Bf16 b[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) b[v] = load_pairs(panel + v * kGroup);
      if (i + 1 < run) {
#pragma GCC unroll 12
        for (int r = 0; r < kRows; r++) {
          const Bf16 pair = broadcast_pair(x + r * step + i);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; v++) acc[r][v] = dot(acc[r][v], pair, b[v]);
        }
      } else {
#pragma GCC unroll 12
        for (int r = 0; r < kRows; r++) {
          const Bf16 pair = broadcast_half(x + r * step + i);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; v++) acc[r][v] = dot(acc[r][v], pair, b[v]);
        }
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    F32 y0 = acc[r][0], y1 = zero();
    if constexpr (kVectors > 1) y1 = acc[r][1];
    if (a.relu) y0 = relu(y0), y1 = relu(y1);
    store_pairs(out + r * a.out_pitch, zip(y0, y1));
  }
}

template <int kVectors>
static inline void dense_group(const Bf16Dense &a, const uint16_t *panel, const float *bias, uint16_t *out) {
  int64_t j = 0;
  // A last tile that does not fit is moved back over columns already done: its outputs come out the same.
  for (; j < a.columns && a.columns >= kTileRows; j += kTileRows) {
    if (j > a.columns - kTileRows) j = a.columns - kTileRows;
    dense_tile<kTileRows, kVectors>(a, j, panel, bias, out + j * a.out_pitch);
  }
  for (; j < a.columns; j++) dense_tile<1, kVectors>(a, j, panel, bias, out + j * a.out_pitch);
}

static void dense(const Bf16Dense &a) {
  const int64_t run = 3 * a.cin;
  const uint16_t *panel = a.packed;
  for (int64_t o = 0; o < a.cout; o += kGroup, panel += 3 * (run + run % 2) * kGroup) {
    if (a.cout - o > kLanes) {
      dense_group<2>(a, panel, a.bias + o, a.out + o);
    } else {
      dense_group<1>(a, panel, a.bias + o, a.out + o);
    }
  }
}

// ---------------------------------------------------------------- between layers

static void upsample(const Bf16UpsampleRow &a) {
  const F32 v0 = broadcast(a.top_weight), v1 = broadcast(a.bottom_weight);
  for (int64_t i = 0; i < a.columns.in * a.stored; i += kLanes) {
    const F32 top = widen(a.top + i);
    store(a.line + i, a.bottom_weight == 0 ? top : add(mul(v0, top), mul(v1, widen(a.bottom + i))));
  }
  for (int64_t o = 0; o < a.columns.out; o++) {
    const float *left = a.line + a.columns.lo[o] * a.stored;
    const F32 w0 = broadcast(a.columns.w0[o]), w1 = broadcast(a.columns.w1[o]);
    const bool two = a.columns.w1[o] != 0;
    for (int64_t c = 0; c < a.stored; c += kLanes) {
      F32 value = load(left + c);
      if (two) value = add(mul(w0, value), mul(w1, load(left + a.stored + c)));
      if (a.add) value = add(widen(a.add + o * a.stored + c), value);
      narrow(a.y + o * a.stored + c, a.relu ? relu(value) : value);
    }
  }
}

static void to_stored(const float *x, int64_t pixels, int64_t c, uint16_t *y) {
  for (int64_t p = 0; p < pixels; p++, x += c)
    for (int64_t i = 0; i < c; i += kGroup, y += kGroup) {
      const int n = c - i < kGroup ? (int)(c - i) : kGroup;
      store_pairs(y, zip(load_first(x + i, n), load_first(x + i + kLanes, n - kLanes)));
    }
}

static void to_float(const uint16_t *x, int64_t pixels, int64_t c, float *y) {
  for (int64_t p = 0; p < pixels; p++, y += c)
    for (int64_t i = 0; i < c; i += kGroup, x += kGroup) {
      const int n = c - i < kGroup ? (int)(c - i) : kGroup;
      const Bf16 group = load_pairs(x);
      store_first(y + i, even(group), n);
      store_first(y + i + kLanes, odd(group), n - kLanes);
    }
}

}  // namespace bf16

static constexpr Bf16Kernels kBf16 = {
    kLanes, bf16::pack, bf16::pack_dense, bf16::rows,
    {{bf16::depthwise<3, 1>, bf16::depthwise<3, 2>}, {bf16::depthwise<5, 1>, bf16::depthwise<5, 2>}, {bf16::depthwise<7, 1>, bf16::depthwise<7, 2>}},
    bf16::line, bf16::dense, bf16::upsample, bf16::to_stored, bf16::to_float};
