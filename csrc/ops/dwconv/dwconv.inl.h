// Depthwise convolution, f32. dwconv.h is the contract.
//
// Forward tile: T output columns x one vector of channels. For each tap row u the k weights sit in registers, and each input column is
// loaded once and multiplied into the outputs that it belongs to (columns upwards, so that every output meets its taps in order). Column
// tiles outside, channels inside: the k rows that a tile shares with the next one are still in L1.
// Weight tile: T output columns x one vector x R tap rows of sums in registers, swept over a block of channels whose sums stay in L1.

// Output columns of a tile: eight accumulators, enough to hide an FMA's latency behind the others, and few enough to leave registers for a
// row of taps. Plain C++, where a vector is a loop over its lanes, takes two: more only make the compiler slow.
constexpr int kDwconvTile = alignof(F32) > alignof(float) ? 8 : 2;

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

// Asks for the next n floats of a row that will be read soon, and moves on.
static inline void dwconv_prefetch(const float *&p, int n) {
  for (int i = 0; i < n; i += 16) __builtin_prefetch(p + i, 0, 2);
  p += n;
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
};

// T neighbouring outputs from column j on, all taps inside the row; whole vectors of channels only.
template <int K, int S, int T>
__attribute__((noinline)) static void dwconv_tile(const DwconvArgs &a, int64_t j, const float **ahead) {
  constexpr int kColumns = (T - 1) * S + K;
  const int64_t pitch = a.in_pitch, start = (a.first + j * S - K / 2) * pitch;
  float *out = a.out + j * a.out_pitch;
  for (int64_t c = 0; c + kLanes <= a.channels; c += kLanes) {
    if (ahead)
      for (int s = 0; s < S; s++) dwconv_prefetch(ahead[s], T * S * kLanes);
    const F32 bias = a.bias ? load(a.bias + c) : zero();
    F32 acc[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) acc[t] = bias;
    for (int u = 0; u < K; u++) {
      if (!a.rows[u]) continue;
      const float *x = a.rows[u] + start + c;
      const float *taps = a.w + u * K * a.w_pitch + c;
      F32 w[K];
#pragma GCC unroll 8
      for (int v = 0; v < K; v++) w[v] = load(taps + v * a.w_pitch);
#pragma GCC unroll 32
      for (int q = 0; q < kColumns; q++) {
        const F32 column = load(x + q * pitch);
#pragma GCC unroll 16
        for (int t = 0; t < T; t++)
          if (q >= t * S && q < t * S + K) acc[t] = fma(column, w[q - t * S], acc[t]);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) store(out + t * a.out_pitch + c, a.relu ? relu(acc[t]) : acc[t]);
  }
}

// Channels [c, c + n) of output column j, whose taps [from, to) of every tap row lie inside the row.
template <int K, int S, bool kWhole>
static inline void dwconv_one(const DwconvArgs &a, int64_t j, int from, int to, int64_t c, int n) {
  const int64_t start = (a.first + j * S - K / 2) * a.in_pitch;
  F32 acc = a.bias ? dwconv_load<kWhole>(a.bias + c, n) : zero();
  for (int u = 0; u < K; u++) {
    if (!a.rows[u]) continue;
    const float *x = a.rows[u] + start + c;
    const float *w = a.w + u * K * a.w_pitch + c;
    for (int v = from; v < to; v++) acc = fma(dwconv_load<kWhole>(x + v * a.in_pitch, n), dwconv_load<kWhole>(w + v * a.w_pitch, n), acc);
  }
  dwconv_store<kWhole>(a.out + j * a.out_pitch + c, a.relu ? relu(acc) : acc, n);
}

// The outputs of columns [j, end) from channel c0 on: the row's ends, where taps fall outside, and the channels that do not fill a vector.
template <int K, int S>
static void dwconv_columns(const DwconvArgs &a, int64_t j, int64_t end, int64_t c0) {
  for (; j < end; j++) {
    const int64_t q = a.first + j * S - K / 2;
    const int from = q >= 0 ? 0 : -q < K ? (int)-q : K;
    const int to = a.in_w - q >= K ? K : a.in_w - q > 0 ? (int)(a.in_w - q) : 0;
    int64_t c = c0;
    for (; c + kLanes <= a.channels; c += kLanes) dwconv_one<K, S, true>(a, j, from, to, c, kLanes);
    if (c < a.channels) dwconv_one<K, S, false>(a, j, from, to, c, (int)(a.channels - c));
  }
}

template <int K, int S>
static void dwconv_row(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *w, int64_t w_pitch, const float *bias,
                       bool relu, int64_t channels, int64_t out_w, int64_t out_pitch, float *out, const float *const *ahead) {
  const DwconvArgs a = {rows, in_w, in_pitch, first, w, w_pitch, bias, relu, channels, out_pitch, out};
  const DwconvInside inside = dwconv_inside<K, S>(in_w, first, out_w);
  const int64_t whole = channels - channels % kLanes;
  const float *soon[2] = {ahead ? ahead[0] : nullptr, ahead ? ahead[S - 1] : nullptr};
  dwconv_columns<K, S>(a, 0, inside.first, 0);
  int64_t j = inside.first;
  for (; j + kDwconvTile <= inside.last; j += kDwconvTile) dwconv_tile<K, S, kDwconvTile>(a, j, ahead ? soon : nullptr);
  // The columns left over take tiles half as wide, the last one moved back over columns already done: they come out the same.
  constexpr int kHalf = kDwconvTile / 2;
  for (; j < inside.last && inside.last - inside.first >= kHalf; j += kHalf) {
    if (j > inside.last - kHalf) j = inside.last - kHalf;
    dwconv_tile<K, S, kHalf>(a, j, nullptr);
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
  int from, to;  // the tap rows inside the picture
  int64_t in_w, in_pitch, first;
  const float *dy;
  int64_t dy_pitch, channels;
  float *sums;
};

// Tap rows [u, u + R): each sum takes its T products in order of the columns. x: the tile's first input column in row u; sums: of tap row u.
template <int K, int S, int R, int T>
static inline void dwconv_weight_taps(const float *const *rows, int64_t start, int64_t pitch, const F32 *dy, float *sums, int64_t distance) {
  F32 acc[R * K];
#pragma GCC unroll 16
  for (int i = 0; i < R * K; i++) acc[i] = load(sums + i * distance);
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    const float *x = rows[r] + start;
#pragma GCC unroll 32
    for (int q = 0; q < (T - 1) * S + K; q++) {
      const F32 column = load(x + q * pitch);
#pragma GCC unroll 16
      for (int t = 0; t < T; t++)
        if (q >= t * S && q < t * S + K) acc[r * K + q - t * S] = fma(column, dy[t], acc[r * K + q - t * S]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R * K; i++) store(sums + i * distance, acc[i]);
}

// Columns [j, j + T) of dy, all taps inside the row, channels [c, end): whole vectors.
template <int K, int S, int T>
__attribute__((noinline)) static void dwconv_weight_tile(const DwconvWeightArgs &a, int64_t j, int64_t c, int64_t end, const float **ahead) {
  constexpr int R = K == 3 ? 3 : K == 5 ? 2 : 1;
  const int64_t start = (a.first + j * S - K / 2) * a.in_pitch;
  for (; c < end; c += kLanes) {
    if (ahead) {
      for (int s = 0; s < S; s++) dwconv_prefetch(ahead[s], T * S * kLanes);
      dwconv_prefetch(ahead[S], T * kLanes);
    }
    F32 dy[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) dy[t] = load(a.dy + (j + t) * a.dy_pitch + c);
    float *sums = a.sums + c;
    int u = a.from;
    for (; u + R <= a.to; u += R) dwconv_weight_taps<K, S, R, T>(a.rows + u, start + c, a.in_pitch, dy, sums + u * K * a.channels, a.channels);
    for (; u < a.to; u++) dwconv_weight_taps<K, S, 1, T>(a.rows + u, start + c, a.in_pitch, dy, sums + u * K * a.channels, a.channels);
  }
}

template <int K, int S, bool kWhole>
static inline void dwconv_weight_one(const DwconvWeightArgs &a, int64_t j, int from, int to, int64_t c, int n) {
  const F32 dy = dwconv_load<kWhole>(a.dy + j * a.dy_pitch + c, n);
  const int64_t start = (a.first + j * S - K / 2) * a.in_pitch + c;
  for (int u = a.from; u < a.to; u++)
    for (int v = from; v < to; v++) {
      float *sum = a.sums + (u * K + v) * a.channels + c;
      dwconv_store<kWhole>(sum, fma(dwconv_load<kWhole>(a.rows[u] + start + v * a.in_pitch, n), dy, dwconv_load<kWhole>(sum, n)), n);
    }
}

// Columns [j, end) of dy, whichever taps they have, channels [c0, c1).
template <int K, int S>
static void dwconv_weight_columns(const DwconvWeightArgs &a, int64_t j, int64_t end, int64_t c0, int64_t c1) {
  for (; j < end; j++) {
    const int64_t q = a.first + j * S - K / 2;
    const int from = q >= 0 ? 0 : -q < K ? (int)-q : K;
    const int to = a.in_w - q >= K ? K : a.in_w - q > 0 ? (int)(a.in_w - q) : 0;
    int64_t c = c0;
    for (; c + kLanes <= c1; c += kLanes) dwconv_weight_one<K, S, true>(a, j, from, to, c, kLanes);
    if (c < c1) dwconv_weight_one<K, S, false>(a, j, from, to, c, (int)(c1 - c));
  }
}

template <int K, int S>
static void dwconv_weight_row(const float *const *rows, int64_t in_w, int64_t in_pitch, int64_t first, const float *dy, int64_t dy_pitch, int64_t channels,
                              int64_t out_w, float *sums, const float *const *ahead) {
  constexpr int T = K == 7 ? kDwconvTile : kDwconvTile / 2;
  constexpr int64_t kBlock = 64;  // channels whose k*k sums stay in L1 while the row passes
  int from = 0, to = K;
  while (from < K && !rows[from]) from++;
  while (to > from && !rows[to - 1]) to--;
  const DwconvWeightArgs a = {rows, from, to, in_w, in_pitch, first, dy, dy_pitch, channels, sums};
  const DwconvInside inside = dwconv_inside<K, S>(in_w, first, out_w);
  const int64_t whole = channels - channels % kLanes;
  const float *soon[3] = {};
  for (int s = 0; ahead && s <= S; s++) soon[s] = ahead[s];
  for (int64_t c = 0; c < channels; c += kBlock) {
    const int64_t end = c + kBlock < channels ? c + kBlock : channels, vectors = end < whole ? end : whole;
    dwconv_weight_columns<K, S>(a, 0, inside.first, c, end);
    int64_t j = inside.first;
    for (; j + T <= inside.last; j += T) dwconv_weight_tile<K, S, T>(a, j, c, vectors, ahead ? soon : nullptr);
    for (; j < inside.last; j++) dwconv_weight_tile<K, S, 1>(a, j, c, vectors, nullptr);
    if (vectors < end) dwconv_weight_columns<K, S>(a, inside.first, inside.last, vectors, end);
    dwconv_weight_columns<K, S>(a, inside.last, out_w, c, end);
  }
}

// a += b, n floats.
static void dwconv_add(float *a, const float *b, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(a + i, add(load(a + i), load(b + i)));
  if (i < n) store_first(a + i, add(load_first(a + i, (int)(n - i)), load_first(b + i, (int)(n - i))), (int)(n - i));
}

static void dwconv_fold(float *part, int64_t parts, int64_t distance, int64_t n, bool accumulate, float *target) {
  for (int64_t step = 1; step < parts; step *= 2)
    for (int64_t i = 0; i + step < parts; i += 2 * step) dwconv_add(part + i * distance, part + (i + step) * distance, n);
  if (accumulate) {
    dwconv_add(target, part, n);
  } else {
    __builtin_memcpy(target, part, (size_t)n * sizeof(float));
  }
}

static constexpr DwconvKernels kDwconv = {
    {{dwconv_row<3, 1>, dwconv_row<3, 2>}, {dwconv_row<5, 1>, dwconv_row<5, 2>}, {dwconv_row<7, 1>, dwconv_row<7, 2>}},
    {dwconv_spread_row<3>, dwconv_spread_row<5>, dwconv_spread_row<7>},
    {{dwconv_weight_row<3, 1>, dwconv_weight_row<3, 2>}, {dwconv_weight_row<5, 1>, dwconv_weight_row<5, 2>}, {dwconv_weight_row<7, 1>, dwconv_weight_row<7, 2>}},
    dwconv_fold};
