// cross_entropy: softmax cross-entropy of bilinearly enlarged logits, and its gradient with respect to the small ones; full-size logits and
// probabilities never exist. Three kernels: tiles of loss and gradient, their sums, and the fold of the tiles' gradients.
//
// Tile: the outputs between two source rows, over `span` source columns (about kThreads / kLanes outputs). kLanes threads share an output
// column, each with kClasses of its classes in registers: they interpolate the two source rows at that column once, and go down the outputs
// between them. An output's softmax is taken in registers: logits, maximum, exponentials and their sum, with a butterfly over the kLanes
// threads. Its gradient, weight (p - onehot), is added at once to that of the two source rows at the column, so that a multiply-add a row is
// all that it costs. At the end those go through shared memory to the source columns they came from, and leave as the tile's partial
// gradient: (span + 1) pixels of two rows. The fold adds the at most four partials of a pixel in fixed order and multiplies by scale / total,
// which is known by then. No atomics, and no order that depends on anything but shapes.
// Classes beyond K have logits of -infinity, whose exponentials are 0: the loops have no condition in them.
//
// Operations per output and class: 2 interpolation, 1 maximum, 1 subtraction, 4 exponential, 1 sum, 2 the label, 2 gradient; 3 more for what is
// done once a column (interpolation along the row, its transpose). For 1024x2048x19 from 128x256: 40e6 x 16, on an H100 (132 x 128 lanes,
// 1.755 GHz) a floor of 21 us; sm_90a's loop has 434 instructions for 20 classes. Bytes are 2.1 MB of labels and six times the 2.5 MB of
// logits, 5 us. Two passes that compute exponentials twice would add 8 operations; exponentials kept in shared memory, a store, a load and
// 4 KiB a warp at 32 classes.
#include "../../plugin/interpolation.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 128, kFoldThreads = 256, kSumThreads = 512;
// The most source columns times classes of a tile: bounds its shared memory, which stays below 48 KiB.
constexpr int64_t kMostSpan = 1024;
// Logits are interpolated in units of ln 2, so that the softmax needs powers of two.
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718f;

// A value at the tile's two source rows.
struct alignas(8) Pair {
  float top, bottom;
};

// What a tile, or all of them, adds to the result. wrong_label: the largest label that is no class, -1 when there is none.
struct alignas(8) Sums {
  double loss, weight;
  int32_t wrong_label, unused;
};

struct Totals {
  float factor;  // of the gradient: scale / total, 0 when there is no labelled pixel
  int32_t wrong_label;
};

struct TileArgs {
  const float *logits;
  int64_t pitch;
  int classes, staged_pitch;  // the latter is odd: no bank conflicts between pixels
  Axis rows, columns;
  const uint8_t *labels;
  int ignore;
  const float *class_weights;  // NULL: all 1
  int64_t tiles;               // of a source row
  int span;                    // source columns of a tile
  Sums *sums;                  // [pictures][rows.in][tiles]
  float *partial;              // [pictures][rows.in][tiles][2][span + 1][classes]
};

// Byte offsets in a tile's shared memory.
struct Layout {
  size_t partial;  // after the staged logits, Pair [span + 2][staged_pitch]: the partial gradient, float [2][span + 1][classes]
  size_t columns;  // gradient at the output columns, float [2][classes][kColumns + 1]
  size_t weights;  // w0 and w1 of the output columns, float [2][kColumns]
  size_t ranges;   // outputs of each source column, int [span + 1][3]
  size_t sums;     // Sums [warps]
  size_t bytes;
};

