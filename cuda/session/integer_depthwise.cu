// session_integer_depthwise: y = kept(m (depthwise x + start) + b), bytes in and out.
//
// A thread makes four channels, a word, of kColumns outputs of kRows rows. It takes its input rows in groups of four: it reads their words under its columns and turns
// the 4 x 4 bytes, so that a word holds a channel's four rows; dot_bytes then sums four taps of a column. Taps lie packed the same way, once for each of the thread's
// rows, of which each begins `stride` rows further down in the group: so what is read and turned serves all of them. What lies outside counts as q = 0, the byte
// `zero`, so that sums begin at the same number everywhere.
//
//   k, stride           3,1    5,1    7,1    3,2    5,2    7,2
//   rows of a thread      2      2      2      1      2      1
//   words read            3      6     10      6.75  9.6   22.75   an output word
//   dot_bytes             3     10     14      3     10     14     an output, where a product alone is 9, 25, 49
//   permutations          1.5    4      5      4.5    5.5   13     an output, and one to put bytes together; 5 instructions behind the sum
//
//   instructions         18     34     45     28     44     76     an output, inside the picture (what nvcc 13.0 makes of it for sm_90a)
//
// Bytes: 2 an output at stride 1, 5 at stride 2. An H100 issues 2.9e13 instructions of a thread a second, 1.6, 0.84, 0.64e12 outputs of stride 1, against memory's
// 1.7e12; a T4 0.45, 0.24, 0.18e12 against 0.16e12. So 3x3 is at memory's floor, 128x256x384 in 8 us of an H100 and 79 us of a T4, where 5x5 and 7x7 take 15 and 20 us
// of the H100's instructions; floats take 30 us of its memory alone.
// Rows of outputs lie under one another in a block, so that an input word that several threads read comes from the first-level cache.
#include "../plugin/op.h"
#include "integers.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 128, kColumns = 4, kDown = 4;  // outputs of a thread side by side; threads of a block under one another

struct alignas(16) Words {
  uint32_t at[4];
};
struct alignas(16) Sums {
  int32_t at[4];
};

struct DepthwiseArgs {
  const uint8_t *x;
  const uint32_t *taps;  // [rows of a thread][groups of rows][columns][stored]
  const int32_t *start;
  const float *m, *b;
  uint8_t *y;
  int32_t in_h, in_w, out_h, out_w, stored;
  int32_t word_bits;  // of a block: 2^word_bits neighbouring words, as many runs of kColumns outputs as then fit
  int32_t column_blocks, row_blocks;
  uint32_t outside;
  Kept kept;
};

// Four rows of four channels become four channels of four rows.
SEGNAS_DEVICE Words turned(const Words &rows) {
  const uint32_t low01 = permute_bytes(rows.at[0], rows.at[1], 0x5140), high01 = permute_bytes(rows.at[0], rows.at[1], 0x7362);
  const uint32_t low23 = permute_bytes(rows.at[2], rows.at[3], 0x5140), high23 = permute_bytes(rows.at[2], rows.at[3], 0x7362);
  return {{permute_bytes(low01, low23, 0x5410), permute_bytes(low01, low23, 0x7632), permute_bytes(high01, high23, 0x5410), permute_bytes(high01, high23, 0x7632)}};
}

template <int K, int S>
struct DepthwiseThread {
  static constexpr int kGroups = (K + 3) / 4, kRows = integer_rows(K, S), kInput = (kRows - 1) * S + K, kWidth = (kColumns - 1) * S + K;
  const DepthwiseArgs &a;
  const int channel, row, column, picture;
  int32_t sums[kRows][kColumns][4];

  // Adds the input rows from row * S - K / 2 + 4 kGroup on. kInside: the tile's columns all lie in the picture.
  template <int kGroup, bool kInside>
  SEGNAS_DEVICE void add_group() {
    constexpr int kOf = kInput - 4 * kGroup < 4 ? kInput - 4 * kGroup : 4;
    const int left = column * S - K / 2, top = row * S - K / 2 + 4 * kGroup;
    const uint8_t *x = a.x + static_cast<int64_t>(picture) * a.in_h * a.in_w * a.stored + channel, *at[kOf];
    bool in[kOf];
    Words words[kWidth];
#pragma unroll
    for (int u = 0; u < kOf; u++) {
      in[u] = top + u >= 0 && top + u < a.in_h;
      at[u] = x + (static_cast<int64_t>(top + u) * a.in_w + left) * a.stored;
    }
#pragma unroll
    for (int q = 0; q < kWidth; q++) {
      const bool in_row = kInside || (left + q >= 0 && left + q < a.in_w);
      Words rows = {};
#pragma unroll
      for (int u = 0; u < kOf; u++) {
        rows.at[u] = a.outside;
        if (in[u] && in_row) rows.at[u] = *reinterpret_cast<const uint32_t *>(at[u]);
        at[u] += a.stored;
      }
      words[q] = turned(rows);
    }
    const uint32_t *taps = a.taps + channel;
#pragma unroll
    for (int i = 0; i < kRows; i++)
#pragma unroll
      for (int v = 0; v < K; v++) {
        const Words w = *reinterpret_cast<const Words *>(taps + static_cast<int64_t>(((i * kGroups + kGroup) * K + v) * a.stored));
#pragma unroll
        for (int t = 0; t < kColumns; t++)
#pragma unroll
          for (int c = 0; c < 4; c++) sums[i][t][c] = dot_bytes(words[t * S + v].at[c], w.at[c], sums[i][t][c]);
      }
  }

