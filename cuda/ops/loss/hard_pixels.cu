// hard_pixels: the labels of the pixels whose cross-entropy is at least a bound, of the bilinearly enlarged logits; the others become `ignore`. Kernels: the
// pixels' losses; how many are labelled; three times a digit of the `least`-th largest loss, from histograms and a choice; labels.
//
// Losses: a thread an output, which goes over its classes twice, for the maximum and for the sum, and interpolates four source logits each time: the threads of
// a warp lie between few source pixels, so all but the first loads hit the first-level cache. 20 operations a class, two exponentials' worth less than keeping
// them would take in registers: 40e6 x 20 for 1024x2048x19, 27 us of an H100. Bytes are 4 a pixel written once and read four times from L2, 10 us.
// Choice: losses are not negative, so their bits order as integers do, and a NaN above all. Those of no label are 0, which moves nothing among the largest as
// long as no more are asked for than are labelled. A histogram counts those with the digits that were found before; integers: the order of additions, and so
// shared_add, changes nothing.
#include <cstring>

#include "../../plugin/interpolation.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int64_t kMostBlocks = 2048, kMostPieces = 128;
constexpr int kDigits = 3, kDigitBits = 11, kValues = 1 << kDigitBits, kOwnValues = kValues / kThreads;
constexpr int kShifts[kDigits] = {21, 10, 0};  // the last digit has 10 bits
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718f;

// What a block, or all of them, found among the labels. wrong: the largest that is no class, -1 when there is none.
struct alignas(16) Found {
  int64_t labelled;
  int32_t wrong, unused;
};

// How far the choice is: digits found so far, and of how many losses that share them the smallest is wanted.
struct alignas(16) Choice {
  Found found;
  int64_t rank;
  uint32_t bits;
  int32_t unused;
};

struct LossArgs {
  const float *logits;
  int64_t pitch;
  int classes, ignore;
  Axis rows, columns;
  const uint8_t *labels;
  int64_t chunks, items;  // blocks' work: chunks of a row, in all
  float *losses;
  Found *found;  // [blocks]
};

// An output's four source pixels, and its weights: along the row for logits in units of ln 2.
struct Corners {
  const float *top_left, *top_right, *bottom_left, *bottom_right;
  float w0, w1, v0, v1;

  // Source pixels of weight 0 take no part.
  SEGNAS_DEVICE float logit(int k) const {
    const float top = w1 == 0 ? w0 * top_left[k] : fused_multiply_add(w1, top_right[k], w0 * top_left[k]);
    if (v1 == 0) return top;
    const float bottom = w1 == 0 ? w0 * bottom_left[k] : fused_multiply_add(w1, bottom_right[k], w0 * bottom_left[k]);
    return fused_multiply_add(v1, bottom, v0 * top);
  }
};

SEGNAS_DEVICE Corners corners_of(const LossArgs &a, int64_t picture, int64_t row, int64_t column) {
  const Tap down = tap_of(a.rows, row), across = tap_of(a.columns, column);
  const float *top = a.logits + ((picture * a.rows.in + down.lo) * a.columns.in + across.lo) * a.pitch;
  const float *bottom = down.w1 == 0 ? top : top + a.columns.in * a.pitch;
  const int64_t right = across.w1 == 0 ? 0 : a.pitch;
  return {top, top + right, bottom, bottom + right, across.w0 * kLog2E, across.w1 * kLog2E, down.w0, down.w1};
}

// -ln softmax(z)[label]: not negative, or NaN.
SEGNAS_DEVICE float loss_of(const Corners &c, int classes, int label) {
  float most = -__builtin_inff(), sum = 0, own = 0;
  for (int k = 0; k < classes; k++) most = larger(most, c.logit(k));
  for (int k = 0; k < classes; k++) {
    const float z = c.logit(k);
    sum += exponential2(z - most);
    if (k == label) own = z;
  }
  return relu_of(fused_multiply_add(most - own, kLn2, logarithm(sum))) + 0.0f;  // no -0
}

// The block's, in thread 0.
SEGNAS_DEVICE Found block_found(Found own, Shared<Found> warps) {
  own.labelled = warp_sum(own.labelled);
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const int other = shuffle_xor(own.wrong, mask);
    own.wrong = other > own.wrong ? other : own.wrong;
  }
  if (lane() == 0) warps[warp()] = own;
  barrier();
  if (thread() != 0) return own;
  for (int w = 1; w < kWarps; w++) {
    const Found other = warps[w];
    own.labelled += other.labelled;
    own.wrong = other.wrong > own.wrong ? other.wrong : own.wrong;
  }
  return own;
}