SEGNAS_BOTH Layout layout_of(int classes, int staged_pitch, int span, int columns) {
  Layout l = {};
  const size_t pixels = static_cast<size_t>(span) + 1, depth = static_cast<size_t>(classes), width = static_cast<size_t>(columns);
  l.partial = (pixels + 1) * static_cast<size_t>(staged_pitch) * sizeof(Pair);
  l.columns = l.partial + 2 * pixels * depth * sizeof(float);
  l.weights = l.columns + 2 * depth * (width + 1) * sizeof(float);
  l.ranges = l.weights + 2 * width * sizeof(float);
  l.sums = ceil_div(l.ranges + 3 * pixels * sizeof(int), sizeof(Sums)) * sizeof(Sums);
  l.bytes = l.sums + kThreads / kWarp * sizeof(Sums);
  return l;
}

// Where a block is.
struct Place {
  int64_t picture, low;       // source row
  int64_t pixel;              // first source column
  int64_t begin, end;         // output columns
};

// A column of outputs: where its two source pixels are staged, and their weights, as they are and for logits in units of ln 2.
struct Column {
  bool inside;
  int64_t output;
  int left, right;
  float w0, w1, scaled0, scaled1;
};

// A thread's classes of a column at the tile's two source rows.
template <int kClasses>
struct Classes {
  float top[kClasses], bottom[kClasses];
};

// The source pixels under the tile; those that are not there are zeros, and so is the last, which weights of 0 are applied to.
SEGNAS_DEVICE void stage(const TileArgs &a, const Place &p, Shared<Pair> staged) {
  const float *top = a.logits + (p.picture * a.rows.in + p.low) * a.columns.in * a.pitch;
  const float *bottom = p.low + 1 < a.rows.in ? top + a.columns.in * a.pitch : nullptr;
  for (int e = thread(); e < (a.span + 2) * a.classes; e += kThreads) {
    const int slot = e / a.classes, k = e - slot * a.classes;
    const int64_t pixel = p.pixel + slot;
    Pair pair = {0, 0};
    if (slot <= a.span && pixel < a.columns.in) {
      pair.top = top[pixel * a.pitch + k];
      if (bottom) pair.bottom = bottom[pixel * a.pitch + k];
    }
    staged[slot * a.staged_pitch + k] = pair;
  }
}

SEGNAS_DEVICE void find_ranges(const TileArgs &a, const Place &p, Shared<int> ranges) {
  for (int slot = thread(); slot <= a.span; slot += kThreads) {
    const int64_t pixel = p.pixel + slot;
    ranges[3 * slot] = static_cast<int>(pixel < a.columns.in ? outputs_touched_from(a.columns, pixel) : a.columns.out);
    ranges[3 * slot + 1] = static_cast<int>(outputs_from(a.columns, pixel));
    ranges[3 * slot + 2] = static_cast<int>(outputs_from(a.columns, pixel + 1));
  }
}

SEGNAS_DEVICE Column column_of(const TileArgs &a, const Place &p, int64_t output) {
  const bool inside = output < p.end;
  const Tap tap = tap_of(a.columns, inside ? output : p.end - 1);
  const int left = static_cast<int>(tap.lo - p.pixel);
  return {inside, inside ? output : p.end - 1, left * a.staged_pitch, (tap.w1 != 0 ? left + 1 : a.span + 1) * a.staged_pitch, tap.w0, tap.w1,
          tap.w0 * kLog2E, tap.w1 * kLog2E};
}

SEGNAS_DEVICE Pair logit_at(const Column &c, Shared<Pair> staged, int k) {
  const Pair left = staged[c.left + k], right = staged[c.right + k];
  return {fused_multiply_add(c.scaled1, right.top, c.scaled0 * left.top), fused_multiply_add(c.scaled1, right.bottom, c.scaled0 * left.bottom)};
}

// Over the kLanes threads of a column; the same value in all of them.
template <int kLanes>
SEGNAS_DEVICE float column_sum(float v) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
  return v;
}
template <int kLanes>
SEGNAS_DEVICE float column_most(float v) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) v = larger(v, shuffle_xor(v, mask));
  return v;
}

// An output row's weights of the two source rows; v1 is 0 where the lower one takes no part.
struct RowWeights {
  float v0, v1;
  SEGNAS_DEVICE float interpolate(float top, float bottom) const { return v1 == 0 ? top : fused_multiply_add(v1, bottom, v0 * top); }
};

