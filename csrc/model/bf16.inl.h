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

static void pack(const float *w, int64_t k, int64_t n, bool stored, uint16_t *packed) {
  // (No call of bf16.h's inline functions here: compiled under this set's flags, they would leak out of it.)
  const int64_t rows = stored ? (k + kGroup - 1) / kGroup * kGroup : k + k % 2;
  for (int64_t column = 0; column < n; column += kGroup)
    for (int64_t p = 0; p < rows; p += 2)
      for (int64_t i = 0; i < 2 * kGroup; i++) {
        const int64_t at = p + i % 2, row = stored ? at / kGroup * kGroup + channel_of((int)(at % kGroup)) : at;
        float value = row < k && column + i / 2 < n ? w[row * n + column + i / 2] : 0.0f;
        narrow_first(packed++, broadcast(value), 1);
      }
}

struct Product {
  const float *bias;
  const uint16_t *residual;
  int64_t residual_pitch;
  bool relu, floats;
};

// One group of columns of kRows rows.
template <int kRows>
static inline void tile(const uint16_t *a, int64_t a_pitch, const uint16_t *panel, int64_t pairs, int64_t n, const Product &e, const uint16_t *residual,
                        void *c, int64_t c_pitch) {
  F32 acc[kRows][2];
  const F32 start0 = load(e.bias), start1 = load(e.bias + kLanes);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) acc[r][0] = start0, acc[r][1] = start1;
  for (int64_t i = 0; i < pairs; i++, panel += 2 * kGroup) {
    const Bf16 b0 = load_pairs(panel), b1 = load_pairs(panel + kGroup);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) {
      const Bf16 x = broadcast_pair(a + r * a_pitch + 2 * i);
      acc[r][0] = dot(acc[r][0], x, b0);
      acc[r][1] = dot(acc[r][1], x, b1);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    if (residual) {
      const Bf16 more = load_pairs(residual + r * e.residual_pitch);
      acc[r][0] = add(acc[r][0], even(more));
      acc[r][1] = add(acc[r][1], odd(more));
    }
    if (e.relu) acc[r][0] = relu(acc[r][0]), acc[r][1] = relu(acc[r][1]);
    if (e.floats) {
      store_first((float *)c + r * c_pitch, acc[r][0], (int)n);
      store_first((float *)c + r * c_pitch + kLanes, acc[r][1], (int)n - kLanes);
    } else {
      store_pairs((uint16_t *)c + r * c_pitch, zip(acc[r][0], acc[r][1]));
    }
  }
}

template <int kRows>
static inline void tail(int64_t rows, const uint16_t *a, int64_t a_pitch, const uint16_t *panel, int64_t pairs, int64_t n, const Product &e,
                        const uint16_t *residual, void *c, int64_t c_pitch) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile<kRows>(a, a_pitch, panel, pairs, n, e, residual, c, c_pitch);
    tail<kRows - 1>(rows, a, a_pitch, panel, pairs, n, e, residual, c, c_pitch);
  }
}