SEGNAS_KERNEL(kThreads) pixel_losses(const LossArgs a) {
  Found own = {0, -1, 0};
  for (int64_t item = block_x(); item < a.items; item += blocks_x()) {
    const int64_t line = item / a.chunks, column = (item - line * a.chunks) * kThreads + thread(), pixel = line * a.columns.out + column;
    if (column >= a.columns.out) continue;
    const int label = a.labels[pixel];
    const bool counts = label != a.ignore && label < a.classes;
    if (label != a.ignore && label >= a.classes && label > own.wrong) own.wrong = label;
    const int64_t picture = line / a.rows.out;
    a.losses[pixel] = counts ? loss_of(corners_of(a, picture, line - picture * a.rows.out, column), a.classes, label) : 0.0f;
    own.labelled += counts;
  }
  own = block_found(own, shared_memory<Found>(0));
  if (thread() == 0) a.found[block_x()] = own;
}

// One block.
SEGNAS_KERNEL(kThreads) begin_choice(const Found *found, int64_t blocks, int64_t least, Choice *choice) {
  Found own = {0, -1, 0};
  for (int64_t i = thread(); i < blocks; i += kThreads) {
    own.labelled += found[i].labelled;
    own.wrong = found[i].wrong > own.wrong ? found[i].wrong : own.wrong;
  }
  own = block_found(own, shared_memory<Found>(0));
  if (thread() == 0) *choice = {own, least < own.labelled ? least : own.labelled, 0, 0};
}

// counts [pieces][kValues]: of the losses whose bits above the digit are the choice's, by their digit.
SEGNAS_KERNEL(kThreads) count_digits(const float *losses, int64_t pixels, int shift, int bits, const Choice *choice, int *counts) {
  const Shared<int> own = shared_memory<int>(0);
  for (int v = thread(); v < kValues; v += kThreads) own[v] = 0;
  const uint64_t wanted = choice->bits;
  barrier();
  for (int64_t i = static_cast<int64_t>(block_x()) * kThreads + thread(); i < pixels; i += static_cast<int64_t>(blocks_x()) * kThreads) {
    const uint64_t loss = bits_of(losses[i]);
    if (loss >> (shift + bits) == wanted) shared_add(own, static_cast<int>(loss >> shift) & ((1 << bits) - 1), 1);
  }
  barrier();
  for (int v = thread(); v < kValues; v += kThreads) counts[static_cast<int64_t>(block_x()) * kValues + v] = own[v];
}

// One block; a thread has kOwnValues values of the digit.
SEGNAS_KERNEL(kThreads) choose_digit(const int *counts, int64_t pieces, int bits, Choice *choice) {
  int64_t own[kOwnValues] = {}, all = 0;
  for (int64_t piece = 0; piece < pieces; piece++)
    for (int i = 0; i < kOwnValues; i++) own[i] += counts[piece * kValues + thread() * kOwnValues + i];
  for (int i = 0; i < kOwnValues; i++) all += own[i];
  const Shared<int64_t> sums = shared_memory<int64_t>(0);
  sums[thread()] = all;
  const int64_t rank = choice->rank;
  const uint32_t found = choice->bits;
  barrier();
  int64_t above = 0;
  for (int t = thread() + 1; t < kThreads; t++) above += sums[t];
  // One thread has the value, or none where nothing is labelled.
  for (int i = kOwnValues - 1; i >= 0; i--) {
    if (above < rank && rank <= above + own[i]) {
      choice->rank = rank - above;
      choice->bits = found << bits | static_cast<uint32_t>(thread() * kOwnValues + i);
    }
    above += own[i];
  }
}

// hard may be labels. Where a label was no class, nothing is written.
SEGNAS_KERNEL(kThreads) keep_hard(const float *losses, const uint8_t *labels, int64_t pixels, int ignore, uint32_t bound, int64_t least, const Choice *choice,
                                  uint8_t *hard) {
  const int64_t i = static_cast<int64_t>(block_x()) * kThreads + thread();
  if (i >= pixels) return;
  const Choice c = *choice;
  if (c.found.wrong >= 0) return;
  const uint32_t from = c.found.labelled <= least ? 0 : least > 0 && c.bits < bound ? c.bits : bound;
  const uint8_t label = labels[i];
  hard[i] = bits_of(losses[i]) >= from ? label : static_cast<uint8_t>(ignore);
}

