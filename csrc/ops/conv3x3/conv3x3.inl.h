// Dense 3x3 convolution with few input channels, f32. conv3x3.h is the contract.
//
// Forward tile: kTileRows output columns x two vectors of output channels, the shape of the GEMM tile: per tap and input channel two
// vectors of packed weights and kTileRows broadcasts feed 2*kTileRows FMAs. Panels inside, column tiles outside: 27 x 32 weights (3.4 KB)
// stay in L1 while x and y stream past once.
// Weight tile: kTileRows (tap, channel) pairs x two vectors of sums in registers while a row of x and dy passes.

static void conv3x3_pack(const float *w, int64_t w_pitch, int64_t cin, int64_t cout, float *packed) {
  for (int64_t o = 0; o < cout; o += 2 * kLanes)
    for (int64_t t = 0; t < 9 * cin; t++)
      for (int64_t i = 0; i < 2 * kLanes; i++) *packed++ = o + i < cout ? w[t * w_pitch + o + i] : 0.0f;
}

struct Conv3x3Args {
  const float *const *rows;
  int64_t in_w, in_pitch, first, cin;
  const float *packed, *bias;
  bool relu;
  int64_t cout, out_pitch;
  float *out;
};

// Taps of a column that lie inside a row of in_w pixels, when tap 0 lies at column q: [from, to).
struct Conv3x3Taps {
  int from, to;
};

static inline Conv3x3Taps conv3x3_taps(int64_t q, int64_t in_w) {
  const int from = q >= 0 ? 0 : q >= -2 ? (int)-q : 3;
  const int to = in_w - q >= 3 ? 3 : in_w > q ? (int)(in_w - q) : 0;
  return {from, to < from ? from : to};
}

// Output columns [j, j + T), which have the taps [from, to) in every row, output channels [o, o + 2 kLanes).
template <int S, int T>
static inline void conv3x3_tile(const Conv3x3Args &a, int64_t j, Conv3x3Taps taps, int64_t o) {
  const int n = a.cout - o < 2 * kLanes ? (int)(a.cout - o) : 2 * kLanes;
  const int64_t pitch = a.in_pitch, step = S * pitch, start = (a.first + j * S - 1) * pitch;
  const F32 bias0 = a.bias ? load_first(a.bias + o, n) : zero(), bias1 = a.bias ? load_first(a.bias + o + kLanes, n - kLanes) : zero();
  F32 acc0[T], acc1[T];
#pragma GCC unroll 16
  for (int t = 0; t < T; t++) acc0[t] = bias0, acc1[t] = bias1;
  for (int u = 0; u < 3; u++) {
    if (!a.rows[u]) continue;
    const float *w = a.packed + (o * 9 + (3 * u + taps.from) * 2 * kLanes) * a.cin;
    for (int v = taps.from; v < taps.to; v++) {
      const float *x = a.rows[u] + start + v * pitch, *end = x + a.cin;
      for (; x < end; x++, w += 2 * kLanes) {
        const F32 w0 = load(w), w1 = load(w + kLanes);
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) {
          const F32 value = broadcast(x[t * step]);
          acc0[t] = fma(value, w0, acc0[t]);
          acc1[t] = fma(value, w1, acc1[t]);
        }
      }
    }
  }
  float *out = a.out + j * a.out_pitch + o;
#pragma GCC unroll 16
  for (int t = 0; t < T; t++) {
    const F32 y0 = a.relu ? relu(acc0[t]) : acc0[t], y1 = a.relu ? relu(acc1[t]) : acc1[t];
    if (n == 2 * kLanes) {
      store(out + t * a.out_pitch, y0);
      store(out + t * a.out_pitch + kLanes, y1);
    } else {
      store_first(out + t * a.out_pitch, y0, n);
      store_first(out + t * a.out_pitch + kLanes, y1, n - kLanes);
    }
  }
}

// Columns [j, end), one at a time.
template <int S>
static void conv3x3_columns(const Conv3x3Args &a, int64_t j, int64_t end) {
  for (; j < end; j++)
    for (int64_t o = 0; o < a.cout; o += 2 * kLanes) conv3x3_tile<S, 1>(a, j, conv3x3_taps(a.first + j * S - 1, a.in_w), o);
}

// Which outputs of a stretch have all their taps inside the row: columns [first, last).
struct Conv3x3Inside {
  int64_t first, last;
};