// Rows in blocks whose A stays in L2 while the panels pass by; a panel stays in L1 over the block's tiles.
static void rows(const uint16_t *a, int64_t a_pitch, int64_t count, const uint16_t *packed, int64_t pairs, int64_t n, const float *bias,
                 const uint16_t *residual, int64_t residual_pitch, bool relu, bool floats, void *c, int64_t c_pitch) {
  constexpr int64_t kBlockPairs = 24 * 1024;
  int64_t block = kBlockPairs / pairs / kTileRows * kTileRows;
  if (block < kTileRows) block = kTileRows;
  const int64_t element = floats ? 4 : 2;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t end = first + block < count ? first + block : count;
    const uint16_t *panel = packed;
    for (int64_t column = 0; column < n; column += kGroup, panel += pairs * 2 * kGroup) {
      const Product e = {bias + column, residual, residual_pitch, relu, floats};
      const int64_t left = n - column < kGroup ? n - column : kGroup;
      int64_t row = first;
      char *out = (char *)c + column * element;
      const uint16_t *more = residual ? residual + column : nullptr;
      for (; row + kTileRows <= end; row += kTileRows)
        tile<kTileRows>(a + row * a_pitch, a_pitch, panel, pairs, left, e, more ? more + row * residual_pitch : nullptr, out + row * c_pitch * element, c_pitch);
      tail<kTileRows - 1>(end - row, a + row * a_pitch, a_pitch, panel, pairs, left, e, more ? more + row * residual_pitch : nullptr,
                          out + row * c_pitch * element, c_pitch);
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

// ---------------------------------------------------------------- pictures

static inline F32 bytes_first(const unsigned char *p, int n) {
  float values[kLanes];
  for (int i = 0; i < kLanes; i++) values[i] = i < n ? (float)p[i] : 0.0f;
  return load(values);
}

// Values [begin, end) of one tap row's run of 3*cin; x points to the run's value 0, which may lie outside.
static inline void patch_run(const Bf16Patches &a, const void *row, int64_t x, int begin, int end, uint16_t *to) {
  for (int i = begin; i < end; i += kLanes) {
    const int n = end - i;
    F32 value = a.bytes ? bytes_first((const unsigned char *)row + x + i, n) : load_first((const float *)row + x + i, n);
    if (a.bytes) value = add(mul(value, load_first(a.scale + i, n)), load_first(a.shift + i, n));
    narrow_first(to + i, value, n);
  }
}

// Patches [j, end) with all taps inside, whose runs fit a vector. A run is written as a whole vector: what is too much is zero, and the next run or
// patch is written over it; so the patches have room for a vector behind them.
static void patches_inside(const Bf16Patches &a, int64_t j, int64_t end) {
  const int run = (int)(3 * a.cin);
  const int64_t step = a.stride * a.cin;
  const F32 scale = a.bytes ? load_first(a.scale, run) : zero(), shift = a.bytes ? load_first(a.shift, run) : zero();
  int64_t x = (a.first + j * a.stride - 1) * a.cin;
  uint16_t *to = a.patches + j * a.k;
  for (; j < end; j++, x += step, to += a.k) {
    for (int u = 0; u < 3; u++) {
      F32 value = zero();
      if (a.rows[u] && a.bytes) value = add(mul(bytes_first((const unsigned char *)a.rows[u] + x, run), scale), shift);
      if (a.rows[u] && !a.bytes) value = load_first((const float *)a.rows[u] + x, run);
      narrow(to + u * run, value);
    }
  }
}

// Patches [j, end), whatever taps they have.
static void patches_any(const Bf16Patches &a, int64_t j, int64_t end) {
  const int run = (int)(3 * a.cin);
  for (; j < end; j++) {
    uint16_t *to = a.patches + j * a.k;
    const int64_t q = a.first + j * a.stride - 1;
    int begin = q >= 0 ? 0 : (int)(-q * a.cin), stop = a.in_w - q >= 3 ? run : (int)((a.in_w - q) * a.cin);
    for (int64_t i = 3 * run; i < a.k; i++) to[i] = 0;
    for (int u = 0; u < 3; u++, to += run) {
      const bool inside = a.rows[u] != nullptr;
      for (int i = 0; i < (inside ? begin : run); i++) to[i] = 0;
      for (int i = inside ? stop : run; i < run; i++) to[i] = 0;
      if (inside) patch_run(a, a.rows[u], q * a.cin, begin, stop, to);
    }
  }
}

static void patches(const Bf16Patches &a) {
  // Patches [begin, end) have all their taps inside the picture.
  int64_t begin = a.first >= 1 ? 0 : 1, end = (a.in_w - 2 - a.first) / a.stride + 1;
  if (end > a.columns) end = a.columns;
  if (3 * a.cin > kLanes || a.in_w - 2 < a.first || begin > end) begin = end = 0;
  patches_any(a, 0, begin);
  patches_inside(a, begin, end);
  patches_any(a, end, a.columns);
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
      value = add(widen(a.add + o * a.stored + c), value);
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
    kLanes, bf16::pack, bf16::rows,
    {{bf16::depthwise<3, 1>, bf16::depthwise<3, 2>}, {bf16::depthwise<5, 1>, bf16::depthwise<5, 2>}, {bf16::depthwise<7, 1>, bf16::depthwise<7, 2>}},
    bf16::patches, bf16::upsample, bf16::to_stored, bf16::to_float};
