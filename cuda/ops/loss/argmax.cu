// argmax: the fused head. Labels of full size from logits of low resolution: a logit is interpolated along the row, then down the column, each
// product and sum rounded on its own, and compared at once, in ascending order of classes: the CPU's labels. Full-size logits never exist.
//
// Tile: the outputs between two source rows in kColumns columns. A thread makes kRows x 4 of them: a class's logit is interpolated along the
// row once for all kRows, and the four labels of a row leave as one word. The two source rows under the tile lie in shared memory,
// [pixel][class] with an odd pitch, top and bottom side by side: read once from memory (twice from L2, as the top and as the bottom row),
// coalesced over classes, and without bank conflicts afterwards. Weights of 0 are read from a pixel of zeros beside them, so that 0 times
// infinity does not arise and nothing is asked in the loop. Where the pixels under a tile are too many (reducing), each column has its own two,
// and classes are staged in parts.
// Operations: per output and class 2 products, 1 sum, 1 comparison, 2 selections; 6 along the row for kRows outputs. For 1024x2048x19 from
// 128x256: 40e6 x 6.75, on an H100 (132 x 128 lanes, 1.755 GHz) a floor of 9.1 us; sm_90a's loop has 244 instructions for 32 outputs, 7.6 each.
// Bytes are 2.1 MB of labels and 2.5 MB of logits, 1.4 us. So what a tile saves is instructions: one column to a thread would take 4 loads for
// 8 outputs; labels packed as bytes while they are found save 24 registers and cost an instruction an output and class.
#include "../../plugin/interpolation.h"
#include "../../plugin/ops.h"
#include "labels.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 64;
constexpr int kWide = 4;  // columns of a thread: labels of a word
constexpr int kColumns = kThreads * kWide;
constexpr size_t kStagedBytes = 40 << 10;

struct alignas(8) Pair {
  float top, bottom;
};

struct ArgmaxArgs {
  const float *logits;
  int64_t pitch;
  int classes;
  Axis rows, columns;
  uint8_t *labels;
  int64_t groups, tiles;  // of rows and of columns, per picture
  bool between_rows;      // groups are the outputs between two source rows, where rows are enlarged; else single output rows
  bool shared_pixels;     // pixels are staged once, where columns are enlarged; else two for each column
  int slots;              // staged pixels; one of zeros follows
  int part, part_pitch;   // classes staged at a time, and their odd distance from pixel to pixel
};

// A thread's four columns: where their source pixels are staged, and their weights.
struct Columns {
  int left[kWide], right[kWide];
  float w0[kWide], w1[kWide];
};

SEGNAS_DEVICE Columns columns_of(const ArgmaxArgs &a, int64_t begin, int64_t first_pixel, Shared<int> pixels) {
  Columns c;
  for (int i = 0; i < kWide; i++) {
    const int local = thread() * kWide + i;
    const int64_t o = begin + local;
    const Tap tap = tap_of(a.columns, o < a.columns.out ? o : a.columns.out - 1);
    const bool two = tap.w1 != 0;
    const int left = a.shared_pixels ? static_cast<int>(tap.lo - first_pixel) : 2 * local;
    c.left[i] = left * a.part_pitch;
    c.right[i] = (two ? left + 1 : a.slots) * a.part_pitch;
    c.w0[i] = tap.w0;
    c.w1[i] = tap.w1;
    if (a.shared_pixels) continue;
    pixels[2 * local] = static_cast<int>(tap.lo);
    pixels[2 * local + 1] = static_cast<int>(tap.lo + two);
  }
  return c;
}

// Classes [first, first + count) of the pixels under the tile. bottom NULL: outputs that read one row alone.
SEGNAS_DEVICE void stage(const ArgmaxArgs &a, const float *top, const float *bottom, int64_t first_pixel, Shared<int> pixels, int first, int count,
                         Shared<Pair> staged) {
  for (int e = thread(); e < (a.slots + 1) * count; e += kThreads) {
    const int slot = e / count, k = e - slot * count;
    const int64_t pixel = slot == a.slots ? a.columns.in : a.shared_pixels ? first_pixel + slot : static_cast<int64_t>(pixels[slot]);
    Pair pair = {0, 0};
    if (pixel < a.columns.in) {
      pair.top = top[pixel * a.pitch + first + k];
      if (bottom) pair.bottom = bottom[pixel * a.pitch + first + k];
    }
    staged[slot * a.part_pitch + k] = pair;
  }
}

template <int kRows>
struct Best {
  float logit[kRows][kWide];
  int label[kRows][kWide];
};

template <int kRows>
SEGNAS_DEVICE void compare_class(const Columns &c, const float (&v0)[kRows], const float (&v1)[kRows], Shared<Pair> staged, int label, Best<kRows> *best) {
  for (int i = 0; i < kWide; i++) {
    const Pair left = staged[c.left[i]], right = staged[c.right[i]];
    const float top = c.w0[i] * left.top + c.w1[i] * right.top, bottom = c.w0[i] * left.bottom + c.w1[i] * right.bottom;
    for (int r = 0; r < kRows; r++) {
      const float z = v0[r] * top + v1[r] * bottom;
      if (z > best->logit[r][i]) {
        best->logit[r][i] = z;
        best->label[r][i] = label;
      }
    }
  }
}

// Labels of the columns from `at` on, of which `count` are inside the picture.
SEGNAS_DEVICE void store_labels(uint8_t *at, int64_t count, const int (&labels)[kWide]) {
  if (count >= kWide && reinterpret_cast<uintptr_t>(at) % kWide == 0) {
    *reinterpret_cast<uint32_t *>(at) = static_cast<uint32_t>(labels[0] | labels[1] << 8 | labels[2] << 16 | labels[3] << 24);
    return;
  }
  for (int i = 0; i < kWide; i++)
    if (i < count) at[i] = static_cast<uint8_t>(labels[i]);
}

