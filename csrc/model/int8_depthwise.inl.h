// The depthwise convolution of int8.inl.h, inside its namespace.
//
// A tile is some columns of a few channels. A tap form says how its sums are taken (the sets' own forms: simd/int8_*.inl.h):
//   FloatTaps    a byte is widened to float32 and a tap is an FMA: at most 49 products of bytes, whose sum float32 holds exactly
//   WholeTaps    a product sums kRows rows of taps, in 32 bits: two with AVX2's halves, four with VNNI's bytes
//   NarrowTaps   the same in 16 bits, for twice as many channels, where the whole sum fits them
// FloatTaps is for signed values, too, whose outside is not a zero byte.
struct FloatTaps {
  static constexpr int kRows = 1, kVectors = 1;
  typedef F32 Sum;
  typedef float Tap;
  F32 zero_byte;

  static Sum none() { return zero(); }
  static Sum tap(const char *w) { return load((const float *)w); }
  static Sum without(uint32_t, Sum tap) { return tap; }  // a group of one row is there or not
  template <int N>
  Sum value(const uint8_t *const *rows, int64_t at) const { return sub(from_bytes(rows[0] + at), zero_byte); }
  static Sum sum(Sum s, Sum value, Sum tap) { return fma(value, tap, s); }
  static void floats(Sum s, F32 *f) { f[0] = s; }
};

// Bytes of the taps of all channels: a vector for each column of a group of rows.
template <class Form>
constexpr int64_t taps_bytes(int64_t kernel, int64_t channels) {
  return int8_stored(channels) / (kLanes * Form::kVectors) * ((kernel + Form::kRows - 1) / Form::kRows) * kernel * 4 * kLanes;
}

static inline bool has_whole(const Int8Input &x) { return kWholeTaps && x.zero == 0; }
static inline bool has_narrow(const Int8Input &x, int64_t kernel) {
  return kNarrowTaps && x.zero == 0 && kernel * kernel * x.most * x.most_weight <= 32767;
}

static size_t depthwise_bytes(int64_t kernel, int64_t channels, const Int8Input &x) {
  if (has_narrow(x, kernel)) return (size_t)taps_bytes<NarrowTaps>(kernel, channels);
  return (size_t)(has_whole(x) ? taps_bytes<WholeTaps>(kernel, channels) : taps_bytes<FloatTaps>(kernel, channels));
}

// [groups of channels][groups of rows][column][channel][row].
template <class Form>
static void pack_taps(const int8_t *w, int64_t kernel, int64_t channels, char *to) {
  constexpr int64_t kChannels = kLanes * Form::kVectors;
  static_assert(sizeof(typename Form::Tap) * kChannels * Form::kRows == 4 * kLanes, "a vector holds a tap of each row and channel");
  for (int64_t first = 0; first < int8_stored(channels); first += kChannels)
    for (int64_t top = 0; top < kernel; top += Form::kRows)
      for (int64_t v = 0; v < kernel; v++)
        for (int64_t c = first; c < first + kChannels; c++)
          for (int64_t u = top; u < top + Form::kRows; u++, to += sizeof(typename Form::Tap)) {
            const typename Form::Tap tap = (typename Form::Tap)(c < channels && u < kernel ? w[(u * kernel + v) * channels + c] : 0);
            __builtin_memcpy(to, &tap, sizeof tap);
          }
}

static void pack_depthwise(const int8_t *w, int64_t kernel, int64_t channels, const Int8Input &x, void *packed) {
  if (has_narrow(x, kernel)) pack_taps<NarrowTaps>(w, kernel, channels, (char *)packed);
  else if (has_whole(x)) pack_taps<WholeTaps>(w, kernel, channels, (char *)packed);
  else pack_taps<FloatTaps>(w, kernel, channels, (char *)packed);
}

// Output columns of a tile: its sums and a row of taps in registers beside a value.
template <int K>
constexpr int tile_columns() { return alignof(F32) == alignof(float) ? 2 : K == 7 ? 6 : 8; }