// z becomes 2^(z - the largest); a NaN is never the largest, but makes the sum NaN.
template <int kClasses, int kLanes>
SEGNAS_DEVICE void softmax(const RowWeights &v, const Classes<kClasses> &logits, float (&z)[kClasses], float *peak, float *sum) {
  float most = -__builtin_inff(), total = 0;
  for (int i = 0; i < kClasses; i++) {
    z[i] = v.interpolate(logits.top[i], logits.bottom[i]);
    most = larger(most, z[i]);
  }
  most = column_most<kLanes>(most);
  for (int i = 0; i < kClasses; i++) {
    z[i] = exponential2(z[i] - most);
    total += z[i];
  }
  *peak = most;
  *sum = column_sum<kLanes>(total);
}

// Adds weight (p - onehot(label)) to the gradients of the source rows at the column. label: counted in the thread's classes.
template <int kClasses, int kLanes>
SEGNAS_DEVICE void add_gradient(const RowWeights &v, const float (&exps)[kClasses], float sum, float weight, int label, Classes<kClasses> *gradient) {
  const float factor = weight / sum, upper = factor * v.v0, lower = factor * v.v1;
  for (int i = 0; i < kClasses; i++) {
    const float g = label == i * kLanes ? exps[i] - sum : exps[i];
    gradient->top[i] = fused_multiply_add(g, upper, gradient->top[i]);
    if (v.v1 != 0) gradient->bottom[i] = fused_multiply_add(g, lower, gradient->bottom[i]);
  }
}

// A label's weight; 0: the output takes no part.
SEGNAS_DEVICE float weight_of(const TileArgs &a, int label) {
  if (label == a.ignore || label >= a.classes) return 0;
  return a.class_weights ? a.class_weights[label] : 1.0f;
}

// The outputs of the tile in one column. Every thread of the block comes here as often as any other.
template <int kClasses, int kLanes, bool kGradient>
SEGNAS_DEVICE void column_outputs(const TileArgs &a, const Place &p, const Column &c, Shared<Pair> staged, Classes<kClasses> *gradient, Sums *sums) {
  const int first = thread() % kLanes;
  Classes<kClasses> logits;
  for (int i = 0; i < kClasses; i++) {
    const int k = i * kLanes + first;
    const Pair pair = k < a.classes ? logit_at(c, staged, k) : Pair{-__builtin_inff(), -__builtin_inff()};
    logits.top[i] = pair.top;
    logits.bottom[i] = pair.bottom;
  }
  int64_t o = outputs_from(a.rows, p.low);
  const int64_t end = outputs_from(a.rows, p.low + 1);
  const uint8_t *at = a.labels + (p.picture * a.rows.out + o) * a.columns.out + c.output;
  int next = o < end ? *at : 0;  // a row ahead
  for (; o < end; o++) {
    const int label = next;
    at += a.columns.out;
    if (o + 1 < end) next = *at;
    const int32_t rest = rest_of(a.rows, o, p.low);
    const RowWeights v = {first_weight(a.rows, rest), second_weight(a.rows, rest)};
    float exps[kClasses], peak, sum;
    softmax<kClasses, kLanes>(v, logits, exps, &peak, &sum);
    const float weight = c.inside ? weight_of(a, label) : 0;
    if (c.inside && label != a.ignore && label >= a.classes && label > sums->wrong_label) sums->wrong_label = label;
    if (weight == 0) continue;
    if (first == 0) {
      const Pair own = logit_at(c, staged, label);
      sums->loss += static_cast<double>(weight * fused_multiply_add(peak - v.interpolate(own.top, own.bottom), kLn2, logarithm(sum)));
      sums->weight += static_cast<double>(weight);
    }
    if constexpr (kGradient) add_gradient<kClasses, kLanes>(v, exps, sum, weight, label - first, gradient);
  }
}

