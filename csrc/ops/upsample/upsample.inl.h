// Rows of interpolation. An output row is written once and its two source rows, far smaller, stay in the second-level cache; the column's
// lerp is done once per source pixel (line), not once per output pixel, so an output value costs 3 operations, 2 loads from the nearest
// cache and 4 bytes of traffic (8 with an addend). Forward and transpose are bound by the memory of the large side.
// Zen 3, AVX2, one thread, wall time beside other work, 32x64x128 to 128x256x128 (17 MB): forward 1.1 ms, added in place 1.7 ms (20 GB/s, what
// a copy reaches there), transpose 2.1 ms.
namespace upsample {

static inline F32 lerp(F32 w0, F32 a, F32 w1, F32 b) { return add(mul(w0, a), mul(w1, b)); }

// line = v0 top + v1 bottom, n consecutive floats.
static void lerp_run(int64_t n, const float *top, const float *bottom, F32 v0, F32 v1, float *line) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(line + i, lerp(v0, load(top + i), v1, load(bottom + i)));
  if (i == n) return;
  int rest = (int)(n - i);
  store_first(line + i, lerp(v0, load_first(top + i, rest), v1, load_first(bottom + i, rest)), rest);
}

static void lerp_rows(const UpsampleRow &a) {
  F32 v0 = broadcast(a.top_weight), v1 = broadcast(a.bottom_weight);
  if (a.x_pitch == a.channels) {
    lerp_run(a.columns.in * a.channels, a.top, a.bottom, v0, v1, a.line);
    return;
  }
  for (int64_t j = 0; j < a.columns.in; j++)
    lerp_run(a.channels, a.top + j * a.x_pitch, a.bottom + j * a.x_pitch, v0, v1, a.line + j * a.channels);
}

template <bool kAdd, bool kRelu>
static inline F32 finish(F32 value, F32 addend) {
  if constexpr (kAdd) value = add(addend, value);
  return kRelu ? relu(value) : value;
}

// One output pixel from source pixels left and, when kTwo, right.
template <bool kTwo, bool kAdd, bool kRelu>
static inline void pixel(int64_t channels, const float *left, const float *right, F32 w0, F32 w1, const float *addend, float *y) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    F32 value = kTwo ? lerp(w0, load(left + c), w1, load(right + c)) : load(left + c);
    store(y + c, finish<kAdd, kRelu>(value, kAdd ? load(addend + c) : zero()));
  }
  if (c == channels) return;
  int rest = (int)(channels - c);
  F32 value = kTwo ? lerp(w0, load_first(left + c, rest), w1, load_first(right + c, rest)) : load_first(left + c, rest);
  store_first(y + c, finish<kAdd, kRelu>(value, kAdd ? load_first(addend + c, rest) : zero()), rest);
}

template <bool kAdd, bool kRelu>
static void row_of(const UpsampleRow &a, const float *line, int64_t pitch) {
  for (int64_t o = 0; o < a.columns.out; o++) {
    const float *left = line + a.columns.lo[o] * pitch, *addend = kAdd ? a.add + o * a.add_pitch : nullptr;
    float *y = a.y + o * a.y_pitch;
    if (a.columns.w1[o] == 0) {
      pixel<false, kAdd, kRelu>(a.channels, left, left, zero(), zero(), addend, y);
    } else {
      pixel<true, kAdd, kRelu>(a.channels, left, left + pitch, broadcast(a.columns.w0[o]), broadcast(a.columns.w1[o]), addend, y);
    }
  }
}

static void row(const UpsampleRow &a) {
  const float *line = a.top;
  int64_t pitch = a.x_pitch;
  if (a.bottom_weight != 0) {
    lerp_rows(a);
    line = a.line;
    pitch = a.channels;
  }
  if (a.add) {
    a.relu ? row_of<true, true>(a, line, pitch) : row_of<true, false>(a, line, pitch);
  } else {
    a.relu ? row_of<false, true>(a, line, pitch) : row_of<false, false>(a, line, pitch);
  }
}

// line[j] for kVectors vectors of channels from c on: the sum of dy over the outputs that touch column j, in ascending order.
template <int kVectors, bool kWhole>
static inline void gather_pixel(const UpsampleBackward &a, const float *dy, int64_t j, int64_t c, int n) {
  F32 sums[kVectors];
  for (int v = 0; v < kVectors; v++) sums[v] = zero();
  for (int64_t o = a.columns.touch[j]; o < a.columns.from[j + 1]; o++) {
    F32 weight = broadcast(o < a.columns.from[j] ? a.columns.w1[o] : a.columns.w0[o]);
    const float *p = dy + o * a.dy_pitch + c;
    for (int v = 0; v < kVectors; v++) {
      F32 g = kWhole ? load(p + v * kLanes) : load_first(p, n);
      sums[v] = add(sums[v], mul(weight, g));
    }
  }
  float *line = a.line + j * a.channels + c;
  if constexpr (kWhole) {
    for (int v = 0; v < kVectors; v++) store(line + v * kLanes, sums[v]);
  } else {
    store_first(line, sums[0], n);
  }
}

static void gather_row(const UpsampleBackward &a, const float *dy) {
  for (int64_t j = 0; j < a.columns.in; j++) {
    int64_t c = 0;
    for (; c + 4 * kLanes <= a.channels; c += 4 * kLanes) gather_pixel<4, true>(a, dy, j, c, kLanes);
    for (; c + kLanes <= a.channels; c += kLanes) gather_pixel<1, true>(a, dy, j, c, kLanes);
    if (c < a.channels) gather_pixel<1, false>(a, dy, j, c, (int)(a.channels - c));
  }
}

static void add_run(int64_t n, F32 weight, const float *line, float *dx) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dx + i, add(load(dx + i), mul(weight, load(line + i))));
  if (i == n) return;
  int rest = (int)(n - i);
  store_first(dx + i, add(load_first(dx + i, rest), mul(weight, load_first(line + i, rest))), rest);
}

static void add_line(const UpsampleBackward &a, int64_t input_row, float weight) {
  float *dx = a.dx + input_row * a.columns.in * a.dx_pitch;
  if (a.dx_pitch == a.channels) {
    add_run(a.columns.in * a.channels, broadcast(weight), a.line, dx);
    return;
  }
  for (int64_t j = 0; j < a.columns.in; j++) add_run(a.channels, broadcast(weight), a.line + j * a.channels, dx + j * a.dx_pitch);
}

// Each row of dy that touches the band is read once, summed along the row into line, and line is added to the one or two input rows it
// belongs to. The order of the sums does not depend on the bands.
static void backward(const UpsampleBackward &a) {
  for (int64_t p = a.row_begin * a.columns.in; p < a.row_end * a.columns.in; p++)
    for (int64_t c = 0; c < a.channels; c++) a.dx[p * a.dx_pitch + c] = 0;
  for (int64_t o = a.rows.touch[a.row_begin]; o < a.rows.from[a.row_end]; o++) {
    gather_row(a, a.dy + o * a.columns.out * a.dy_pitch);
    int64_t lo = a.rows.lo[o];
    if (lo >= a.row_begin) add_line(a, lo, a.rows.w0[o]);
    if (a.rows.w1[o] != 0 && lo + 1 < a.row_end) add_line(a, lo + 1, a.rows.w1[o]);
  }
}

}  // namespace upsample

static constexpr UpsampleKernels kUpsample = {upsample::row, upsample::backward};