// N rows of which at least one is there: another one stands in for those that are missing, whose taps then count as zero.
template <int N>
struct SomeRows {
  const uint8_t *at[N];
  uint32_t missing;  // a bit each

  // Whether there are any.
  [[gnu::always_inline]] bool take(const uint8_t *const *rows) {
    const uint8_t *some = nullptr;
    missing = 0;
#pragma GCC unroll 4
    for (int u = 0; u < N; u++) {
      some = rows[u] ? rows[u] : some;
      missing |= rows[u] ? 0u : 1u << u;
    }
#pragma GCC unroll 4
    for (int u = 0; u < N; u++) at[u] = rows[u] ? rows[u] : some;
    return some != nullptr;
  }
  // The bits of each 32 that taps of missing rows lie in.
  template <class Form>
  uint32_t bits() const {
    constexpr int kBits = 8 * sizeof(typename Form::Tap);
    uint32_t mask = 0;
    for (int at = 0; at < 32; at += kBits)
      if (missing >> at / kBits % Form::kRows & 1) mask |= (uint32_t)((1ull << kBits) - 1) << at;
    return mask;
  }
};

// Adds N rows of taps to the sums of T columns; at: offset of the first one's first tap in each row.
template <class Form, int K, int S, int T, int N>
[[gnu::always_inline]] static inline void add_rows(const Form &form, const uint8_t *const *rows, int64_t at, const char *w, int64_t stored,
                                                   typename Form::Sum (&acc)[T]) {
  SomeRows<N> some;
  if (!some.take(rows)) return;
  typename Form::Sum taps[K];
#pragma GCC unroll 8
  for (int v = 0; v < K; v++) taps[v] = Form::tap(w + v * 4 * kLanes);
  if (some.missing) {
    const uint32_t bits = some.template bits<Form>();
#pragma GCC unroll 8
    for (int v = 0; v < K; v++) taps[v] = Form::without(bits, taps[v]);
  }
#pragma GCC unroll 32
  for (int q = 0; q < (T - 1) * S + K; q++) {
    const typename Form::Sum value = form.template value<N>(some.at, at + q * stored);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
      if (q >= t * S && q < t * S + K) acc[t] = Form::sum(acc[t], value, taps[q - t * S]);
  }
}

// T neighbouring columns, all taps inside; x: offset of the first one's first tap.
template <class Form, int K, int S, int T>
static inline void depthwise_tile(const Form &form, const uint8_t *const *rows, int64_t x, const char *w, const Int8Output &o, const Bytes &bytes, int64_t stored,
                                  uint8_t *y) {
  constexpr int kWhole = K / Form::kRows, kRest = K % Form::kRows, kVectors = Form::kVectors;
  for (int64_t c = 0; c < stored; c += kLanes * kVectors) {
    typename Form::Sum acc[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) acc[t] = Form::none();
    for (int g = 0; g < kWhole; g++, w += K * 4 * kLanes) add_rows<Form, K, S, T, Form::kRows>(form, rows + g * Form::kRows, x + c, w, stored, acc);
    if constexpr (kRest > 0) {
      add_rows<Form, K, S, T, kRest>(form, rows + kWhole * Form::kRows, x + c, w, stored, acc);
      w += K * 4 * kLanes;
    }
    F32 f[T][kVectors];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) Form::floats(acc[t], f[t]);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      const F32 m = load(o.m + c + v * kLanes), b = load(o.b + c + v * kLanes);
      uint8_t *at = y + c + v * kLanes;
#pragma GCC unroll 2
      for (int t = 0; t + 4 <= T; t += 4) {
        uint8_t *to[4];
        F32 four[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) to[i] = at + (t + i) * stored, four[i] = fused(f[t + i][v], m, b);
        keep_four(bytes, four, to);
      }
#pragma GCC unroll 4
      for (int t = T / 4 * 4; t < T; t++) keep(bytes, fused(f[t][v], m, b), at + t * stored);
    }
  }
}