static Conv3x3Inside conv3x3_inside(int64_t in_w, int64_t origin, int64_t stride, int64_t out_w) {
  int64_t first = origin >= 1 ? 0 : (1 - origin + stride - 1) / stride;
  int64_t room = in_w - 2 - origin;  // j*stride <= room
  int64_t last = room < 0 ? 0 : room / stride + 1;
  if (last > out_w) last = out_w;
  if (first > last) first = last;
  return {first, last};
}

template <int S>
static void conv3x3_row(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, int64_t cin, const float *packed, const float *bias,
                        bool relu, int64_t cout, int64_t out_w, int64_t out_pitch, float *out) {
  const Conv3x3Args a = {rows, in_w, in_pitch, first, cin, packed, bias, relu, cout, out_pitch, out};
  const Conv3x3Inside inside = conv3x3_inside(in_w, first, S, out_w);
  conv3x3_columns<S>(a, 0, inside.first);
  int64_t j = inside.first;
  // A last tile that does not fit is moved back over columns already done: its outputs come out the same.
  for (; j < inside.last && inside.last - inside.first >= kTileRows; j += kTileRows) {
    if (j > inside.last - kTileRows) j = inside.last - kTileRows;
    for (int64_t o = 0; o < cout; o += 2 * kLanes) conv3x3_tile<S, kTileRows>(a, j, {0, 3}, o);
  }
  conv3x3_columns<S>(a, j, out_w);
}

// ---------------------------------------------------------------- gradient of the input

// Channels [c, c + 4) of dx column q (the last of them again where there are fewer).
static inline void conv3x3_input_one(const float *const *rows, int64_t dy_w, int64_t dy_pitch, int64_t stride, const float *w, int64_t w_pitch, int64_t cin,
                                     int64_t cout, int64_t q, int64_t c, float *dx) {
  const int some = cin - c < 4 ? (int)(cin - c) : 4;
  F32 acc[4] = {zero(), zero(), zero(), zero()};
  for (int u = 0; u < 3; u++) {
    if (!rows[u]) continue;
    for (int v = 0; v < 3; v++) {
      const int64_t j = (q + 1 - v) / stride;
      if (q + 1 < v || (q + 1 - v) % stride != 0 || j >= dy_w) continue;
      const float *dy = rows[u] + j * dy_pitch, *taps[4];
      for (int i = 0; i < 4; i++) taps[i] = w + ((3 * u + v) * cin + c + (i < some ? i : some - 1)) * w_pitch;
      int64_t o = 0;
      for (; o + kLanes <= cout; o += kLanes)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) acc[i] = fma(load(dy + o), load(taps[i] + o), acc[i]);
      const int left = (int)(cout - o);
      if (left > 0)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) acc[i] = fma(load_first(dy + o, left), load_first(taps[i] + o, left), acc[i]);
    }
  }
  for (int i = 0; i < some; i++) dx[c + i] = sum_lanes(acc[i]);
}

static void conv3x3_input_row(const float *const *rows, int64_t dy_w, int64_t dy_pitch, int64_t stride, const float *w, int64_t w_pitch, int64_t cin,
                              int64_t cout, int64_t dx_w, int64_t dx_pitch, float *dx) {
  for (int64_t q = 0; q < dx_w; q++)
    for (int64_t c = 0; c < cin; c += 4) conv3x3_input_one(rows, dy_w, dy_pitch, stride, w, w_pitch, cin, cout, q, c, dx + q * dx_pitch);
}

// ---------------------------------------------------------------- gradient of the weights

// The (tap, channel) pairs inside the picture: where column 0's value lies, and which row of the sums it belongs to. Filled up to whole
// tiles with the last pair again, whose sums are then dropped.
struct Conv3x3Pairs {
  const float *x[9 * kConv3x3MostChannels + kTileRows];
  int64_t row[9 * kConv3x3MostChannels + kTileRows];
  int64_t count;
};

static void conv3x3_pairs(const float *const *rows, int64_t in_pitch, int64_t first, int64_t cin, Conv3x3Pairs *pairs) {
  int64_t n = 0;
  for (int u = 0; u < 3; u++) {
    if (!rows[u]) continue;
    for (int64_t i = 0; i < 3 * cin; i++) {
      pairs->x[n] = rows[u] + (first + i / cin - 1) * in_pitch + i % cin;
      pairs->row[n++] = 3 * u * cin + i;
    }
  }
  pairs->count = n;
  for (int i = 0; i < kTileRows && n > 0; i++) pairs->x[n + i] = pairs->x[n - 1];
}