// The gradient of the columns, laid out for gather: [row][class][column].
template <int kClasses, int kLanes>
SEGNAS_DEVICE void lay_out(const TileArgs &a, const Column &c, const Classes<kClasses> &gradient, Shared<float> columns, Shared<float> weights) {
  constexpr int kColumns = kThreads / kLanes;
  const int first = thread() % kLanes, column = thread() / kLanes;
  for (int i = 0; i < kClasses; i++) {
    const int k = i * kLanes + first;
    if (k >= a.classes) continue;
    columns[k * (kColumns + 1) + column] = gradient.top[i];
    columns[(a.classes + k) * (kColumns + 1) + column] = gradient.bottom[i];
  }
  if (first != 0) return;
  weights[column] = c.w0;
  weights[kColumns + column] = c.w1;
}

// The transpose of the interpolation along the row: partial += what columns [begin, begin + kColumns) owe to each source pixel and class. The
// same thread always has the same pixel and class.
template <int kColumns>
SEGNAS_DEVICE void gather(const TileArgs &a, const Place &p, int64_t begin, Shared<int> ranges, Shared<float> columns, Shared<float> weights,
                          Shared<float> partial) {
  const int n = (a.span + 1) * a.classes, stop = static_cast<int>(p.end - begin < kColumns ? p.end - begin : kColumns), offset = static_cast<int>(begin);
  for (int e = thread(); e < n; e += kThreads) {
    const int slot = e / a.classes, k = e - slot * a.classes;
    const int touched = ranges[3 * slot] - offset, own = ranges[3 * slot + 1] - offset, end = ranges[3 * slot + 2] - offset;
    const Shared<float> top = columns + k * (kColumns + 1), bottom = columns + (a.classes + k) * (kColumns + 1);
    float upper = partial[e], lower = partial[n + e];
    for (int o = touched < 0 ? 0 : touched; o < end && o < stop; o++) {
      const float weight = weights[o < own ? kColumns + o : o];
      upper = fused_multiply_add(weight, top[o], upper);
      lower = fused_multiply_add(weight, bottom[o], lower);
    }
    partial[e] = upper;
    partial[n + e] = lower;
  }
}

// Of the block's threads in thread 0.
SEGNAS_DEVICE Sums block_sums(Sums own, Shared<Sums> warps) {
  own.loss = warp_sum(own.loss);
  own.weight = warp_sum(own.weight);
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const int other = shuffle_xor(own.wrong_label, mask);
    own.wrong_label = other > own.wrong_label ? other : own.wrong_label;
  }
  if (lane() == 0) warps[warp()] = own;
  barrier();
  if (thread() != 0) return own;
  for (int w = 1; w < threads() / kWarp; w++) {
    const Sums other = warps[w];
    own.loss += other.loss;
    own.weight += other.weight;
    own.wrong_label = other.wrong_label > own.wrong_label ? other.wrong_label : own.wrong_label;
  }
  return own;
}

