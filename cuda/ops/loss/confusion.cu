// confusion: counts[truth, predicted] += 1 over two dense maps of labels, K up to 256. Two kernels: pieces of the pixels count into shared
// memory, then each count's pieces are added up. They are integers: the order of additions, and so shared_add, changes nothing.
//
// Piece: a block takes kPixels-sized shares of the pixels in turn, a thread kRun neighbouring pixels at once, as two 16-byte loads where both
// maps are aligned alike. It keeps the pair that it last saw and how often in registers and adds to shared memory when the pair changes:
// labels come in runs, and the same pair in all threads of a warp would otherwise be 32 additions to one address for every pixel.
// Counts that shared memory has no room for (K > 110) are split by rows of the truth over grid.y, each of which reads the pixels again.
// Bytes: 2 a pixel, 4.2 MB for 1024x2048, 1.3 us of an H100; operations about 8 a pixel, 0.6 us; the pieces' counts, at most kMostPieces K K
// ints, 0.4 MB at 19 classes, are written and read once.
#include "../../plugin/op.h"
#include "../../plugin/ops.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256, kRun = 16;
constexpr int64_t kPixels = int64_t{kThreads} * kRun;
constexpr int64_t kMostPieces = 256;
// Counts in shared memory: 48 KiB, two of them for values that are no class.
constexpr int kMostCells = 12 * 1024 - 2;

struct PieceArgs {
  const uint8_t *truth, *predicted;
  int64_t pixels;
  int classes, ignore;
  int rows;      // of the truth, in a block
  int *partial;  // [pieces][classes * classes + 2]: counts, then how many truths and how many predictions are no class
};

struct alignas(16) Labels {
  uint8_t at[kRun];
};

// kRun labels from `pixel` on; those past the end are not looked at.
template <bool kAligned>
SEGNAS_DEVICE Labels load_labels(const uint8_t *labels, int64_t pixel, int64_t pixels) {
  Labels v = {};
  if (kAligned && pixel + kRun <= pixels) {
    v = *reinterpret_cast<const Labels *>(labels + pixel);
  } else {
    for (int i = 0; i < kRun; i++)
      if (pixel + i < pixels) v.at[i] = labels[pixel + i];
  }
  return v;
}

// The cell of a pair in a block's counts of truths [first, first + rows); -1: it is not this block's.
SEGNAS_DEVICE int cell_of(const PieceArgs &a, int first, int truth, int predicted) {
  if (truth == a.ignore) return -1;
  const int cells = a.rows * a.classes;
  if (truth >= a.classes) return cells;
  if (predicted >= a.classes) return cells + 1;
  const int row = truth - first;
  return row < 0 || row >= a.rows ? -1 : row * a.classes + predicted;
}

template <bool kAligned>
SEGNAS_KERNEL(kThreads) count_pairs(const PieceArgs a) {
  const Shared<int> cells = shared_memory<int>(0);
  const int first = block_y() * a.rows, count = a.rows * a.classes + 2;
  for (int c = thread(); c < count; c += kThreads) cells[c] = 0;
  barrier();
  for (int64_t begin = block_x() * kPixels; begin < a.pixels; begin += blocks_x() * kPixels) {
    const int64_t pixel = begin + thread() * kRun;
    if (pixel >= a.pixels) break;
    const Labels truth = load_labels<kAligned>(a.truth, pixel, a.pixels), predicted = load_labels<kAligned>(a.predicted, pixel, a.pixels);
    int held = -1, times = 0;
    for (int i = 0; i < kRun; i++) {
      const int cell = pixel + i < a.pixels ? cell_of(a, first, truth.at[i], predicted.at[i]) : -1;
      if (cell != held) {
        if (held >= 0) shared_add(cells, held, times);
        held = cell;
        times = 0;
      }
      times++;
    }
    if (held >= 0) shared_add(cells, held, times);
  }
  barrier();
  const int all = a.classes * a.classes, offset = first * a.classes, mine = all - offset < count - 2 ? all - offset : count - 2;
  int *out = a.partial + static_cast<int64_t>(block_x()) * (all + 2);
  for (int c = thread(); c < mine; c += kThreads) out[offset + c] = cells[c];
  if (block_y() == 0 && thread() < 2) out[all + thread()] = cells[count - 2 + thread()];
}

struct Wrong {
  int32_t truth, predicted;
};

// A thread a count. Where a value was no class, counts stay as they are.
SEGNAS_KERNEL(kThreads) add_pairs(const int *partial, int64_t pieces, int classes, int64_t *counts, int64_t stride, Wrong *wrong) {
  const int all = classes * classes, cell = block_x() * kThreads + thread();
  Wrong found = {0, 0};
  int64_t sum = 0;
  for (int64_t p = 0; p < pieces; p++) {
    const int *piece = partial + p * (all + 2);
    found.truth |= piece[all];
    found.predicted |= piece[all + 1];
    if (cell < all) sum += piece[cell];
  }
  if (cell == 0) *wrong = found;
  if (cell < all && found.truth == 0 && found.predicted == 0) counts[cell / classes * stride + cell % classes] += sum;
}

}  // namespace

segnas_status confusion(void *stream, const segnas_tensor *truth, const segnas_tensor *predicted, int32_t ignore, const segnas_tensor *counts,
                        segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const int classes = static_cast<int>(counts->shape[0]), all = classes * classes;
  PieceArgs a = {u8(*truth), u8(*predicted), 1, classes, ignore, 0, nullptr};
  for (int d = 0; d < truth->rank; d++) a.pixels *= truth->shape[d];
  a.rows = classes < kMostCells / classes ? classes : kMostCells / classes;
  const int64_t shares = ceil_div(a.pixels, kPixels), pieces = shares < kMostPieces ? shares : kMostPieces;
  const size_t partial_bytes = static_cast<size_t>(pieces * (all + 2)) * sizeof(int);
  void *scratch = nullptr;
  SEGNAS_GPU_TRY(s->reserve(sizeof(Wrong) + partial_bytes, &scratch, err));
  Wrong *wrong = static_cast<Wrong *>(scratch), found = {};
  a.partial = reinterpret_cast<int *>(wrong + 1);
  const Grid grid = {pieces, ceil_div(classes, a.rows), 1, kThreads, static_cast<size_t>(a.rows * classes + 2) * sizeof(int)};
  const bool aligned = reinterpret_cast<uintptr_t>(a.truth) % kRun == 0 && reinterpret_cast<uintptr_t>(a.predicted) % kRun == 0;
  SEGNAS_GPU_TRY(launch("confusion", s->raw, err, grid, aligned ? count_pairs<true> : count_pairs<false>, a));
  const Grid sums = {ceil_div(all, kThreads), 1, 1, kThreads, 0};
  SEGNAS_GPU_TRY(launch("confusion", s->raw, err, sums, add_pairs, a.partial, pieces, classes, i64(*counts), counts->shape[0] > 1 ? counts->stride[0] : 1,
                        wrong));
  SEGNAS_GPU_TRY(copy_to_host(s->raw, &found, wrong, sizeof found, err));
  if (found.truth == 0 && found.predicted == 0) return succeed(err);
  return fail(err, SEGNAS_INVALID_ARGUMENT, "confusion: %s holds a value of %d or more that is not ignored", found.truth != 0 ? "truth" : "predicted",
              classes);
}

}  // namespace segnas::gpu
