// session_integer_depthwise: y = kept(m (depthwise x + start) + b), bytes in and out.
//
// A thread makes four channels, a word, of kColumns outputs of a row. It reads the words of four input rows under them, turns their 4 x 4 bytes so that a word holds a
// channel's four rows (8 permutations), and has four taps of a column in one dot_bytes: k=3 takes 3 of them an output and 2 to 3 permutations, 5 takes 10 and 4 to 6,
// 7 takes 14 and 4 to 7 (kernels of 5 and 7 are two groups of rows; more permutations with stride 2), where a product alone is 9, 25, 49. What lies outside counts as
// q = 0, the byte `zero`, so that the sums begin at the same number everywhere.
// Bytes: 2 an output at stride 1, 5 at stride 2. An H100 can move 1.7e12 outputs/s of stride 1, and takes some 17, 27 and 33 integer instructions of each (4 of
// them behind the sum), at 64 a clock and multiprocessor 0.85, 0.53, 0.44e12: instructions are the floor there, twice to four times memory's, and on a T4 (0.16e12 of
// 0.24, 0.15, 0.12e12) memory for 3x3. 128x256x384 are 15, 24, 29 us of an H100, where floats take 30 us of memory alone. An input word is read by k rows of threads and
// ((kColumns-1)s+k)/(kColumns s) times in each, from the first-level cache: rows of outputs lie under one another in a block.
#include "../plugin/op.h"
#include "integers.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 128, kColumns = 4, kRows = 4;  // outputs of a thread side by side; rows of outputs in a block

struct alignas(16) Words {
  uint32_t at[4];
};
struct alignas(16) Sums {
  int32_t at[4];
};

struct DepthwiseArgs {
  const uint8_t *x;
  const uint32_t *taps;  // [groups of rows][columns][stored]
  const int32_t *start;
  const float *m, *b;
  uint8_t *y;
  int32_t in_h, in_w, out_h, out_w, stored;
  int32_t words, runs;  // of a block: neighbouring words, and runs of kColumns outputs; words * runs * kRows = kThreads
  int32_t channel_blocks, column_blocks, row_blocks;
  uint32_t outside;
  Kept kept;
};

// Four rows of four channels become four channels of four rows.
SEGNAS_DEVICE Words turned(const Words &rows) {
  const uint32_t low01 = permute_bytes(rows.at[0], rows.at[1], 0x5140), high01 = permute_bytes(rows.at[0], rows.at[1], 0x7362);
  const uint32_t low23 = permute_bytes(rows.at[2], rows.at[3], 0x5140), high23 = permute_bytes(rows.at[2], rows.at[3], 0x7362);
  return {{permute_bytes(low01, low23, 0x5410), permute_bytes(low01, low23, 0x7632), permute_bytes(high01, high23, 0x5410), permute_bytes(high01, high23, 0x7632)}};
}

// A group of up to four rows of taps, from tap row 4 kGroup on; left, top: of the first output's first tap.
template <int K, int S, int kGroup>
SEGNAS_DEVICE void add_group(const DepthwiseArgs &a, const uint8_t *picture, int top, int left, const uint32_t *taps, int32_t (&sums)[kColumns][4]) {
  constexpr int kOf = K - 4 * kGroup < 4 ? K - 4 * kGroup : 4, kWidth = (kColumns - 1) * S + K;
  Words w[K];
#pragma unroll
  for (int v = 0; v < K; v++) w[v] = *reinterpret_cast<const Words *>(taps + static_cast<int64_t>((kGroup * K + v) * a.stored));
#pragma unroll
  for (int q = 0; q < kWidth; q++) {
    const int column = left + q;
    const bool in_row = column >= 0 && column < a.in_w;
    Words rows = {};
#pragma unroll
    for (int u = 0; u < kOf; u++) {
      const int row = top + 4 * kGroup + u;
      rows.at[u] = a.outside;
      if (in_row && row >= 0 && row < a.in_h) rows.at[u] = *reinterpret_cast<const uint32_t *>(picture + (static_cast<int64_t>(row) * a.in_w + column) * a.stored);
    }
    const Words channels = turned(rows);
#pragma unroll
    for (int t = 0; t < kColumns; t++) {
      const int v = q - t * S;
      if (v < 0 || v >= K) continue;
#pragma unroll
      for (int c = 0; c < 4; c++) sums[t][c] = dot_bytes(channels.at[c], w[v < 0 || v >= K ? 0 : v].at[c], sums[t][c]);
    }
  }
}

