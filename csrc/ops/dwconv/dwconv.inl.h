// Depthwise convolution, f32. dwconv.h is the contract.
//
// Forward tile: T output columns x one vector of channels. For each tap row u the k weights sit in registers, and each input column is
// loaded once and multiplied into the outputs that it belongs to (columns upwards, so that every output meets its taps in order). Column
// tiles outside, channels inside: the k rows that a tile shares with the next one are still in L1.
// Weight tile: T output columns x one vector x R tap rows of sums in registers, swept over a block of channels whose sums stay in L1.

// Output columns of a tile: eight accumulators, enough to hide an FMA's latency behind the others, and few enough to leave registers for a
// row of taps. Plain C++, where a vector is a loop over its lanes, takes two: more only make the compiler slow.
constexpr int kDwconvTile = alignof(F32) > alignof(float) ? 8 : 2;

// Channels that pass down a strip together: for k = 3, the rows of a strip, the taps and a row of outputs fill half of a 32 KiB L1.
constexpr int kDwconvBlock = 64;

// Which outputs of a stretch have all their taps inside the row: columns [first, last).
struct DwconvInside {
  int64_t first, last;
};

template <int K, int S>
static DwconvInside dwconv_inside(int64_t in_w, int64_t origin, int64_t out_w) {
  int64_t first = origin >= K / 2 ? 0 : (K / 2 - origin + S - 1) / S;
  int64_t room = in_w - K + K / 2 - origin;  // j*S <= room
  int64_t last = room < 0 ? 0 : room / S + 1;
  if (last > out_w) last = out_w;
  if (first > last) first = last;
  return {first, last};
}

// Taps of a column that lie inside a row of in_w pixels, when tap 0 lies at column q: [from, to).
struct DwconvTaps {
  int from, to;
};

template <int K>
static inline DwconvTaps dwconv_taps(int64_t q, int64_t in_w) {
  const int from = q >= 0 ? 0 : -q < K ? (int)-q : K;
  const int to = in_w - q >= K ? K : in_w > q ? (int)(in_w - q) : 0;
  return {from, to};
}

template <bool kWhole>
static inline F32 dwconv_load(const float *p, int n) {
  return kWhole ? load(p) : load_first(p, n);
}

template <bool kWhole>
static inline void dwconv_store(float *p, F32 a, int n) {
  if (kWhole) {
    store(p, a);
  } else {
    store_first(p, a, n);
  }
}

// ---------------------------------------------------------------- forward

struct DwconvArgs {
  const float *const *rows;
  int64_t in_w, in_pitch, first;
  const float *w;
  int64_t w_pitch;
  const float *bias;
  bool relu;
  int64_t channels, out_pitch;
  float *out;
  int64_t out_rows, row_pitch;
  bool in_memory;
};

// Asks for the channels [c, c + n) of the S*T input columns that the next strip adds to the rows [from, to), a band of memory when the
// pixels are dense.
template <int S, int T>
static inline void dwconv_prefetch(const float *const *rows, int from, int to, int64_t column, int64_t pitch, int64_t c, int n) {
  for (int u = from; u < to; u++) {
    if (!rows[u]) continue;
    const float *p = rows[u] + column * pitch + c * S * T;
    for (int i = 0; i < n * S * T; i += 16) __builtin_prefetch(p + i, 0, 2);
  }
}