template <int kClasses, int kLanes, bool kGradient>
SEGNAS_KERNEL(kThreads, 3) cross_entropy_tile(const TileArgs a) {
  constexpr int kColumns = kThreads / kLanes;
  const int64_t row = block_x() / a.tiles, pixel = (block_x() - row * a.tiles) * a.span, picture = row / a.rows.in;
  const Place p = {picture, row - picture * a.rows.in, pixel, outputs_from(a.columns, pixel), outputs_from(a.columns, pixel + a.span)};
  const Layout l = layout_of(a.classes, a.staged_pitch, a.span, kColumns);
  const Shared<Pair> staged = shared_memory<Pair>(0);
  const Shared<float> partial = shared_memory<float>(l.partial), columns = shared_memory<float>(l.columns), weights = shared_memory<float>(l.weights);
  const Shared<int> ranges = shared_memory<int>(l.ranges);
  const int n = (a.span + 1) * a.classes;
  stage(a, p, staged);
  if constexpr (kGradient) {
    find_ranges(a, p, ranges);
    for (int e = thread(); e < n; e += kThreads) partial[e] = partial[n + e] = 0.0f;
  }
  barrier();
  Sums own = {0, 0, -1, 0};
  for (int64_t begin = p.begin; begin < p.end; begin += kColumns) {
    const Column c = column_of(a, p, begin + thread() / kLanes);
    Classes<kClasses> gradient = {};
    column_outputs<kClasses, kLanes, kGradient>(a, p, c, staged, &gradient, &own);
    if constexpr (kGradient) {
      lay_out<kClasses, kLanes>(a, c, gradient, columns, weights);
      barrier();
      gather<kColumns>(a, p, begin, ranges, columns, weights, partial);
      barrier();
    }
  }
  if constexpr (kGradient) {
    float *out = a.partial + static_cast<int64_t>(block_x()) * 2 * n;
    for (int e = thread(); e < n; e += kThreads) {
      out[e] = partial[e];
      out[n + e] = partial[n + e];
    }
  }
  own = block_sums(own, shared_memory<Sums>(l.sums));
  if (thread() == 0) a.sums[block_x()] = own;
}

// One block: the tiles' sums in fixed order, the result, and what the fold multiplies by.
SEGNAS_KERNEL(kSumThreads) cross_entropy_total(const Sums *tiles, int64_t count, float scale, double *result, Totals *totals) {
  Sums own = {0, 0, -1, 0};
  for (int64_t t = thread(); t < count; t += kSumThreads) {
    const Sums tile = tiles[t];
    own.loss += tile.loss;
    own.weight += tile.weight;
    own.wrong_label = tile.wrong_label > own.wrong_label ? tile.wrong_label : own.wrong_label;
  }
  own = block_sums(own, shared_memory<Sums>(0));
  if (thread() != 0) return;
  result[0] = own.weight == 0 ? 0 : own.loss / own.weight;
  result[1] = own.weight;
  *totals = {own.weight == 0 ? 0 : static_cast<float>(static_cast<double>(scale) / own.weight), own.wrong_label};
}

struct FoldArgs {
  const float *partial;
  const Totals *totals;
  Rows dlogits;
  int64_t h, w, tiles, chunks;
  int classes, span;
};

// A pixel's gradient: what the tiles above it say of their lower row, then what those below it say of their upper one; of two tiles that share
// it, the left one first.
SEGNAS_KERNEL(kFoldThreads) cross_entropy_fold(const FoldArgs a) {
  const int64_t row = block_x() / a.chunks, item = (block_x() - row * a.chunks) * kFoldThreads + thread();
  if (item >= a.w * a.classes) return;
  const int64_t j = item / a.classes, k = item - j * a.classes, tile = j / a.span, slot = j - tile * a.span, n = (a.span + 1) * a.classes;
  float sum = 0;
  for (int above = row % a.h > 0 ? 1 : 0; above >= 0; above--) {
    const float *at = a.partial + (((row - above) * a.tiles + tile) * 2 + above) * n + k;
    if (slot == 0 && tile > 0) sum += at[-2 * n + a.span * a.classes];
    sum += at[slot * a.classes];
  }
  const float factor = a.totals->factor;
  a.dlogits.at[(row * a.w + j) * a.dlogits.pitch + k] = factor == 0 ? 0 : factor * sum;
}

using Tiles = void (*)(TileArgs);
struct Choice {
  int classes, lanes;
  Tiles loss, gradient;
};
#define SEGNAS_TILES(classes, lanes) {classes, lanes, cross_entropy_tile<classes, lanes, false>, cross_entropy_tile<classes, lanes, true>}
// Ascending in classes times lanes: the first that is enough. More than 20 classes to a thread would leave 12 warps a multiprocessor.
const Choice kChoices[] = {SEGNAS_TILES(8, 1),  SEGNAS_TILES(12, 1), SEGNAS_TILES(16, 1), SEGNAS_TILES(20, 1), SEGNAS_TILES(12, 2),
                           SEGNAS_TILES(16, 2), SEGNAS_TILES(20, 2), SEGNAS_TILES(12, 4), SEGNAS_TILES(16, 4)};
