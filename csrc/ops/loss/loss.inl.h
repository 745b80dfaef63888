// Upsampling fused with softmax cross-entropy and with argmax. Both are bound by arithmetic, not by memory: logits are read once per tile
// from a map 64 times smaller than the picture, labels cost a byte a pixel.
namespace loss {

// A low-resolution row interpolated along the row: buffer[k * pitch + o - begin] = scale * value of class k at output column o, for the
// columns [begin, end). The outputs between two source pixels share them, so a vector of outputs is two broadcasts and two vectors of
// weights; what a vector writes past the last of them is overwritten by the next or lies in the padding.
static void widen(const float *row, int64_t row_pitch, int32_t classes, const Axis &columns, int64_t begin, int64_t end, F32 scale,
                  float *buffer, int64_t pitch) {
  for (int64_t o = begin; o < end;) {
    int64_t lo = columns.lo[o], stop = columns.from[lo + 1] < end ? columns.from[lo + 1] : end;
    const float *left = row + lo * row_pitch, *right = lo + 1 < columns.in ? left + row_pitch : left;
    for (; o < stop; o += kLanes) {
      F32 w0 = mul(load(columns.w0 + o), scale), w1 = mul(load(columns.w1 + o), scale);
      Mask two = greater(w1, zero());
      float *target = buffer + o - begin;
      for (int32_t k = 0; k < classes; k++) {
        F32 share = select(two, mul(w1, broadcast(right[k])), zero());
        store(target + k * pitch, add(mul(w0, broadcast(left[k])), share));
      }
    }
    o = stop;
  }
}

template <bool kTwo>
static inline F32 lerp(F32 v0, const float *top, F32 v1, const float *bottom) {
  if constexpr (!kTwo) return load(top);
  return add(mul(v0, load(top)), mul(v1, load(bottom)));
}

// The widened source rows `low` and `low + 1` of a tile.
struct Source {
  const float *logits;
  int64_t pitch;
  int32_t classes;
  const Axis *columns;
  int64_t begin, end;  // the tile's output columns
  F32 scale;
  float *top, *bottom;
  int64_t buffer_pitch;
  int64_t low;           // -1: none yet
  bool top_is, bottom_is;  // widened
};

static void widen_row(const Source &s, int64_t low, float *buffer) {
  widen(s.logits + low * s.columns->in * s.pitch, s.pitch, s.classes, *s.columns, s.begin, s.end, s.scale, buffer, s.buffer_pitch);
}

// Moves the source to row low and, when two, its successor. Rows only move on.
static void move_to(Source *s, int64_t low, bool two) {
  if (low != s->low) {
    if (low == s->low + 1 && s->bottom_is) {
      float *top = s->top;
      s->top = s->bottom;
      s->bottom = top;
      s->top_is = true;
    } else {
      s->top_is = false;
    }
    s->bottom_is = false;
    s->low = low;
  }
  if (!s->top_is) widen_row(*s, low, s->top);
  s->top_is = true;
  if (two && !s->bottom_is) {
    widen_row(*s, low + 1, s->bottom);
    s->bottom_is = true;
  }
}

// Class of the largest logit, as floats, for kVectors vectors of pixels.
template <bool kTwo, int kVectors>
static inline void argmax_vectors(const Source &s, F32 v0, F32 v1, int64_t j, float *index) {
  F32 best[kVectors], chosen[kVectors];
  for (int v = 0; v < kVectors; v++) best[v] = broadcast(-__builtin_inff()), chosen[v] = zero();
  for (int32_t k = 0; k < s.classes; k++) {
    F32 number = broadcast((float)k);
    for (int v = 0; v < kVectors; v++) {
      int64_t at = k * s.buffer_pitch + j + v * kLanes;
      F32 z = lerp<kTwo>(v0, s.top + at, v1, s.bottom + at);
      chosen[v] = select(greater(z, best[v]), number, chosen[v]);
      best[v] = max(z, best[v]);  // a NaN leaves best as it is
    }
  }
  for (int v = 0; v < kVectors; v++) store(index + j + v * kLanes, chosen[v]);
}

template <bool kTwo>
static void argmax_row(const Source &s, float v0, float v1, float *index, uint8_t *labels) {
  int64_t size = s.end - s.begin, j = 0;
  F32 w0 = broadcast(v0), w1 = broadcast(v1);
  for (; j + 4 * kLanes <= size; j += 4 * kLanes) argmax_vectors<kTwo, 4>(s, w0, w1, j, index);
  for (; j < size; j += kLanes) argmax_vectors<kTwo, 1>(s, w0, w1, j, index);
  for (j = 0; j < size; j++) labels[j] = (uint8_t)(int32_t)index[j];
}

// segnas_argmax: per pixel and class 6 operations and 2 loads.
static void argmax(const ArgmaxRows &a) {
  int64_t tile = argmax_tile(a.classes), pitch = tile + kTilePadding;
  float *index = a.scratch + 2 * a.classes * pitch;
  for (int64_t begin = 0; begin < a.columns.out; begin += tile) {
    int64_t end = begin + tile < a.columns.out ? begin + tile : a.columns.out;
    Source s = {a.logits, a.pitch, a.classes, &a.columns, begin, end, broadcast(1.0f), a.scratch, a.scratch + a.classes * pitch, pitch, -1,
                false, false};
    for (int64_t o = a.row_begin; o < a.row_end; o++) {
      bool two = a.rows.w1[o] != 0;
      move_to(&s, a.rows.lo[o], two);
      uint8_t *labels = a.labels + o * a.columns.out + begin;
      two ? argmax_row<true>(s, a.rows.w0[o], a.rows.w1[o], index, labels) : argmax_row<false>(s, 1.0f, 0.0f, index, labels);
    }
  }
}

// What cross_entropy keeps of a tile besides its source. Logits are in units of ln 2, so that the softmax needs powers of two.
struct Tile {
  Source source;
  float *exps;                                // [class][tile]: 2^(z - peak), the label's less the sum
  float *top_gradient, *bottom_gradient;      // [class][tile]: of the widened source rows
  float *peak, *sum, *label_logit;            // [tile]
  float *loss_weight, *gradient_weight, *losses;
};

template <bool kTwo>
static void exponentials(const Tile &t, float v0, float v1) {
  const Source &s = t.source;
  F32 w0 = broadcast(v0), w1 = broadcast(v1);
  for (int64_t j = 0; j < s.end - s.begin; j += kLanes) {
    F32 z[kMostClasses];
    F32 peak = broadcast(-__builtin_inff());
    for (int32_t k = 0; k < s.classes; k++) {
      int64_t at = k * s.buffer_pitch + j;
      z[k] = lerp<kTwo>(w0, s.top + at, w1, s.bottom + at);
      peak = max(z[k], peak);
    }
    F32 sum = zero();
    for (int32_t k = 0; k < s.classes; k++) {
      F32 e = exp2(sub(z[k], peak));
      sum = add(sum, e);
      store(t.exps + k * s.buffer_pitch + j, e);
    }
    store(t.peak + j, peak);
    store(t.sum + j, sum);
  }
}

// Takes a pixel that does not count out of the softmax when a product with its weight 0 would not be 0.
static void leave_out(const Tile &t, int64_t j) {
  t.label_logit[j] = t.peak[j];
  if (t.sum[j] < __builtin_inff()) return;
  for (int32_t k = 0; k < t.source.classes; k++) t.exps[k * t.source.buffer_pitch + j] = 0;
  t.peak[j] = t.label_logit[j] = 0;
  t.sum[j] = 1;
}

// Looks up the labels of a row of the tile: weights, the label's logit, and exps[label] -= sum, which makes exps / sum the gradient.
template <bool kTwo>
static void apply_labels(const CrossEntropyBand &b, const Tile &t, float v0, float v1, const uint8_t *labels) {
  const Source &s = t.source;
  for (int64_t j = 0; j < s.end - s.begin; j++) {
    uint8_t label = labels[j];
    t.loss_weight[j] = b.loss_weight[label];
    t.gradient_weight[j] = b.gradient_weight[label];
    if (t.loss_weight[j] == 0) {
      leave_out(t, j);
      continue;
    }
    int64_t at = label * s.buffer_pitch + j;
    t.label_logit[j] = kTwo ? v0 * s.top[at] + v1 * s.bottom[at] : s.top[at];
    t.exps[at] -= t.sum[j];
  }
}

// The sum of loss_weight (ln sum + ln 2 (peak - label's logit)): f32 over at most a tile, double beyond.
static double row_loss(const Tile &t) {
  const F32 ln2 = broadcast(0.69314718f);
  int64_t size = t.source.end - t.source.begin;
  F32 total = zero();
  for (int64_t j = 0; j < size; j += kLanes) {
    F32 minus_log = fma(sub(load(t.peak + j), load(t.label_logit + j)), ln2, log(load(t.sum + j)));
    F32 part = mul(load(t.loss_weight + j), minus_log);
    if (j + kLanes > size) {
      store(t.losses, part);
      part = load_first(t.losses, (int)(size - j));
    }
    total = add(total, part);
  }
  return (double)sum_lanes(total);
}

// Adds the row's gradient to those of the widened source rows.
template <bool kTwo>
static void add_gradient(const Tile &t, float v0, float v1) {
  const Source &s = t.source;
  F32 w0 = broadcast(v0), w1 = broadcast(v1);
  for (int64_t j = 0; j < s.end - s.begin; j += kLanes) {
    F32 factor = div(load(t.gradient_weight + j), load(t.sum + j));
    F32 a0 = mul(factor, w0), a1 = mul(factor, w1);
    for (int32_t k = 0; k < s.classes; k++) {
      int64_t at = k * s.buffer_pitch + j;
      F32 e = load(t.exps + at);
      store(t.top_gradient + at, fma(e, a0, load(t.top_gradient + at)));
      if constexpr (kTwo) store(t.bottom_gradient + at, fma(e, a1, load(t.bottom_gradient + at)));
    }
  }
}

template <bool kTwo>
static double output_row(const CrossEntropyBand &b, const Tile &t, int64_t o) {
  float v0 = b.rows.w0[o], v1 = b.rows.w1[o];
  exponentials<kTwo>(t, v0, v1);
  apply_labels<kTwo>(b, t, v0, v1, b.labels + o * b.columns.out + t.source.begin);
  double loss = row_loss(t);
  if (b.dlogits) add_gradient<kTwo>(t, v0, v1);
  return loss;
}

// sums[k] += weights . gradient of class k over n outputs from o on, lane by lane.
static inline void add_products(const Tile &t, const float *gradient, const float *weights, int64_t o, int64_t end, F32 *sums) {
  const Source &s = t.source;
  for (; o < end; o += kLanes) {
    int n = (int)(end - o);
    F32 weight = load_first(weights + o, n);
    const float *at = gradient + o - s.begin;
    for (int32_t k = 0; k < s.classes; k++) sums[k] = fma(weight, load_first(at + k * s.buffer_pitch, n), sums[k]);
  }
}

// The transpose of widen: adds a widened row's gradient to the pixels of a low-resolution row.
static void narrow(const Tile &t, const float *gradient, float *row, int64_t row_pitch) {
  const Source &s = t.source;
  const Axis &columns = *s.columns;
  for (int64_t i = columns.lo[s.begin]; i < columns.in && columns.touch[i] < s.end; i++) {
    F32 sums[kMostClasses];
    for (int32_t k = 0; k < s.classes; k++) sums[k] = zero();
    int64_t from = columns.from[i], first = columns.touch[i], last = columns.from[i + 1];
    if (first < s.begin) first = s.begin;
    if (last > s.end) last = s.end;
    add_products(t, gradient, columns.w1, first, from < last ? from : last, sums);
    add_products(t, gradient, columns.w0, from > first ? from : first, last, sums);
    for (int32_t k = 0; k < s.classes; k++) row[i * row_pitch + k] += sum_lanes(sums[k]);
  }
}

static void clear(const Tile &t, float *gradient) {
  for (int64_t i = 0; i < t.source.classes * t.source.buffer_pitch; i++) gradient[i] = 0;
}

// All rows of the band in one tile. When a source row has had its outputs, its gradient goes to dlogits, or to carry past the band.
static double tile_rows(const CrossEntropyBand &b, Tile *t) {
  double loss = 0;
  if (b.dlogits) clear(*t, t->top_gradient);
  for (int64_t low = b.low_begin; low < b.low_end; low++) {
    if (b.dlogits) clear(*t, t->bottom_gradient);
    for (int64_t o = b.rows.from[low]; o < b.rows.from[low + 1]; o++) {
      bool two = b.rows.w1[o] != 0;
      move_to(&t->source, low, two);
      loss += two ? output_row<true>(b, *t, o) : output_row<false>(b, *t, o);
    }
    if (!b.dlogits) continue;
    narrow(*t, t->top_gradient, b.dlogits + low * b.columns.in * b.dlogits_pitch, b.dlogits_pitch);
    float *done = t->top_gradient;
    t->top_gradient = t->bottom_gradient;
    t->bottom_gradient = done;
  }
  if (b.dlogits && b.low_end < b.rows.in) narrow(*t, t->top_gradient, b.carry, b.classes);
  return loss;
}

static void clear_outputs(const CrossEntropyBand &b) {
  for (int64_t p = b.low_begin * b.columns.in; p < b.low_end * b.columns.in; p++)
    for (int32_t k = 0; k < b.classes; k++) b.dlogits[p * b.dlogits_pitch + k] = 0;
  for (int64_t i = 0; i < b.columns.in * b.classes; i++) b.carry[i] = 0;
}

// segnas_cross_entropy: per pixel and class 24 operations, 6 loads and 4 stores, all in the first-level cache.
static void cross_entropy(const CrossEntropyBand &b) {
  int64_t tile = loss_tile(b.classes), pitch = tile + kTilePadding, plane = b.classes * pitch;
  float *at = b.scratch, *rows = b.scratch + 5 * plane;
  double loss = 0;
  if (b.dlogits) clear_outputs(b);
  for (int64_t begin = 0; begin < b.columns.out; begin += tile) {
    int64_t end = begin + tile < b.columns.out ? begin + tile : b.columns.out;
    Tile t = {{b.logits, b.pitch, b.classes, &b.columns, begin, end, broadcast(1.4426950408889634f), at, at + plane, pitch, -1, false, false},
              at + 2 * plane, at + 3 * plane, at + 4 * plane, rows, rows + pitch, rows + 2 * pitch, rows + 3 * pitch, rows + 4 * pitch,
              rows + 5 * pitch};
    loss += tile_rows(b, &t);
  }
  *b.loss = loss;
}

}  // namespace loss

static constexpr LossKernels kLoss = {loss::argmax, loss::cross_entropy};