// Outputs of T neighbouring columns, all taps inside the row, in n channels (whole vectors). x: offset of the first one's first tap.
template <int K, int S, int T>
static inline void dwconv_tile(const float *const *rows, int64_t x, int64_t pitch, const float *w, int64_t w_pitch, const float *bias, bool positive, int n,
                               int64_t out_pitch, float *out) {
  for (int c = 0; c < n; c += kLanes) {
    const F32 start = bias ? load(bias + c) : zero();
    F32 acc[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) acc[t] = start;
    for (int u = 0; u < K; u++) {
      if (!rows[u]) continue;
      const float *row = rows[u] + x + c;
      const float *taps = w + u * K * w_pitch + c;
      F32 tap[K];
#pragma GCC unroll 8
      for (int v = 0; v < K; v++) tap[v] = load(taps + v * w_pitch);
#pragma GCC unroll 32
      for (int q = 0; q < (T - 1) * S + K; q++) {
        const F32 column = load(row + q * pitch);
#pragma GCC unroll 16
        for (int t = 0; t < T; t++)
          if (q >= t * S && q < t * S + K) acc[t] = fma(column, tap[q - t * S], acc[t]);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) store(out + t * out_pitch + c, positive ? relu(acc[t]) : acc[t]);
  }
}

// The strip of columns [j, j + T) of all rows of the band, whole vectors of channels; next: the strip after it begins at column j + T.
template <int K, int S, int T>
__attribute__((noinline)) static void dwconv_strip(const DwconvArgs &a, int64_t j, bool next) {
  constexpr int kBlock = kDwconvBlock;
  const int64_t whole = a.channels - a.channels % kLanes, column = a.first + j * S - K / 2;
  alignas(64) float taps[K * K * kBlock];
  for (int64_t c = 0; c < whole; c += kBlock) {
    const int n = whole - c < kBlock ? (int)(whole - c) : kBlock;
    // Rows of w a multiple of 512 bytes apart fall into the same few sets of the cache, and would drive the input out of them.
    const bool pack = a.out_rows > 2;
    for (int v = 0; pack && v < K * K; v++)
      for (int i = 0; i < n; i += kLanes) store(taps + v * kBlock + i, load(a.w + v * a.w_pitch + c + i));
    for (int64_t i = 0; i < a.out_rows; i++) {
      const float *const *rows = a.rows + i * S;
      if (next) dwconv_prefetch<S, T>(rows, i == 0 ? 0 : K - S, K, column + (T - 1) * S + K, a.in_pitch, c, n);
      dwconv_tile<K, S, T>(rows, column * a.in_pitch + c, a.in_pitch, pack ? taps : a.w + c, pack ? kBlock : a.w_pitch, a.bias ? a.bias + c : nullptr, a.relu,
                           n, a.out_pitch, a.out + i * a.row_pitch + j * a.out_pitch + c);
    }
  }
}

// Channels [c, c + n) of row i, column j, whose taps [from, to) of every tap row lie inside the row.
template <int K, int S, bool kWhole>
static inline void dwconv_one(const DwconvArgs &a, int64_t i, int64_t j, int from, int to, int64_t c, int n) {
  const float *const *rows = a.rows + i * S;
  const int64_t start = (a.first + j * S - K / 2) * a.in_pitch + c;
  F32 acc = a.bias ? dwconv_load<kWhole>(a.bias + c, n) : zero();
  for (int u = 0; u < K; u++) {
    if (!rows[u]) continue;
    const float *w = a.w + u * K * a.w_pitch + c;
    for (int v = from; v < to; v++) acc = fma(dwconv_load<kWhole>(rows[u] + start + v * a.in_pitch, n), dwconv_load<kWhole>(w + v * a.w_pitch, n), acc);
  }
  dwconv_store<kWhole>(a.out + i * a.row_pitch + j * a.out_pitch + c, a.relu ? relu(acc) : acc, n);
}

// Columns [j, end) from channel c0 on, one at a time: the rows' ends, where taps fall outside, and the channels that do not fill a vector.
template <int K, int S>
__attribute__((noinline)) static void dwconv_columns(const DwconvArgs &a, int64_t j, int64_t end, int64_t c0) {
  for (; j < end; j++) {
    const DwconvTaps taps = dwconv_taps<K>(a.first + j * S - K / 2, a.in_w);
    for (int64_t i = 0; i < a.out_rows; i++) {
      int64_t c = c0;
      for (; c + kLanes <= a.channels; c += kLanes) dwconv_one<K, S, true>(a, i, j, taps.from, taps.to, c, kLanes);
      if (c < a.channels) dwconv_one<K, S, false>(a, i, j, taps.from, taps.to, c, (int)(a.channels - c));
    }
  }
}

template <int K, int S>
static void dwconv_row(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *w, int64_t w_pitch, const float *bias,
                       bool relu, int64_t channels, int64_t out_w, int64_t out_pitch, float *out, const DwconvBand *band) {
  const DwconvArgs a = {rows,      in_w, in_pitch,               first,                      w, w_pitch, bias, relu, channels,
                        out_pitch, out,  band ? band->rows : 1, band ? band->row_pitch : 0, band && band->in_memory};
  const DwconvInside inside = dwconv_inside<K, S>(in_w, first, out_w);
  const int64_t whole = channels - channels % kLanes;
  dwconv_columns<K, S>(a, 0, inside.first, 0);
  int64_t j = inside.first;
  for (; j + kDwconvTile <= inside.last; j += kDwconvTile) dwconv_strip<K, S, kDwconvTile>(a, j, a.in_memory && j + 2 * kDwconvTile <= inside.last);
  // The columns left over take tiles half as wide, the last one moved back over columns already done: they come out the same.
  constexpr int kHalf = kDwconvTile / 2;
  for (; j < inside.last && inside.last - inside.first >= kHalf; j += kHalf) {
    if (j > inside.last - kHalf) j = inside.last - kHalf;
    dwconv_strip<K, S, kHalf>(a, j, false);
  }
  if (whole < channels) dwconv_columns<K, S>(a, inside.first, j, whole);
  dwconv_columns<K, S>(a, j, out_w, 0);
}

// ---------------------------------------------------------------- gradient of the input, stride 2

struct DwconvSpreadArgs {
  const float *const *rows;
  int64_t dy_w, dy_pitch;
  const float *w;
  int64_t w_pitch, channels, dx_pitch;
  float *dx;
};

// dx columns [2q, 2q + 2T), whose taps all lie inside dy's row; whole vectors only. dx column 2(q+t) + e takes tap v from dy column
// q+t + (e + K/2 - v)/2, so dy's columns downwards are the taps upwards.
template <int K, int T>
__attribute__((noinline)) static void dwconv_spread_tile(const DwconvSpreadArgs &a, int64_t q) {
  constexpr int kHalf = K / 2, kBefore = kHalf / 2, kAfter = (kHalf + 1) / 2;
  float *dx = a.dx + 2 * q * a.dx_pitch;
  for (int64_t c = 0; c + kLanes <= a.channels; c += kLanes) {
    F32 acc[2 * T];
#pragma GCC unroll 16
    for (int o = 0; o < 2 * T; o++) acc[o] = zero();
    for (int u = 0; u < K; u++) {
      if (!a.rows[u]) continue;
      const float *dy = a.rows[u] + (q - kBefore) * a.dy_pitch + c;
      const float *taps = a.w + u * K * a.w_pitch + c;
      F32 w[K];
#pragma GCC unroll 8
      for (int v = 0; v < K; v++) w[v] = load(taps + v * a.w_pitch);
#pragma GCC unroll 16
      for (int d = kBefore + T - 1 + kAfter; d >= 0; d--) {
        const F32 column = load(dy + d * a.dy_pitch);
#pragma GCC unroll 16
        for (int o = 0; o < 2 * T; o++) {
          const int v = o + kHalf - 2 * (d - kBefore);
          if (v >= 0 && v < K) acc[o] = fma(column, w[v], acc[o]);
        }
      }
    }
#pragma GCC unroll 16
    for (int o = 0; o < 2 * T; o++) store(dx + o * a.dx_pitch + c, acc[o]);
  }
}

template <int K, bool kWhole>
static inline void dwconv_spread_one(const DwconvSpreadArgs &a, int64_t j, int64_t c, int n) {
  F32 acc = zero();
  for (int u = 0; u < K; u++) {
    if (!a.rows[u]) continue;
    for (int v = (int)((j + K / 2) % 2); v < K; v += 2) {
      const int64_t q = (j + K / 2 - v) / 2;
      if (j + K / 2 < v || q >= a.dy_w) continue;
      acc = fma(dwconv_load<kWhole>(a.rows[u] + q * a.dy_pitch + c, n), dwconv_load<kWhole>(a.w + (u * K + v) * a.w_pitch + c, n), acc);
    }
  }
  dwconv_store<kWhole>(a.dx + j * a.dx_pitch + c, acc, n);
}

// dx columns [j, end) from channel c0 on.
template <int K>
static void dwconv_spread_columns(const DwconvSpreadArgs &a, int64_t j, int64_t end, int64_t c0) {
  for (; j < end; j++) {
    int64_t c = c0;
    for (; c + kLanes <= a.channels; c += kLanes) dwconv_spread_one<K, true>(a, j, c, kLanes);
    if (c < a.channels) dwconv_spread_one<K, false>(a, j, c, (int)(a.channels - c));
  }
}

template <int K>
static void dwconv_spread_row(const float *const *rows, int64_t dy_w, int64_t dy_pitch, const float *w, int64_t w_pitch, int64_t channels, int64_t dx_w,
                              int64_t dx_pitch, float *dx) {
  constexpr int64_t kBefore = K / 2 / 2, kAfter = (K / 2 + 1) / 2;
  const DwconvSpreadArgs a = {rows, dy_w, dy_pitch, w, w_pitch, channels, dx_pitch, dx};
  const int64_t whole = channels - channels % kLanes;
  // Pairs of dx columns [2q, 2q+2) with q in [first, last) have all their taps inside.
  int64_t first = kBefore, last = dx_w / 2 < dy_w - kAfter ? dx_w / 2 : dy_w - kAfter;
  if (last < first) first = last = 0;
  int64_t q = first;
  for (; q + kDwconvTile / 2 <= last; q += kDwconvTile / 2) dwconv_spread_tile<K, kDwconvTile / 2>(a, q);
  for (; q < last; q++) dwconv_spread_tile<K, 1>(a, q);
  dwconv_spread_columns<K>(a, 0, 2 * first, 0);
  if (whole < channels) dwconv_spread_columns<K>(a, 2 * first, 2 * q, whole);
  dwconv_spread_columns<K>(a, 2 * q, dx_w, 0);
}

// ---------------------------------------------------------------- gradient of the weights

struct DwconvWeightArgs {
  const float *const *rows;
  int64_t in_w, in_pitch, first;
  const float *dy;
  int64_t dy_pitch, channels;
  float *sums;
  int64_t dy_rows, row_pitch;
  bool in_memory;
};

// One vector of channels, T columns of one row of dy, tap rows [u, u + R): each of the R*K sums takes its T products in order. x: offset of the
// first column's first tap; sums: of tap row u.
template <int K, int S, int R, int T>
static inline void dwconv_weight_taps(const float *const *rows, int64_t x, int64_t pitch, const F32 *dy, float *sums) {
  F32 acc[R * K];
#pragma GCC unroll 16
  for (int i = 0; i < R * K; i++) acc[i] = load(sums + i * kLanes);
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    if (!rows[r]) continue;
    const float *row = rows[r] + x;
#pragma GCC unroll 32
    for (int q = 0; q < (T - 1) * S + K; q++) {
      const F32 column = load(row + q * pitch);
#pragma GCC unroll 16
      for (int t = 0; t < T; t++)
        if (q >= t * S && q < t * S + K) acc[r * K + q - t * S] = fma(column, dy[t], acc[r * K + q - t * S]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R * K; i++) store(sums + i * kLanes, acc[i]);
}

// Columns [j, j + T) of the band, all taps inside the rows, whole vectors of channels; next: the strip after it begins at column j + T.
template <int K, int S, int T>
__attribute__((noinline)) static void dwconv_weight_strip(const DwconvWeightArgs &a, int64_t j, bool next) {
  constexpr int R = K == 3 ? 3 : K == 5 ? 2 : 1;  // as many tap rows as leave registers for dy
  const int64_t whole = a.channels - a.channels % kLanes, column = a.first + j * S - K / 2;
  for (int64_t begin = 0; begin < whole; begin += kDwconvBlock) {
    const int n = whole - begin < kDwconvBlock ? (int)(whole - begin) : kDwconvBlock;
    for (int64_t i = 0; i < a.dy_rows; i++) {
      const float *const *rows = a.rows + i * S;
      const float *dy = a.dy + i * a.row_pitch;
      if (next) {
        dwconv_prefetch<S, T>(rows, i == 0 ? 0 : K - S, K, column + (T - 1) * S + K, a.in_pitch, begin, n);
        dwconv_prefetch<1, T>(&dy, 0, 1, j + T, a.dy_pitch, begin, n);
      }
      for (int64_t c = begin; c < begin + n; c += kLanes) {
        const int64_t x = column * a.in_pitch + c;
        float *sums = a.sums + c * K * K;
        F32 g[T];
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) g[t] = load(dy + (j + t) * a.dy_pitch + c);
        int u = 0;
        for (; u + R <= K; u += R) dwconv_weight_taps<K, S, R, T>(rows + u, x, a.in_pitch, g, sums + u * K * kLanes);
        if (K % R != 0) dwconv_weight_taps<K, S, 1, T>(rows + u, x, a.in_pitch, g, sums + u * K * kLanes);
      }
    }
  }
}

template <int K, int S, bool kWhole>
static inline void dwconv_weight_one(const DwconvWeightArgs &a, int64_t i, int64_t j, DwconvTaps taps, int64_t c, int n) {
  const F32 dy = dwconv_load<kWhole>(a.dy + i * a.row_pitch + j * a.dy_pitch + c, n);
  const int64_t start = (a.first + j * S - K / 2) * a.in_pitch + c;
  for (int u = 0; u < K; u++) {
    if (!a.rows[i * S + u]) continue;
    for (int v = taps.from; v < taps.to; v++) {
      float *sum = a.sums + c * K * K + (u * K + v) * kLanes;
      store(sum, fma(dwconv_load<kWhole>(a.rows[i * S + u] + start + v * a.in_pitch, n), dy, load(sum)));
    }
  }
}

// Columns [j, end) of the band, whichever taps they have, from channel c0 on.
template <int K, int S>
__attribute__((noinline)) static void dwconv_weight_columns(const DwconvWeightArgs &a, int64_t j, int64_t end, int64_t c0) {
  for (; j < end; j++) {
    const DwconvTaps taps = dwconv_taps<K>(a.first + j * S - K / 2, a.in_w);
    for (int64_t i = 0; i < a.dy_rows; i++) {
      int64_t c = c0;
      for (; c + kLanes <= a.channels; c += kLanes) dwconv_weight_one<K, S, true>(a, i, j, taps, c, kLanes);
      if (c < a.channels) dwconv_weight_one<K, S, false>(a, i, j, taps, c, (int)(a.channels - c));
    }
  }
}

template <int K, int S>
static void dwconv_weight(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *dy, int64_t dy_pitch, int64_t channels,
                          int64_t out_w, float *sums, const DwconvBand *band) {
  constexpr int T = kDwconvTile / 2;
  const DwconvWeightArgs a = {rows, in_w, in_pitch, first, dy, dy_pitch, channels, sums, band ? band->rows : 1, band ? band->row_pitch : 0, band && band->in_memory};
  const DwconvInside inside = dwconv_inside<K, S>(in_w, first, out_w);
  const int64_t whole = channels - channels % kLanes;
  int64_t j = inside.first;
  for (; j + T <= inside.last; j += T) dwconv_weight_strip<K, S, T>(a, j, a.in_memory && j + 2 * T <= inside.last);
  for (int64_t left = j; left < inside.last; left++) dwconv_weight_strip<K, S, 1>(a, left, false);
  if (whole < channels) dwconv_weight_columns<K, S>(a, inside.first, inside.last, whole);
  dwconv_weight_columns<K, S>(a, 0, inside.first, 0);
  dwconv_weight_columns<K, S>(a, inside.last, out_w, 0);
}

static void dwconv_fold(float *sums, int64_t parts, int64_t distance, int64_t taps, int64_t vector, int64_t vectors, int64_t channels, bool accumulate,
                        float *dw, int64_t dw_pitch) {
  float *begin = sums + vector * taps * kLanes, *end = begin + vectors * taps * kLanes;
  for (int64_t step = 1; step < parts; step *= 2)
    for (int64_t i = 0; i + step < parts; i += 2 * step)
      for (float *a = begin + i * distance; a < end + i * distance; a += kLanes) store(a, add(load(a), load(a + step * distance)));
  for (int64_t c = vector * kLanes; begin < end; c += kLanes) {
    const int n = channels - c < kLanes ? (int)(channels - c) : kLanes;
    for (int64_t t = 0; t < taps; t++, begin += kLanes) {
      float *target = dw + t * dw_pitch + c;
      store_first(target, accumulate ? add(load_first(target, n), load(begin)) : load(begin), n);
    }
  }
}

static constexpr DwconvKernels kDwconv = {
    {{dwconv_row<3, 1>, dwconv_row<3, 2>}, {dwconv_row<5, 1>, dwconv_row<5, 2>}, {dwconv_row<7, 1>, dwconv_row<7, 2>}},
    {dwconv_spread_row<3>, dwconv_spread_row<5>, dwconv_spread_row<7>},
    {{dwconv_weight<3, 1>, dwconv_weight<3, 2>}, {dwconv_weight<5, 1>, dwconv_weight<5, 2>}, {dwconv_weight<7, 1>, dwconv_weight<7, 2>}},
    dwconv_fold};