template <int K, int S>
SEGNAS_KERNEL(kThreads) integer_depthwise_rows(const DepthwiseArgs a) {
  int at = block_x();
  const int channel_block = at % a.channel_blocks;
  at /= a.channel_blocks;
  const int column_block = at % a.column_blocks;
  at /= a.column_blocks;
  const int picture = at / a.row_blocks, own = thread() / a.words;
  const int channel = (channel_block * a.words + thread() % a.words) * 4;
  const int column = (column_block * a.runs + own % a.runs) * kColumns, row = (at - picture * a.row_blocks) * kRows + own / a.runs;
  if (channel >= a.stored || column >= a.out_w || row >= a.out_h) return;
  const uint8_t *x = a.x + static_cast<int64_t>(picture) * a.in_h * a.in_w * a.stored + channel;
  const int top = row * S - K / 2, left = column * S - K / 2;
  const Sums start = *reinterpret_cast<const Sums *>(a.start + channel);
  int32_t sums[kColumns][4];
#pragma unroll
  for (int t = 0; t < kColumns; t++)
#pragma unroll
    for (int c = 0; c < 4; c++) sums[t][c] = start.at[c];
  add_group<K, S, 0>(a, x, top, left, a.taps + channel, sums);
  if constexpr (K > 4) add_group<K, S, 1>(a, x, top, left, a.taps + channel, sums);
  const Float4 m4 = *reinterpret_cast<const Float4 *>(a.m + channel), b4 = *reinterpret_cast<const Float4 *>(a.b + channel);
  const float m[4] = {m4.x, m4.y, m4.z, m4.w}, b[4] = {b4.x, b4.y, b4.z, b4.w};
  uint8_t *y = a.y + ((static_cast<int64_t>(picture) * a.out_h + row) * a.out_w + column) * a.stored + channel;
#pragma unroll
  for (int t = 0; t < kColumns; t++) {
    if (column + t >= a.out_w) break;
    uint32_t byte[4];
#pragma unroll
    for (int c = 0; c < 4; c++) byte[c] = a.kept.byte(fused_multiply_add(static_cast<float>(sums[t][c]), m[c], b[c]));
    *reinterpret_cast<uint32_t *>(y + static_cast<int64_t>(t * a.stored)) = four_bytes(byte[0], byte[1], byte[2], byte[3]);
  }
}

template <int K>
segnas_status run(Stream *s, int stride, const DepthwiseArgs &args, int64_t blocks, segnas_error *err) {
  const Grid grid = {.x = blocks, .threads = kThreads};
  return stride == 1 ? launch("session_integer_depthwise", s->raw, err, grid, integer_depthwise_rows<K, 1>, args)
                     : launch("session_integer_depthwise", s->raw, err, grid, integer_depthwise_rows<K, 2>, args);
}

}  // namespace

segnas_status session_integer_depthwise(Stream *s, const IntegerConvolution &l, const Image &x, const Image &y, segnas_error *err) {
  DepthwiseArgs a = {static_cast<const uint8_t *>(x.at), static_cast<const uint32_t *>(l.levels), l.start, l.m, l.b, static_cast<uint8_t *>(y.at),
                     static_cast<int32_t>(x.h), static_cast<int32_t>(x.w), static_cast<int32_t>(y.h), static_cast<int32_t>(y.w), static_cast<int32_t>(stored_bytes(l.channels)),
                     0, 0, 0, 0, 0, static_cast<uint32_t>(l.zero) * 0x01010101u, l.kept};
  if (y.pixels() == 0) return succeed(err);
  a.words = a.stored < 32 ? 4 : 8;  // whole sectors, where there are any
  a.runs = kThreads / kRows / a.words;
  a.channel_blocks = ceil_div(a.stored, 4 * a.words);
  a.column_blocks = ceil_div(a.out_w, a.runs * kColumns);
  a.row_blocks = ceil_div(a.out_h, kRows);
  const int64_t blocks = y.n * a.row_blocks * a.column_blocks * a.channel_blocks;
  return l.kernel == 3 ? run<3>(s, l.stride, a, blocks, err) : l.kernel == 5 ? run<5>(s, l.stride, a, blocks, err) : run<7>(s, l.stride, a, blocks, err);
}

}  // namespace segnas::gpu