  SEGNAS_DEVICE void run() {
    const Sums start = *reinterpret_cast<const Sums *>(a.start + channel);
#pragma unroll
    for (int i = 0; i < kRows; i++)
#pragma unroll
      for (int t = 0; t < kColumns; t++)
#pragma unroll
        for (int c = 0; c < 4; c++) sums[i][t][c] = start.at[c];
    if (column * S >= K / 2 && column * S - K / 2 + kWidth <= a.in_w) {
      add_group<0, true>();
      if constexpr (kGroups > 1) add_group<1, true>();
    } else {
      add_group<0, false>();
      if constexpr (kGroups > 1) add_group<1, false>();
    }
    write();
  }

  SEGNAS_DEVICE void write() const {
    const Float4 m4 = *reinterpret_cast<const Float4 *>(a.m + channel), b4 = *reinterpret_cast<const Float4 *>(a.b + channel);
    const float m[4] = {m4.x, m4.y, m4.z, m4.w}, b[4] = {b4.x, b4.y, b4.z, b4.w};
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      if (row + i >= a.out_h) break;
      uint8_t *y = a.y + ((static_cast<int64_t>(picture) * a.out_h + row + i) * a.out_w + column) * a.stored + channel;
#pragma unroll
      for (int t = 0; t < kColumns; t++) {
        if (column + t >= a.out_w) break;
        uint32_t byte[4];
#pragma unroll
        for (int c = 0; c < 4; c++) byte[c] = a.kept.byte(fused_multiply_add(static_cast<float>(sums[i][t][c]), m[c], b[c]));
        *reinterpret_cast<uint32_t *>(y) = four_bytes(byte[0], byte[1], byte[2], byte[3]);
        y += a.stored;
      }
    }
  }
};

template <int K, int S>
SEGNAS_KERNEL(kThreads) integer_depthwise(const DepthwiseArgs a) {
  const int band = block_x() / a.column_blocks, picture = band / a.row_blocks, own = thread() >> a.word_bits, run_bits = 5 - a.word_bits;
  const int channel = ((block_y() << a.word_bits) + (thread() & ((1 << a.word_bits) - 1))) * 4;
  const int column = (((block_x() - band * a.column_blocks) << run_bits) + (own & ((1 << run_bits) - 1))) * kColumns;
  const int row = ((band - picture * a.row_blocks) * kDown + (own >> run_bits)) * DepthwiseThread<K, S>::kRows;
  if (channel >= a.stored || column >= a.out_w || row >= a.out_h) return;
  DepthwiseThread<K, S>{a, channel, row, column, picture, {}}.run();
}

template <int K, int S>
segnas_status run(Stream *s, DepthwiseArgs a, int64_t pictures, segnas_error *err) {
  a.column_blocks = ceil_div(a.out_w, kColumns * kThreads / kDown >> a.word_bits);
  a.row_blocks = ceil_div(a.out_h, kDown * DepthwiseThread<K, S>::kRows);
  const Grid grid = {.x = pictures * a.row_blocks * a.column_blocks, .y = ceil_div(a.stored, 4 << a.word_bits), .threads = kThreads};
  return launch("session_integer_depthwise", s->raw, err, grid, integer_depthwise<K, S>, a);
}

}  // namespace

segnas_status session_integer_depthwise(Stream *s, const IntegerConvolution &l, const Image &x, const Image &y, segnas_error *err) {
  DepthwiseArgs a = {static_cast<const uint8_t *>(x.at), static_cast<const uint32_t *>(l.levels), l.start, l.m, l.b, static_cast<uint8_t *>(y.at),
                     static_cast<int32_t>(x.h), static_cast<int32_t>(x.w), static_cast<int32_t>(y.h), static_cast<int32_t>(y.w),
                     static_cast<int32_t>(stored_bytes(l.channels)), 0, 0, 0, static_cast<uint32_t>(l.zero) * 0x01010101u, l.kept};
  if (y.pixels() == 0) return succeed(err);
  a.word_bits = a.stored < 32 ? 2 : 3;  // whole sectors, where there are any
  switch (l.kernel * 10 + l.stride) {
    case 31: return run<3, 1>(s, a, y.n, err);
    case 32: return run<3, 2>(s, a, y.n, err);
    case 51: return run<5, 1>(s, a, y.n, err);
    case 52: return run<5, 2>(s, a, y.n, err);
    case 71: return run<7, 1>(s, a, y.n, err);
    default: return run<7, 2>(s, a, y.n, err);
  }
}

}  // namespace segnas::gpu