// Adds the taps [from, to) of N rows to the sum of one column; at: offset of its tap 0.
template <class Form, int N>
[[gnu::always_inline]] static inline typename Form::Sum add_some(const Form &form, const uint8_t *const *rows, int64_t at, int from, int to, const char *w, int64_t stored,
                                                                 typename Form::Sum sum) {
  SomeRows<N> some;
  if (!some.take(rows)) return sum;
  const uint32_t bits = some.template bits<Form>();
  for (int v = from; v < to; v++) sum = Form::sum(sum, form.template value<N>(some.at, at + v * stored), Form::without(bits, Form::tap(w + v * 4 * kLanes)));
  return sum;
}

// One column, with the taps [from, to) of every row; x: offset of its tap 0.
template <class Form, int K>
static inline void depthwise_one(const Form &form, const uint8_t *const *rows, int64_t x, int from, int to, const char *w, const Int8Output &o, const Bytes &bytes,
                                 int64_t stored, uint8_t *y) {
  constexpr int kWhole = K / Form::kRows, kRest = K % Form::kRows, kVectors = Form::kVectors;
  for (int64_t c = 0; c < stored; c += kLanes * kVectors) {
    typename Form::Sum sum = Form::none();
    for (int g = 0; g < kWhole; g++, w += K * 4 * kLanes) sum = add_some<Form, Form::kRows>(form, rows + g * Form::kRows, x + c, from, to, w, stored, sum);
    if constexpr (kRest > 0) {
      sum = add_some<Form, kRest>(form, rows + kWhole * Form::kRows, x + c, from, to, w, stored, sum);
      w += K * 4 * kLanes;
    }
    F32 f[kVectors];
    Form::floats(sum, f);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++)
      keep(bytes, fused(f[v], load(o.m + c + v * kLanes), load(o.b + c + v * kLanes)), y + c + v * kLanes);
  }
}

template <class Form, int K, int S>
static inline void depthwise_in(const Form &form, const uint8_t *const *rows, int64_t in_w, int64_t first, const char *w, const Int8Output &o, int64_t stored, int64_t out_w,
                                uint8_t *y) {
  constexpr int T = tile_columns<K>();
  const Bytes bytes(o);
  // Columns [begin, end) have all their taps inside the row.
  int64_t begin = first >= K / 2 ? 0 : (K / 2 - first + S - 1) / S;
  const int64_t room = in_w - K + K / 2 - first;
  int64_t end = room < 0 ? 0 : room / S + 1;
  if (end > out_w) end = out_w;
  if (begin > end) begin = end;
  const int64_t tile = end - begin >= T ? T : T / 2;
  for (int64_t j = 0; j < out_w; j++) {
    if (j == begin) {
      for (; j < end && end - begin >= tile; j += tile) {
        if (j > end - tile) j = end - tile;  // back over columns already done: they come out the same
        const int64_t at = (first + j * S - K / 2) * stored;
        if (tile == T) depthwise_tile<Form, K, S, T>(form, rows, at, w, o, bytes, stored, y + j * stored);
        else depthwise_tile<Form, K, S, T / 2>(form, rows, at, w, o, bytes, stored, y + j * stored);
      }
      if (j >= out_w) break;
    }
    const int64_t q = first + j * S - K / 2;
    const int from = q >= 0 ? 0 : (int)-q, to = in_w - q >= K ? K : (int)(in_w - q);
    depthwise_one<Form, K>(form, rows, q * stored, from, to, w, o, bytes, stored, y + j * stored);
  }
}

template <int K, int S>
static void depthwise(const uint8_t *const *rows, int64_t in_w, int64_t first, const void *packed, const Int8Input &x, const Int8Output &o, int64_t channels, int64_t out_w,
                      uint8_t *y) {
  const char *w = (const char *)packed;
  const int64_t stored = int8_stored(channels);
  if (has_narrow(x, K)) depthwise_in<NarrowTaps, K, S>(NarrowTaps(), rows, in_w, first, w, o, stored, out_w, y);
  else if (has_whole(x)) depthwise_in<WholeTaps, K, S>(WholeTaps(), rows, in_w, first, w, o, stored, out_w, y);
  else depthwise_in<FloatTaps, K, S>({broadcast((float)x.zero)}, rows, in_w, first, w, o, stored, out_w, y);
}
