// segnas_cross_entropy, segnas_hard_pixels, segnas_argmax, segnas_confusion: label counts, bands, and the rows that two bands share.
#include "loss.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checks.h"

namespace segnas {
namespace {

segnas_status no_memory(const char *op, segnas_error *err) { return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", op); }

// Scratch of one cross_entropy.
struct Workspace {
  Axis rows, columns;
  int64_t *counts;  // [threads][256]
  float *loss_weight;  // [256]
  double *losses;   // [pieces]
  float *carries;   // [pieces][w*K]
  size_t carry_floats;
  float *scratch;   // per worker
  size_t scratch_floats;
  void *extra;

  bool take(segnas_stream *s, const Pixels &low, int64_t h, int64_t w, int64_t pieces, bool gradient, size_t extra_bytes) {
    size_t threads = static_cast<size_t>(s->context->pool->threads());
    size_t row_bytes = axis_bytes(low.h, h), column_bytes = axis_bytes(low.w, w), count_bytes = threads * 256 * sizeof(int64_t);
    size_t weight_bytes = 256 * sizeof(float), loss_bytes = cache_lines(static_cast<size_t>(pieces) * sizeof(double));
    size_t carry_bytes = gradient ? cache_lines(static_cast<size_t>(low.w * low.channels) * sizeof(float)) : 0;
    size_t worker_bytes = cache_lines(static_cast<size_t>(cross_entropy_scratch_floats(static_cast<int32_t>(low.channels))) * sizeof(float));
    size_t total = row_bytes + column_bytes + count_bytes + weight_bytes + loss_bytes + static_cast<size_t>(pieces) * carry_bytes;
    total += threads * worker_bytes + extra_bytes;
    char *at = static_cast<char *>(s->scratch.reserve(total));
    if (!at) return false;
    auto next = [&at](size_t bytes) {
      char *part = at;
      at += bytes;
      return part;
    };
    rows = make_axis(false, low.h, h, next(row_bytes));
    columns = make_axis(false, low.w, w, next(column_bytes));
    counts = reinterpret_cast<int64_t *>(next(count_bytes));
    loss_weight = reinterpret_cast<float *>(next(weight_bytes));
    losses = reinterpret_cast<double *>(next(loss_bytes));
    carries = reinterpret_cast<float *>(next(static_cast<size_t>(pieces) * carry_bytes));
    carry_floats = carry_bytes / sizeof(float);
    scratch = reinterpret_cast<float *>(next(threads * worker_bytes));
    extra = next(0);
    scratch_floats = worker_bytes / sizeof(float);
    return true;
  }
};

// Fills the weights; total receives the sum of the class weights over the labelled pixels.
segnas_status weigh_labels(const char *op, int64_t classes, int32_t ignore, const float *class_weights, const Workspace &work, double *total,
                           segnas_error *err) {
  SEGNAS_TRY(check_counted_labels(op, work.counts, classes, ignore, err));
  *total = 0;
  for (int v = 0; v < 256; v++) {
    bool counts = v != ignore && v < classes;
    work.loss_weight[v] = counts ? (class_weights ? class_weights[v] : 1.0f) : 0.0f;
    if (counts) *total += static_cast<double>(work.counts[v]) * static_cast<double>(work.loss_weight[v]);
  }
  return SEGNAS_OK;
}

struct CrossEntropy {
  Pixels low, gradient;
  int64_t h, w, bands;
  const float *logits;
  float *dlogits;  // or NULL
  const uint8_t *labels;
  float *map;  // or NULL
};

void run_bands(segnas_stream *s, const CrossEntropy &c, float gradient_scale, const Workspace &work) {
  const Pixels &low = c.low;
  s->context->pool->run(low.n * c.bands, [&](int64_t piece, int worker) {
    int64_t n = piece / c.bands, begin = piece % c.bands * kLossBandRows;
    float *dlogits = c.dlogits ? c.dlogits + n * low.h * low.w * c.gradient.pitch : nullptr;
    s->context->kernels->loss.cross_entropy(
        {c.logits + n * low.h * low.w * low.pitch, low.pitch, static_cast<int32_t>(low.channels), work.rows, work.columns, begin,
         std::min(low.h, begin + kLossBandRows), c.labels + n * c.h * c.w, work.loss_weight, gradient_scale, dlogits, c.gradient.pitch,
         work.carries + static_cast<size_t>(piece) * work.carry_floats, work.scratch + static_cast<size_t>(worker) * work.scratch_floats,
         work.losses + piece, c.map ? c.map + n * c.h * c.w : nullptr});
  });
}

// A band's first row also belongs to the band above it, which left its part in carry.
void add_carries(segnas_stream *s, const CrossEntropy &c, const Workspace &work) {
  const Pixels &low = c.low;
  s->context->pool->run(low.n, [&](int64_t n, int) {
    for (int64_t band = 1; band < c.bands; band++) {
      float *row = c.dlogits + (n * low.h + band * kLossBandRows) * low.w * c.gradient.pitch;
      const float *carry = work.carries + static_cast<size_t>(n * c.bands + band - 1) * work.carry_floats;
      for (int64_t i = 0; i < low.w; i++)
        for (int64_t k = 0; k < low.channels; k++) row[i * c.gradient.pitch + k] += carry[i * low.channels + k];
    }
  });
}

constexpr int64_t kDigitValues = 2048;  // of 11 bits

uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

// Adds the floats whose bits above the digit are `above` to counts, by their digit: `bits` of them from bit `shift` on.
void count_digits(const float *values, int64_t n, int shift, int bits, uint32_t above, int64_t *counts) {
  for (int64_t i = 0; i < n; i++) {
    const uint64_t value = bits_of(values[i]);
    if (value >> (shift + bits) == above) counts[(value >> shift) & ((1u << bits) - 1)]++;
  }
}

// The rank-th largest (1: the largest) of n floats that are not negative, as bits, which order as the floats do, a NaN above all. A digit after the other
// from histograms counts[threads][kDigitValues]; integers: the order does not matter.
uint32_t select_largest(segnas_stream *s, const float *values, int64_t n, int64_t rank, int64_t *counts) {
  const int threads = s->context->pool->threads();
  uint32_t found = 0;
  for (const auto &[shift, bits] : {std::pair{21, 11}, {10, 11}, {0, 10}}) {
    std::fill_n(counts, threads * kDigitValues, 0);
    s->context->pool->run((n + kLabelPiece - 1) / kLabelPiece, [&, shift = shift, bits = bits](int64_t piece, int worker) {
      count_digits(values + piece * kLabelPiece, std::min(kLabelPiece, n - piece * kLabelPiece), shift, bits, found, counts + worker * kDigitValues);
    });
    auto counted = [&](int64_t digit) {
      int64_t sum = 0;
      for (int worker = 0; worker < threads; worker++) sum += counts[worker * kDigitValues + digit];
      return sum;
    };
    int64_t digit = kDigitValues - 1;
    for (int64_t here = counted(digit); rank > here; here = counted(--digit)) rank -= here;
    found = found << bits | static_cast<uint32_t>(digit);
  }
  return found;
}

// The bits of the least loss that makes a pixel hard.
uint32_t hard_bound(segnas_stream *s, const CrossEntropy &c, int64_t labelled, float loss, int64_t least, int64_t *counts) {
  const uint32_t bound = bits_of(loss + 0.0f);  // no -0
  if (labelled <= least) return 0;
  // Losses of no label are 0, which moves nothing among the largest as long as no more are asked for than are labelled.
  return least == 0 ? bound : std::min(bound, select_largest(s, c.map, c.low.n * c.h * c.w, least, counts));
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_cross_entropy(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore,
                                              const segnas_tensor *class_weights, float scale, const segnas_tensor *result,
                                              const segnas_tensor *dlogits, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  CrossEntropy c;
  SEGNAS_TRY(check_logits(s, __func__, logits, &c.low, labels, &c.h, &c.w, err));
  SEGNAS_TRY(check_ignore(__func__, ignore, err));
  if (class_weights) SEGNAS_TRY(check_vector(s, __func__, "class_weights", class_weights, c.low.channels, err));
  SEGNAS_TRY(check_loss_result(s, __func__, result, err));
  if (dlogits) {
    SEGNAS_TRY(check_pixels(s, __func__, "dlogits", dlogits, &c.gradient, err));
    if (!same_shape(*logits, *dlogits)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: logits and dlogits differ in shape", __func__);
  }
  SEGNAS_DISPATCH(s, cross_entropy, err, logits, labels, ignore, class_weights, scale, result, dlogits);

  c.bands = (c.low.h + kLossBandRows - 1) / kLossBandRows;
  c.logits = f32(*logits);
  c.dlogits = dlogits ? f32(*dlogits) : nullptr;
  c.labels = u8(*labels);
  c.map = nullptr;
  Workspace work;
  if (!work.take(s, c.low, c.h, c.w, c.low.n * c.bands, dlogits != nullptr, 0)) return no_memory(__func__, err);
  count_labels(s, c.labels, c.low.n * c.h * c.w, work.counts);
  double total = 0;
  SEGNAS_TRY(weigh_labels(__func__, c.low.channels, ignore, class_weights ? f32(*class_weights) : nullptr, work, &total, err));
  run_bands(s, c, total == 0 ? 0.0f : static_cast<float>(static_cast<double>(scale) / total), work);
  if (dlogits) add_carries(s, c, work);
  double loss = 0;
  for (int64_t piece = 0; piece < c.low.n * c.bands; piece++) loss += work.losses[piece];
  f64(*result)[0] = total == 0 ? 0 : loss / total;
  f64(*result)[1] = total;
  return succeed(err);
}

SEGNAS_API segnas_status segnas_hard_pixels(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, float loss,
                                            int64_t least, const segnas_tensor *hard, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  CrossEntropy c;
  SEGNAS_TRY(check_logits(s, __func__, logits, &c.low, labels, &c.h, &c.w, err));
  SEGNAS_TRY(check_ignore(__func__, ignore, err));
  if (!(loss >= 0)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: loss is %g, should be at least 0", __func__, static_cast<double>(loss));
  if (least < 0) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: least is %lld, should be at least 0", __func__, static_cast<long long>(least));
  SEGNAS_TRY(check_labels(s, __func__, "hard", hard, err));
  if (!same_shape(*labels, *hard)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: labels and hard differ in shape", __func__);
  SEGNAS_DISPATCH(s, hard_pixels, err, logits, labels, ignore, loss, least, hard);

  const int64_t total = c.low.n * c.h * c.w;
  c.bands = (c.low.h + kLossBandRows - 1) / kLossBandRows;
  c.logits = f32(*logits);
  c.dlogits = nullptr;
  c.labels = u8(*labels);
  const size_t count_bytes = static_cast<size_t>(s->context->pool->threads() * kDigitValues) * sizeof(int64_t);
  Workspace work;
  if (!work.take(s, c.low, c.h, c.w, c.low.n * c.bands, false, count_bytes + static_cast<size_t>(total) * sizeof(float))) return no_memory(__func__, err);
  int64_t *counts = static_cast<int64_t *>(work.extra);
  c.map = reinterpret_cast<float *>(counts + s->context->pool->threads() * kDigitValues);
  count_labels(s, c.labels, total, work.counts);
  double labelled = 0;  // each weighs 1
  SEGNAS_TRY(weigh_labels(__func__, c.low.channels, ignore, nullptr, work, &labelled, err));
  run_bands(s, c, 0, work);
  const uint32_t bound = hard_bound(s, c, static_cast<int64_t>(labelled), loss, least, counts);
  s->context->pool->run((total + kLabelPiece - 1) / kLabelPiece, [&](int64_t piece, int) {
    for (int64_t i = piece * kLabelPiece; i < std::min(total, (piece + 1) * kLabelPiece); i++)
      u8(*hard)[i] = bits_of(c.map[i]) >= bound ? c.labels[i] : static_cast<uint8_t>(ignore);
  });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_argmax(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Pixels low;
  int64_t h = 0, w = 0;
  SEGNAS_TRY(check_logits(s, __func__, logits, &low, labels, &h, &w, err));
  SEGNAS_DISPATCH(s, argmax, err, logits, labels);

  int32_t classes = static_cast<int32_t>(low.channels);
  size_t row_bytes = axis_bytes(low.h, h), column_bytes = axis_bytes(low.w, w);
  size_t worker_bytes = cache_lines(static_cast<size_t>(argmax_scratch_floats(classes)) * sizeof(float));
  char *memory = static_cast<char *>(s->scratch.reserve(row_bytes + column_bytes + worker_bytes * static_cast<size_t>(s->context->pool->threads())));
  if (!memory) return no_memory(__func__, err);
  Axis rows = make_axis(false, low.h, h, memory), columns = make_axis(false, low.w, w, memory + row_bytes);
  // Output rows of a band: those of kLossBandRows source rows, but enough bands for the threads.
  int64_t band = std::max<int64_t>(1, std::min(kLossBandRows * h / low.h, (h + 7) / 8)), bands = (h + band - 1) / band;
  s->context->pool->run(low.n * bands, [&](int64_t piece, int worker) {
    int64_t n = piece / bands, begin = piece % bands * band;
    s->context->kernels->loss.argmax({f32(*logits) + n * low.h * low.w * low.pitch, low.pitch, classes, rows, columns, begin,
                                      std::min(h, begin + band), u8(*labels) + n * h * w,
                                      reinterpret_cast<float *>(memory + row_bytes + column_bytes + static_cast<size_t>(worker) * worker_bytes)});
  });
  return succeed(err);
}

}  // extern "C"

namespace segnas {
namespace {

// Which row and column of the private counts a label value belongs to: its own, one for ignored truths, one for values out of range.
struct Offsets {
  int32_t truth[256], predicted[256];

  Offsets(int32_t classes, int32_t ignore) {
    for (int32_t v = 0; v < 256; v++) {
      truth[v] = (v == ignore ? classes + 1 : std::min(v, classes)) * (classes + 1);
      predicted[v] = std::min(v, classes);
    }
  }
};

// Private counts: [classes+2][classes+1], four of them so that a run of equal pairs does not wait for its own last store.
constexpr int64_t kCountParts = 4;
int64_t private_counts(int32_t classes) { return int64_t{classes + 2} * (classes + 1); }

void count_pairs(const uint8_t *truth, const uint8_t *predicted, int64_t n, const Offsets &offsets, int64_t plane, int64_t *counts) {
  int64_t i = 0;
  for (; i + kCountParts <= n; i += kCountParts)
    for (int64_t j = 0; j < kCountParts; j++) counts[j * plane + offsets.truth[truth[i + j]] + offsets.predicted[predicted[i + j]]]++;
  for (; i < n; i++) counts[offsets.truth[truth[i]] + offsets.predicted[predicted[i]]]++;
}

// A view of K x K counts; classes receives K.
segnas_status check_counts(const segnas_stream *s, const char *op, const segnas_tensor *counts, int32_t *classes, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, "counts", counts, SEGNAS_I64, err));
  if (counts->rank != 2 || counts->shape[0] != counts->shape[1] || counts->shape[0] > 256)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: counts should be [K,K] with K at most 256", op);
  if (counts->shape[0] > 1 && (counts->stride[1] != 1 || counts->stride[0] < counts->shape[1]))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: counts: the column stride must be 1 and rows must not overlap", op);
  *classes = static_cast<int32_t>(counts->shape[0]);
  return SEGNAS_OK;
}

}  // namespace
}  // namespace segnas

extern "C" {

SEGNAS_API segnas_status segnas_confusion(segnas_stream *s, const segnas_tensor *truth, const segnas_tensor *predicted, int32_t ignore,
                                          const segnas_tensor *counts, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  int32_t classes = 0;
  SEGNAS_TRY(check_labels(s, __func__, "truth", truth, err));
  SEGNAS_TRY(check_labels(s, __func__, "predicted", predicted, err));
  if (!same_shape(*truth, *predicted)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: truth and predicted differ in shape", __func__);
  SEGNAS_TRY(check_counts(s, __func__, counts, &classes, err));
  SEGNAS_TRY(check_ignore(__func__, ignore, err));
  SEGNAS_DISPATCH(s, confusion, err, truth, predicted, ignore, counts);

  int64_t n = elements(*truth), plane = private_counts(classes), threads = s->context->pool->threads();
  int64_t worker_counts = static_cast<int64_t>(cache_lines(static_cast<size_t>(kCountParts * plane) * sizeof(int64_t)) / sizeof(int64_t));
  auto *partial = static_cast<int64_t *>(s->scratch.reserve(static_cast<size_t>(threads * worker_counts) * sizeof(int64_t)));
  if (!partial) return no_memory(__func__, err);
  std::fill_n(partial, threads * worker_counts, 0);
  const Offsets offsets(classes, ignore);
  s->context->pool->run((n + kLabelPiece - 1) / kLabelPiece, [&](int64_t piece, int worker) {
    int64_t begin = piece * kLabelPiece;
    count_pairs(u8(*truth) + begin, u8(*predicted) + begin, std::min(kLabelPiece, n - begin), offsets, plane, partial + worker * worker_counts);
  });
  auto counted = [&](int64_t at) {
    int64_t sum = 0;
    for (int64_t part = 0; part < threads * kCountParts; part++) sum += partial[part / kCountParts * worker_counts + part % kCountParts * plane + at];
    return sum;
  };
  for (int64_t t = 0; t <= classes; t++)
    for (int64_t p = 0; p <= classes; p++)
      if ((t == classes || p == classes) && counted(t * (classes + 1) + p) > 0)
        return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s holds a value of %d or more that is not ignored", __func__,
                    t == classes ? "truth" : "predicted", classes);
  for (int64_t t = 0; t < classes; t++)
    for (int64_t p = 0; p < classes; p++) i64(*counts)[t * counts->stride[0] + p] += counted(t * (classes + 1) + p);
  return succeed(err);
}

}  // extern "C"