// kTileRows pairs from p on, output channels [o, o + n), n <= 2 kLanes, over columns [j, end).
template <bool kWhole>
static inline void conv3x3_weight_tile(const Conv3x3Pairs &pairs, int64_t p, int64_t step, const float *dy, int64_t dy_pitch, int64_t j, int64_t end, int n,
                                       int64_t cout, float *sums) {
  const float *x[kTileRows];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; r++) x[r] = pairs.x[p + r];
  F32 acc0[kTileRows], acc1[kTileRows];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; r++) acc0[r] = acc1[r] = zero();
  const float *g = dy + j * dy_pitch;
  for (int64_t at = j * step; at < end * step; at += step, g += dy_pitch) {
    const F32 dy0 = kWhole ? load(g) : load_first(g, n), dy1 = kWhole ? load(g + kLanes) : load_first(g + kLanes, n - kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; r++) {
      const F32 value = broadcast(x[r][at]);
      acc0[r] = fma(value, dy0, acc0[r]);
      acc1[r] = fma(value, dy1, acc1[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; r++) {
    if (p + r >= pairs.count) continue;
    float *sum = sums + pairs.row[p + r] * cout;
    store_first(sum, add(load_first(sum, n), acc0[r]), n);
    store_first(sum + kLanes, add(load_first(sum + kLanes, n - kLanes), acc1[r]), n - kLanes);
  }
}

// Columns [j, end) one at a time, with the taps that they have.
static void conv3x3_weight_columns(const Conv3x3Pairs &pairs, int64_t in_w, int64_t first, int64_t stride, int64_t in_pitch, int64_t cin, const float *dy,
                                   int64_t dy_pitch, int64_t cout, int64_t j, int64_t end, float *sums) {
  for (; j < end; j++) {
    const Conv3x3Taps taps = conv3x3_taps(first + j * stride - 1, in_w);
    for (int64_t p = 0; p < pairs.count; p++) {
      const int64_t v = pairs.row[p] / cin % 3;
      if (v < taps.from || v >= taps.to) continue;
      const F32 value = broadcast(pairs.x[p][j * stride * in_pitch]);
      for (int64_t o = 0; o < cout; o += kLanes) {
        const int n = cout - o < kLanes ? (int)(cout - o) : kLanes;
        float *sum = sums + pairs.row[p] * cout + o;
        store_first(sum, fma(value, load_first(dy + j * dy_pitch + o, n), load_first(sum, n)), n);
      }
    }
  }
}

static void conv3x3_weight_row(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, int64_t stride, int64_t cin, const float *dy,
                               int64_t dy_pitch, int64_t cout, int64_t out_w, float *sums) {
  Conv3x3Pairs pairs;
  conv3x3_pairs(rows, in_pitch, first, cin, &pairs);
  const Conv3x3Inside inside = conv3x3_inside(in_w, first, stride, out_w);
  const int64_t step = stride * in_pitch;
  conv3x3_weight_columns(pairs, in_w, first, stride, in_pitch, cin, dy, dy_pitch, cout, 0, inside.first, sums);
  for (int64_t o = 0; o < cout && inside.first < inside.last; o += 2 * kLanes)
    for (int64_t p = 0; p < pairs.count; p += kTileRows) {
      if (cout - o >= 2 * kLanes) {
        conv3x3_weight_tile<true>(pairs, p, step, dy + o, dy_pitch, inside.first, inside.last, 2 * kLanes, cout, sums + o);
      } else {
        conv3x3_weight_tile<false>(pairs, p, step, dy + o, dy_pitch, inside.first, inside.last, (int)(cout - o), cout, sums + o);
      }
    }
  conv3x3_weight_columns(pairs, in_w, first, stride, in_pitch, cin, dy, dy_pitch, cout, inside.last, out_w, sums);
}

static void conv3x3_add(float *a, const float *b, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int left = n - i < kLanes ? (int)(n - i) : kLanes;
    store_first(a + i, add(load_first(a + i, left), load_first(b + i, left)), left);
  }
}

static void conv3x3_fold(float *part, int64_t parts, int64_t distance, int64_t n, bool accumulate, float *target) {
  for (int64_t step = 1; step < parts; step *= 2)
    for (int64_t i = 0; i + step < parts; i += 2 * step) conv3x3_add(part + i * distance, part + (i + step) * distance, n);
  if (accumulate) {
    conv3x3_add(target, part, n);
  } else {
    __builtin_memcpy(target, part, (size_t)n * sizeof(float));
  }
}

static constexpr Conv3x3Kernels kConv3x3 = {
    conv3x3_pack, {conv3x3_row<1>, conv3x3_row<2>}, conv3x3_input_row, conv3x3_weight_row, conv3x3_fold};