// The parts of the scratch.
struct Parts {
  Choice *choice;
  Found *found;   // [blocks]
  int *counts;    // [pieces][kValues]
  float *losses;  // [pixels]

  segnas_status take(Stream *s, int64_t blocks, int64_t pieces, int64_t pixels, segnas_error *err) {
    const size_t found_bytes = static_cast<size_t>(blocks) * sizeof(Found), count_bytes = static_cast<size_t>(pieces) * kValues * sizeof(int);
    void *memory = nullptr;
    SEGNAS_GPU_TRY(s->reserve(sizeof(Choice) + found_bytes + count_bytes + static_cast<size_t>(pixels) * sizeof(float), &memory, err));
    choice = static_cast<Choice *>(memory);
    found = reinterpret_cast<Found *>(choice + 1);
    counts = reinterpret_cast<int *>(found + blocks);
    losses = reinterpret_cast<float *>(counts + pieces * kValues);
    return SEGNAS_OK;
  }
};

segnas_status choose(Stream *s, const Parts &parts, int64_t blocks, int64_t pieces, int64_t pixels, int64_t least, segnas_error *err) {
  SEGNAS_GPU_TRY(launch("hard_pixels", s->raw, err, {1, 1, 1, kThreads, kWarps * sizeof(Found)}, begin_choice, parts.found, blocks, least, parts.choice));
  for (int digit = 0; digit < kDigits; digit++) {
    const int bits = digit + 1 < kDigits ? kDigitBits : kDigitBits - 1;
    SEGNAS_GPU_TRY(launch("hard_pixels", s->raw, err, {pieces, 1, 1, kThreads, kValues * sizeof(int)}, count_digits, parts.losses, pixels, kShifts[digit], bits,
                          parts.choice, parts.counts));
    SEGNAS_GPU_TRY(
        launch("hard_pixels", s->raw, err, {1, 1, 1, kThreads, kThreads * sizeof(int64_t)}, choose_digit, parts.counts, pieces, bits, parts.choice));
  }
  return SEGNAS_OK;
}

}  // namespace

segnas_status hard_pixels(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, float loss, int64_t least,
                          const segnas_tensor *hard, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int classes = static_cast<int>(channels_of(*logits));
  LossArgs a = {f32(*logits), pitch_of(*logits), classes, ignore, axis_of(logits->shape[1], labels->shape[1], 0), axis_of(logits->shape[2], labels->shape[2], 0),
                u8(*labels), 0, 0, nullptr, nullptr};
  a.chunks = ceil_div<int64_t>(a.columns.out, kThreads);
  a.items = labels->shape[0] * a.rows.out * a.chunks;
  const int64_t pixels = labels->shape[0] * a.rows.out * a.columns.out, blocks = a.items < kMostBlocks ? a.items : kMostBlocks;
  const int64_t shares = ceil_div<int64_t>(pixels, 4 * kThreads), pieces = shares < kMostPieces ? shares : kMostPieces;
  Parts parts;
  SEGNAS_GPU_TRY(parts.take(s, blocks, pieces, pixels, err));
  a.losses = parts.losses;
  a.found = parts.found;
  SEGNAS_GPU_TRY(launch("hard_pixels", s->raw, err, {blocks, 1, 1, kThreads, kWarps * sizeof(Found)}, pixel_losses, a));
  SEGNAS_GPU_TRY(choose(s, parts, blocks, pieces, pixels, least, err));
  uint32_t bound;
  loss += 0.0f;  // no -0
  std::memcpy(&bound, &loss, sizeof bound);
  SEGNAS_GPU_TRY(launch("hard_pixels", s->raw, err, {ceil_div<int64_t>(pixels, kThreads), 1, 1, kThreads, 0}, keep_hard, parts.losses, a.labels, pixels, ignore,
                        bound, least, parts.choice, u8(*hard)));
  // The one word that the host waits for, behind all the work.
  Found found = {};
  SEGNAS_GPU_TRY(copy_to_host(s->raw, &found, &parts.choice->found, sizeof found, err));
  if (found.wrong < 0) return succeed(err);
  return fail(err, SEGNAS_INVALID_ARGUMENT, "hard_pixels: labels holds %d, should be below %d or %d (ignored)", found.wrong, classes, ignore);
}

}  // namespace segnas::gpu
