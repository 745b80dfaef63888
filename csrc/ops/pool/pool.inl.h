// Sums and copies over the bins of one row after the other. Forward reads each pixel once (those that two bins share twice) and backward writes
// each once, an addition or a store a vector: both are bound by the memory of the large side, so a run of columns is summed in registers, up to
// four vectors of channels at a time, and nothing is blocked further.
namespace pool {

// sums += columns [0, columns) of one row, for kVectors vectors of channels.
template <int kVectors, bool kWhole>
static inline void sum_run(const float *x, int64_t pitch, int64_t columns, int n, float *sums) {
  F32 run[kVectors];
  for (int v = 0; v < kVectors; v++) run[v] = zero();
  for (int64_t o = 0; o < columns; o++)
    for (int v = 0; v < kVectors; v++) run[v] = add(run[v], kWhole ? load(x + o * pitch + v * kLanes) : load_first(x + o * pitch, n));
  if constexpr (kWhole) {
    for (int v = 0; v < kVectors; v++) store(sums + v * kLanes, add(load(sums + v * kLanes), run[v]));
  } else {
    store_first(sums, add(load_first(sums, n), run[0]), n);
  }
}

static void sum_columns(const PoolSum &a, const float *x, int64_t columns, float *sums) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= a.channels; c += 4 * kLanes) sum_run<4, true>(x + c, a.x_pitch, columns, kLanes, sums + c);
  for (; c + kLanes <= a.channels; c += kLanes) sum_run<1, true>(x + c, a.x_pitch, columns, kLanes, sums + c);
  if (c < a.channels) sum_run<1, false>(x + c, a.x_pitch, columns, (int)(a.channels - c), sums + c);
}

static void sum(const PoolSum &a) {
  for (int64_t i = 0; i < a.count * a.channels; i++) a.sums[i] = 0;
  for (int64_t row = 0; row < a.rows; row++)
    for (int64_t j = 0; j < a.count; j++)
      for (int64_t begin = a.bins[j].begin; begin < a.bins[j].end; begin += kPoolRun) {
        int64_t rest = a.bins[j].end - begin;
        sum_columns(a, a.x + row * a.row_pitch + begin * a.x_pitch, rest < kPoolRun ? rest : kPoolRun, a.sums + j * a.channels);
      }
}

static inline F32 share(const PoolSpread &a, int64_t at, F32 first, F32 second, int n) {
  F32 g = mul(load_first(a.dy[0] + at, n), first);
  return a.dy[1] ? add(g, mul(load_first(a.dy[1] + at, n), second)) : g;
}

static void fill_line(const PoolSpread &a) {
  for (int64_t j = 0; j < a.count; j++) {
    int64_t width = a.bins[j].end - a.bins[j].begin;
    F32 first = broadcast(1.0f / (float)(a.heights[0] * width)), second = broadcast(1.0f / (float)(a.heights[1] * width));
    for (int64_t c = 0; c < a.channels; c += kLanes) {
      int n = a.channels - c < kLanes ? (int)(a.channels - c) : kLanes;
      store_first(a.line + j * a.channels + c, share(a, j * a.dy_pitch + c, first, second, n), n);
    }
  }
}

// A pixel in bin j, and in bin j-1 too when kShared.
template <bool kShared>
static inline void spread_pixel(const PoolSpread &a, int64_t j, int64_t column) {
  const float *own = a.line + j * a.channels, *before = own - (kShared ? a.channels : 0);
  float *dx = a.dx + column * a.dx_pitch;
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) store(dx + c, kShared ? add(load(before + c), load(own + c)) : load(own + c));
  if (c == a.channels) return;
  int n = (int)(a.channels - c);
  store_first(dx + c, kShared ? add(load_first(before + c, n), load_first(own + c, n)) : load_first(own + c, n), n);
}

static void spread(const PoolSpread &a) {
  fill_line(a);
  int64_t column = 0;
  for (int64_t j = 0; j < a.count; j++) {
    if (j > 0 && a.bins[j].begin < a.bins[j - 1].end) spread_pixel<true>(a, j, column++);
    // The last column is the next bin's where that shares it.
    int64_t end = j + 1 < a.count ? a.bins[j + 1].begin : a.bins[j].end;
    for (; column < end; column++) spread_pixel<false>(a, j, column);
  }
}

}  // namespace pool

static constexpr PoolKernels kPool = {pool::sum, pool::spread};