#undef SEGNAS_TILES

const Choice &choice_for(int classes) {
  for (const Choice &c : kChoices)
    if (c.classes * c.lanes >= classes) return c;
  return kChoices[sizeof kChoices / sizeof kChoices[0] - 1];
}

// Source columns whose outputs the block's threads take at once; the first tile has half a source column's more.
int64_t span_for(const Axis &columns, int64_t at_once, int64_t classes) {
  int64_t span = (at_once - ceil_div(columns.out, 2 * columns.in)) * columns.in / columns.out;
  if (span > kMostSpan / classes) span = kMostSpan / classes;
  if (span > columns.in) span = columns.in;
  return span < 1 ? 1 : span;
}

}  // namespace

segnas_status cross_entropy(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, const segnas_tensor *class_weights,
                            float scale, const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Rows low = rows_of(*logits);
  const int classes = static_cast<int>(channels_of(*logits));
  TileArgs a = {low.at, low.pitch, classes, classes | 1, axis_of(logits->shape[1], labels->shape[1], 0), axis_of(logits->shape[2], labels->shape[2], 0), u8(*labels),
                ignore, class_weights ? f32(*class_weights) : nullptr, 0, 0, nullptr, nullptr};
  const Choice &choice = choice_for(classes);
  const int at_once = kThreads / choice.lanes;
  a.span = static_cast<int>(span_for(a.columns, at_once, classes));
  a.tiles = ceil_div<int64_t>(a.columns.in, a.span);
  const int64_t rows = logits->shape[0] * a.rows.in, count = rows * a.tiles, n = int64_t{a.span + 1} * classes;
  void *scratch = nullptr;
  const size_t sums_bytes = static_cast<size_t>(count + 1) * sizeof(Sums), partial_bytes = dlogits ? static_cast<size_t>(count * 2 * n) * sizeof(float) : 0;
  SEGNAS_GPU_TRY(s->reserve(sums_bytes + partial_bytes, &scratch, err));
  a.sums = static_cast<Sums *>(scratch);
  a.partial = reinterpret_cast<float *>(a.sums + count + 1);
  Totals *totals = reinterpret_cast<Totals *>(a.sums + count), found = {};
  const Grid grid = {count, 1, 1, kThreads, layout_of(classes, a.staged_pitch, a.span, at_once).bytes};
  SEGNAS_GPU_TRY(launch("cross_entropy", s->raw, err, grid, dlogits ? choice.gradient : choice.loss, a));
  const Grid one = {1, 1, 1, kSumThreads, kSumThreads / kWarp * sizeof(Sums)};
  SEGNAS_GPU_TRY(launch("cross_entropy", s->raw, err, one, cross_entropy_total, a.sums, count, scale, f64(*result), totals));
  if (dlogits) {
    const int64_t chunks = ceil_div<int64_t>(a.columns.in * classes, kFoldThreads);
    const FoldArgs fold = {a.partial, totals, rows_of(*dlogits), a.rows.in, a.columns.in, a.tiles, chunks, classes, a.span};
    SEGNAS_GPU_TRY(launch("cross_entropy", s->raw, err, {rows * chunks, 1, 1, kFoldThreads, 0}, cross_entropy_fold, fold));
  }
  // The one word that the host waits for, behind all the work.
  SEGNAS_GPU_TRY(copy_to_host(s->raw, &found, totals, sizeof found, err));
  if (found.wrong_label < 0) return succeed(err);
  return fail(err, SEGNAS_INVALID_ARGUMENT, "cross_entropy: labels holds %d, should be below %d or %d (ignored)", found.wrong_label, classes, ignore);
}

}  // namespace segnas::gpu
