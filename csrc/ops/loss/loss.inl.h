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

// segnas_argmax: per pixel and class 6 operations, 5 of them on the two pipes that multiply and compare: a floor of 2.5 cycles a vector.
// Zen 3 at 3.24 GHz, AVX2, one thread, 32 rows of 128x256x19 to 1024x2048: 2.6 cycles (96 % of the floor), 4.0 ms for the whole picture.
static void argmax(const ArgmaxRows &a) {
  // Constants, not a call: one that is compiled here, under this set's flags, would be a weak symbol that other sets share.
  constexpr int64_t kFew = argmax_tile(1), kMany = argmax_tile(kMostClasses);
  int64_t tile = a.classes <= kFewClasses ? kFew : kMany, pitch = tile + kTilePadding;
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

// Output rows whose gradients are added to those of their two source rows at once: a source row's gradient is loaded and stored once for
// all of them.
constexpr int kGroup = kLossGroup;

// What cross_entropy keeps of one output row of a tile.
struct Row {
  float v0, v1;       // weights of the source rows
  float *exps;        // [class][tile]: 2^(z - peak), the label's less the sum
  float *sum;         // [tile]
  float *loss_weight; // [tile]
};

// What cross_entropy keeps of a tile. Logits are in units of ln 2, so that the softmax needs powers of two.
struct Tile {
  Source source;
  float *top_gradient, *bottom_gradient;  // [class][tile]: of the widened source rows
  Row rows[kGroup];
  float *peak, *label_logit, *losses;     // [tile]
  const int32_t *planes;  // [256], by label value: where its class begins in a buffer; 0 for what is not a class
};

// Fills exps, peak and sum for one output row. Returns whether every sum is finite.
template <bool kTwo>
static bool exponentials(const Tile &t, const Row &row) {
  const Source &s = t.source;
  F32 w0 = broadcast(row.v0), w1 = broadcast(row.v1), all = zero();
  for (int64_t j = 0; j < s.end - s.begin; j += kLanes) {
    F32 z[kMostClasses];
    F32 peak = broadcast(-__builtin_inff()), sum = zero();
    for (int32_t k = 0; k < s.classes; k++) {
      int64_t at = k * s.buffer_pitch + j;
      z[k] = lerp<kTwo>(w0, s.top + at, w1, s.bottom + at);
      peak = max(z[k], peak);
    }
    for (int32_t k = 0; k < s.classes; k++) {
      F32 e = exp2(sub(z[k], peak));
      sum = add(sum, e);
      store(row.exps + k * s.buffer_pitch + j, e);
    }
    store(t.peak + j, peak);
    store(row.sum + j, sum);
    all = add(all, sum);
  }
  return sum_lanes(all) < __builtin_inff();
}

// Takes the pixels that do not count out of a softmax that is not finite, where a product with their weight 0 would not be 0.
static void leave_out(const CrossEntropyBand &b, const Tile &t, const Row &row, const uint8_t *labels) {
  for (int64_t j = 0; j < t.source.end - t.source.begin; j++) {
    if (b.loss_weight[labels[j]] != 0 || row.sum[j] < __builtin_inff()) continue;
    for (int32_t k = 0; k < t.source.classes; k++) row.exps[k * t.source.buffer_pitch + j] = 0;
    t.peak[j] = 0;
    row.sum[j] = 1;
  }
}

// Looks up the labels of a row of the tile: weights, the label's logit, and exps[label] -= sum, which makes exps / sum the gradient. An
// ignored pixel passes for class 0, with weight 0.
template <bool kTwo>
static void apply_labels(const CrossEntropyBand &b, const Tile &t, const Row &row, const uint8_t *labels) {
  const Source &s = t.source;
  const int32_t *planes = t.planes;
  const float *weights = b.loss_weight, *top = s.top, *bottom = s.bottom, *sum = row.sum;
  float *exps = row.exps, *loss_weight = row.loss_weight, *label_logit = t.label_logit;
  float v0 = row.v0, v1 = row.v1;
  int64_t size = s.end - s.begin;
  for (int64_t j = 0; j < size; j++) {
    uint8_t label = labels[j];
    int64_t at = planes[label] + j;
    loss_weight[j] = weights[label];
    label_logit[j] = kTwo ? v0 * top[at] + v1 * bottom[at] : top[at];
    exps[at] -= sum[j];
  }
}

// The sum of loss_weight (ln sum + ln 2 (peak - label's logit)): f32 over at most a tile, double beyond. map: NULL, or where the tile's part of the
// row's losses goes.
static double row_loss(const Tile &t, const Row &row, float *map) {
  const F32 ln2 = broadcast(0.69314718f);
  int64_t size = t.source.end - t.source.begin;
  F32 total = zero();
  for (int64_t j = 0; j < size; j += kLanes) {
    F32 minus_log = fma(sub(load(t.peak + j), load(t.label_logit + j)), ln2, log(load(row.sum + j)));
    F32 weight = load(row.loss_weight + j), part = mul(weight, minus_log);
    // Adding 0 makes 0 of -0: the bits of losses order as the losses do.
    if (map) store_first(map + j, select(greater(weight, zero()), add(relu(minus_log), zero()), zero()), (int)(size - j));
    if (j + kLanes > size) {
      store(t.losses, part);
      part = load_first(t.losses, (int)(size - j));
    }
    total = add(total, part);
  }
  return (double)sum_lanes(total);
}

// Adds the gradients of kRows output rows to those of the widened source rows.
template <bool kTwo, int kRows>
static void add_gradient(const Tile &t, float scale) {
  const Source &s = t.source;
  for (int64_t j = 0; j < s.end - s.begin; j += kLanes) {
    F32 a0[kRows], a1[kRows];
    for (int i = 0; i < kRows; i++) {
      F32 factor = div(mul(broadcast(scale), load(t.rows[i].loss_weight + j)), load(t.rows[i].sum + j));
      a0[i] = mul(factor, broadcast(t.rows[i].v0));
      a1[i] = mul(factor, broadcast(t.rows[i].v1));
    }
    const float *exps[kRows];
    for (int i = 0; i < kRows; i++) exps[i] = t.rows[i].exps + j;
    float *top = t.top_gradient + j, *bottom = t.bottom_gradient + j;
    for (int64_t at = 0; at < s.classes * s.buffer_pitch; at += s.buffer_pitch) {
      F32 g0 = load(top + at), g1 = kTwo ? load(bottom + at) : zero();
      for (int i = 0; i < kRows; i++) {
        F32 e = load(exps[i] + at);
        g0 = fma(e, a0[i], g0);
        if constexpr (kTwo) g1 = fma(e, a1[i], g1);
      }
      store(top + at, g0);
      if constexpr (kTwo) store(bottom + at, g1);
    }
  }
}

// Output rows [o, o + kRows), which lie between the same source rows.
template <bool kTwo, int kRows>
static double output_rows(const CrossEntropyBand &b, Tile *t, int64_t o) {
  double loss = 0;
  for (int i = 0; i < kRows; i++) {
    Row &row = t->rows[i];
    const uint8_t *labels = b.labels + (o + i) * b.columns.out + t->source.begin;
    row.v0 = b.rows.w0[o + i];
    row.v1 = b.rows.w1[o + i];
    if (!exponentials<kTwo>(*t, row)) leave_out(b, *t, row, labels);
    apply_labels<kTwo>(b, *t, row, labels);
    loss += row_loss(*t, row, b.map ? b.map + (o + i) * b.columns.out + t->source.begin : nullptr);
  }
  if (b.dlogits) add_gradient<kTwo, kRows>(*t, b.gradient_scale);
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

// Output rows [begin, end), all between the same source rows.
template <bool kTwo>
static double output_run(const CrossEntropyBand &b, Tile *t, int64_t begin, int64_t end) {
  double loss = 0;
  if (begin < end) move_to(&t->source, b.rows.lo[begin], kTwo);
  for (; begin + kGroup <= end; begin += kGroup) loss += output_rows<kTwo, kGroup>(b, t, begin);
  for (; begin < end; begin++) loss += output_rows<kTwo, 1>(b, t, begin);
  return loss;
}

// All rows of the band in one tile. When a source row has had its outputs, its gradient goes to dlogits, or to carry past the band.
static double tile_rows(const CrossEntropyBand &b, Tile *t) {
  double loss = 0;
  if (b.dlogits) clear(*t, t->top_gradient);
  for (int64_t low = b.low_begin; low < b.low_end; low++) {
    if (b.dlogits) clear(*t, t->bottom_gradient);
    // The rows that touch `low` alone come first.
    int64_t begin = b.rows.from[low], end = b.rows.from[low + 1], two = begin;
    while (two < end && b.rows.w1[two] == 0) two++;
    loss += output_run<false>(b, t, begin, two);
    loss += output_run<true>(b, t, two, end);
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

// segnas_cross_entropy: per pixel and class 23 operations, 14 of them on the two pipes that multiply and compare: a floor of 7 cycles a
// vector. Zen 3 at 3.24 GHz, AVX2, one thread, a band of 45x60x19 to 360x480: 17 cycles (41 %), 13 without the gradient; so 17 ms for eight
// pictures. Of the 17, exponentials and lerp take 9.4, labels 1.9, gradient 2.0, its reduction along the row 1.5, the logarithm 1.2.
static void cross_entropy(const CrossEntropyBand &b) {
  constexpr int64_t kPitch = kLossTile + kTilePadding;
  int64_t plane = b.classes * kPitch;
  int32_t planes[256];
  for (int32_t v = 0; v < 256; v++) planes[v] = v < b.classes ? (int32_t)(v * kPitch) : 0;
  if (b.dlogits) clear_outputs(b);
  double loss = 0;
  for (int64_t begin = 0; begin < b.columns.out; begin += kLossTile) {
    int64_t end = begin + kLossTile < b.columns.out ? begin + kLossTile : b.columns.out;
    Tile t;
    float *planes_at = b.scratch, *vectors_at = b.scratch + (4 + kGroup) * plane;
    t.source = {b.logits, b.pitch, b.classes, &b.columns, begin, end, broadcast(1.4426950408889634f), planes_at, planes_at + plane, kPitch, -1,
                false, false};
    t.top_gradient = planes_at + 2 * plane;
    t.bottom_gradient = planes_at + 3 * plane;
    t.peak = vectors_at;
    t.label_logit = vectors_at + kPitch;
    t.losses = vectors_at + 2 * kPitch;
    t.planes = planes;
    for (int i = 0; i < kGroup; i++)
      t.rows[i] = {0, 0, planes_at + (4 + i) * plane, vectors_at + (3 + 2 * i) * kPitch, vectors_at + (4 + 2 * i) * kPitch};
    loss += tile_rows(b, &t);
  }
  *b.loss = loss;
}

}  // namespace loss