// Where a block is.
struct Place {
  int64_t picture, group, column;  // the first column
};

// Output rows [o, o + count) between source rows low and low + 1, or, when !two, of row low alone.
template <int kRows>
SEGNAS_DEVICE void label_rows(const ArgmaxArgs &a, const Place &p, const Columns &c, int64_t first_pixel, Shared<int> pixels, Shared<Pair> staged,
                              int64_t low, bool two, int64_t o, int64_t count) {
  const float *top = a.logits + (p.picture * a.rows.in + low) * a.columns.in * a.pitch;
  float v0[kRows], v1[kRows];
  Best<kRows> best;
  for (int r = 0; r < kRows; r++) {
    const int32_t rest = rest_of(a.rows, r < count ? o + r : o, low);
    v0[r] = first_weight(a.rows, rest);
    v1[r] = second_weight(a.rows, rest);
    for (int i = 0; i < kWide; i++) {
      best.logit[r][i] = -__builtin_inff();
      best.label[r][i] = 0;
    }
  }
  for (int first = 0; first < a.classes; first += a.part) {
    const int part = first + a.part < a.classes ? a.part : a.classes - first;
    barrier();  // everybody is done with what was staged before
    stage(a, top, two ? top + a.columns.in * a.pitch : nullptr, first_pixel, pixels, first, part, staged);
    barrier();
    for (int k = 0; k < part; k++) compare_class(c, v0, v1, staged + k, first + k, &best);
  }
  const int64_t column = p.column + thread() * kWide;
  for (int r = 0; r < kRows; r++)
    if (r < count) store_labels(a.labels + (p.picture * a.rows.out + o + r) * a.columns.out + column, a.columns.out - column, best.label[r]);
}

template <int kRows>
SEGNAS_KERNEL(kThreads, 6) argmax_tile(const ArgmaxArgs a) {
  const int64_t row = block_x() / a.tiles, picture = row / a.groups;
  const Place p = {picture, row - picture * a.groups, (block_x() - row * a.tiles) * kColumns};
  const int64_t low = a.between_rows ? p.group : source_of(a.rows, p.group);
  int64_t o = a.between_rows ? outputs_from(a.rows, low) : p.group;
  const int64_t end = a.between_rows ? outputs_from(a.rows, low + 1) : o + 1, first_pixel = source_of(a.columns, p.column);
  const Shared<Pair> staged = shared_memory<Pair>(0);
  const Shared<int> pixels = (staged + (a.slots + 1) * a.part_pitch).template as<int>();
  const Columns c = columns_of(a, p.column, first_pixel, pixels);
  while (o < end) {
    // Outputs that read one row alone come first: those of a run have the same number of rows.
    const bool two = rest_of(a.rows, o, low) != 0;
    int64_t count = 1;
    while (count < kRows && o + count < end && (rest_of(a.rows, o + count, low) != 0) == two) count++;
    label_rows<kRows>(a, p, c, first_pixel, pixels, staged, low, two, o, count);
    o += count;
  }
}

}  // namespace

segnas_status label_pixels(const char *name, Stream *s, const Logits &logits, uint8_t *labels, int64_t h, int64_t w, segnas_error *err) {
  ArgmaxArgs a = {logits.at, logits.pitch, static_cast<int>(logits.classes), axis_of(logits.h, h, 0), axis_of(logits.w, w, 0),
                  labels, 0, 0, false, false, 0, 0, 0};
  a.between_rows = a.rows.in <= a.rows.out;
  a.shared_pixels = a.columns.in <= a.columns.out;
  a.groups = a.between_rows ? a.rows.in : a.rows.out;
  a.tiles = ceil_div<int64_t>(a.columns.out, kColumns);
  const int64_t span = a.shared_pixels ? ceil_div((kColumns - 1) * a.columns.in, a.columns.out) + 2 : 2 * kColumns;
  a.slots = static_cast<int>(a.shared_pixels && span > a.columns.in ? a.columns.in : span);
  const int most = static_cast<int>(kStagedBytes / sizeof(Pair)) / (a.slots + 1) - 1;
  a.part = a.classes < most ? a.classes : most;
  a.part_pitch = a.part | 1;
  Grid grid;
  grid.x = logits.pictures * a.groups * a.tiles;
  grid.threads = kThreads;
  grid.shared_bytes = static_cast<size_t>((a.slots + 1) * a.part_pitch) * sizeof(Pair) + (a.shared_pixels ? 0 : 2 * kColumns * sizeof(int));
  const int64_t rows = a.between_rows ? ceil_div(a.rows.out, a.rows.in) : 1;
  const auto kernel = rows <= 1 ? argmax_tile<1> : rows <= 2 ? argmax_tile<2> : rows <= 4 ? argmax_tile<4> : argmax_tile<8>;
  return launch(name, s->raw, err, grid, kernel, a);
}

segnas_status argmax(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, segnas_error *err) {
  Stream *s = nullptr;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const Rows low = rows_of(*logits);
  const Logits l = {low.at, low.pitch, logits->shape[0], logits->shape[1], logits->shape[2], channels_of(*logits)};
  SEGNAS_GPU_TRY(label_pixels("argmax", s, l, u8(*labels), labels->shape[1], labels->shape[2], err));
  return succeed(err);
}

}  // namespace segnas::gpu
