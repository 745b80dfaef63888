// Integer kernels of sessions; int8.h is the contract. Included inside a set's namespace behind its vectors (simd/int8_*.inl.h).
//
// Products: tiles of kTileRows x 2 vectors of 32-bit sums, as simd/gemm.inl.h. A step takes a group of four bytes of each row, broadcast, against those of the tile's
// columns: 4 multiply-adds a lane where float32 has one. Form says how. int8_depthwise.inl.h has the depthwise convolution.
namespace int8 {

enum class Form {
  kDot,     // a product of bytes adds up in 32 bits (VNNI, NEON, plain C++)
  kNarrow,  // AVX2, few bits: sums of products of bytes fit 16 bits for some steps
  kPairs,   // AVX2: sums of two products fit 16 bits, and are widened and added step by step; int8_pairs.inl.h cuts the weights for it
  kWide,    // AVX2, where much would be cut: bytes are widened to 16 bits, rows a block at a time and weights as they are read; a step takes two
};

constexpr int kColumns = 2 * kLanes;          // of a panel
constexpr int64_t kBlockBytes = 32 * 1024;    // of rows widened or made signed, on the stack
constexpr int64_t kLeastSteps = 3;            // fewer gain nothing over pairs
constexpr int kNarrowRows = 4;                // of a tile of sums in 16 bits: with more, a product would find no register

static inline int64_t panels(int64_t n) { return (n + kColumns - 1) / kColumns; }
static inline int64_t groups(int64_t k) { return (k + 3) / 4; }

// Steps for which a sum of products of two bytes each stays within 16 bits.
static inline int64_t narrow_steps(const Int8Input &x) { return 32767 / (2 * x.most * x.most_weight); }
static inline bool is_narrow(const Int8Input &x) { return kWide && narrow_steps(x) >= kLeastSteps; }

#include "int8_packed.inl.h"
#include "int8_pairs.inl.h"

// [panels][kColumns] sums to begin with, then [panel][step][column] groups, of two bytes where the form is kWide; behind them what pairs have more.
static inline bool has_more(const Int8Input &x) { return kWide && !is_narrow(x); }
static inline char *panels_of(const void *packed, int64_t n) { return (char *)packed + 4 * kColumns * panels(n); }
static inline More more_of(const void *packed, int64_t k, int64_t n, const Int8Input &x) { return more_at(panels_of(packed, n) + panel_bytes(k, x) * panels(n), k, n, x); }
static size_t packed_bytes(int64_t k, int64_t n, const Int8Input &x) {
  return (size_t)((4 * kColumns + panel_bytes(k, x)) * panels(n) + (has_more(x) ? more_bytes(k, n, x) : 0));
}

static inline Form form_of(const void *packed, int64_t k, int64_t n, const Int8Input &x) {
  if (is_narrow(x)) return Form::kNarrow;
  if (!kWide) return Form::kDot;
  return more_of(packed, k, n, x).first[0] < 0 ? Form::kWide : Form::kPairs;
}

static void pack_panels(const int8_t *w, int64_t k, int64_t n, const Int8Input &x, int64_t each, int8_t *to) {
  int8_t panel[kIntegerChannels * kColumns];
  for (int64_t column = 0; column < n; column += kColumns, to += panel_bytes(k, x)) {
    for (int64_t i = 0; i < 4 * groups(k); i++)
      for (int64_t c = 0; c < kColumns; c++) panel[(i / each * kColumns + c) * each + i % each] = i < k && column + c < n ? w[i * n + column + c] : 0;
    if (packed_bits(x) == 8) __builtin_memcpy(to, panel, (size_t)unpacked_bytes(k));
    else pack_bits(panel, unpacked_bytes(k), packed_bits(x), (uint8_t *)to);
  }
}

static void pack(const int8_t *w, int64_t k, int64_t n, const Int8Input &x, void *packed) {
  int32_t *start = (int32_t *)packed;
  for (int64_t c = 0; c < panels(n) * kColumns; c++) {
    int32_t sum = 0;
    for (int64_t i = 0; c < n && i < k; i++) sum += w[i * n + c];
    start[c] = ((kSigned ? 128 : 0) - x.zero) * sum;
  }
  int8_t *to = (int8_t *)panels_of(packed, n);
  pack_panels(w, k, n, x, 4, to);
  if (!has_more(x)) return;
  const More more = more_of(packed, k, n, x);
  if (pack_pairs(k, n, x, to, more)) return;
  more.first[0] = -1;
  pack_panels(w, k, n, x, 2, to);
}

// One product, but for its rows and columns.
struct Product {
  Form form;
  int64_t steps, a_pitch, c_pitch;  // pitches in bytes
  int64_t narrow;                   // kNarrow: steps that fit 16 bits
  Int8Output o;
  Bytes bytes;
  Int8Residual residual;
  More more;  // kPairs
};

// And its columns.
struct Panel {
  const int32_t *start;
  const char *groups;
  const int32_t *more_first;  // kPairs: [3], as in More
};

// Always inline, and in loops without branches that the compiler unrolls early: otherwise sums have an address, and live in memory.
template <int kRows, int kVectors>
[[gnu::always_inline]] static inline void leave(const I32 (&acc)[kRows][kVectors], const Product &p, int64_t row, int64_t column, int cols, char *c) {
  F32 f[kRows][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++) {
    const F32 m = load(p.o.m + column + v * kLanes), b = load(p.o.b + column + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) f[r][v] = fused(to_float(acc[r][v]), m, b);
  }
  if (p.residual.at) {
    const F32 zero_byte = broadcast((float)p.residual.zero), factor = broadcast(p.residual.r);
    const uint8_t *residual = p.residual.at + row * p.residual.pitch + column;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) f[r][v] = fused(sub(from_bytes(residual + r * p.residual.pitch + v * kLanes), zero_byte), factor, f[r][v]);
  }
  char *y = c + row * p.c_pitch;
  if (p.o.floats) {
    const bool whole = cols == kVectors * kLanes;
    alignas(64) float last[kRows * kVectors * kLanes];
    float *to = whole ? (float *)y + column : last;
    const int64_t pitch = p.c_pitch / 4, to_pitch = whole ? pitch : kVectors * kLanes;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) store(to + r * to_pitch + v * kLanes, max(f[r][v], broadcast(p.o.low)));
    if (!whole) store_rows(last, kRows, kVectors, cols, (float *)y + column, pitch);
  } else {
    const Bytes bytes = p.bytes;
    uint8_t *at = (uint8_t *)y + column;
    constexpr int kTwice = 4 / kVectors;  // rows that fill four vectors
#pragma GCC unroll 6
    for (int r = 0; r + kTwice <= kRows; r += kTwice) {
      uint8_t *to[4];
      F32 four[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) to[i] = at + (r + i / kVectors) * p.c_pitch + i % kVectors * kLanes, four[i] = f[r + i / kVectors][i % kVectors];
      keep_four(bytes, four, to);
    }
#pragma GCC unroll 4
    for (int r = kRows / kTwice * kTwice; r < kRows; r++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) keep(bytes, f[r][v], at + r * p.c_pitch + v * kLanes);
  }
}

// Where the rows of a tile are read: an address for each four of them, from which the others are an index away, since addresses of their own would not all
// find a register.
template <int kRows>
struct FourRows {
  const char *first[(kRows + 3) / 4];
  int64_t pitch, pitch3;

  FourRows(const char *a, int64_t p) : pitch(p), pitch3(3 * p) {
#pragma GCC unroll 3
    for (int i = 0; i < (kRows + 3) / 4; i++) first[i] = a + 4 * i * p;
  }
  const char *row(int r) const { return first[r / 4] + (r % 4 == 3 ? pitch3 : r % 4 * pitch); }
  void step() {
#pragma GCC unroll 3
    for (int i = 0; i < (kRows + 3) / 4; i++) first[i] += 4;
  }
};

// One group of each row against those of the columns.
template <Form kForm, class Sums, int kRows, int kVectors>
[[gnu::always_inline]] static inline void step(Sums (&acc)[kRows][kVectors], const FourRows<kRows> &at, const char *groups) {
  Sums w[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++) {
    if constexpr (kForm == Form::kWide) load_halves(groups + v * 2 * kLanes, &w[v]);
    else w[v] = load_group(groups + v * 4 * kLanes);
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    const Sums x = broadcast_group(at.row(r));
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      if constexpr (kForm == Form::kNarrow) acc[r][v] = dot_halves(acc[r][v], x, w[v]);
      else if constexpr (kForm == Form::kPairs) acc[r][v] = dot_pairs(acc[r][v], x, w[v]);
      else if constexpr (kForm == Form::kWide) acc[r][v] = dot_wide(acc[r][v], x, w[v]);
      else acc[r][v] = dot(acc[r][v], x, w[v]);
    }
  }
}

template <Form kForm, class Sums, int kRows, int kVectors, bool kAhead>
static inline void tile(const char *a, const Panel &panel, const Product &p, int64_t row, int64_t column, int cols, char *c, Ahead *ahead) {
  Sums acc[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) acc[r][v] = load_sums(panel.start + v * kLanes);
  const char *line = kAhead ? ahead->at : nullptr, *groups = panel.groups;
  FourRows<kRows> at(a, p.a_pitch);
  for (int64_t i = 0; i < p.steps; i++, groups += (kForm == Form::kWide ? 2 : 4) * kColumns) {
    if constexpr (kAhead) __builtin_prefetch(line + i * 64, 0, 2);
    step<kForm>(acc, at, groups);
    at.step();
  }
  if constexpr (kForm == Form::kPairs) {
    const FourRows<kRows> again(a, p.a_pitch);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++)
      for (int64_t i = panel.more_first[v]; i < panel.more_first[v + 1]; i++) {
        const Sums w = load_group(p.more.groups + i * 4 * kLanes);
        const int64_t from = p.more.at[i];
#pragma GCC unroll 12
        for (int r = 0; r < kRows; r++) acc[r][v] = dot_pairs(acc[r][v], broadcast_group(again.row(r) + from), w);
      }
  }
  if constexpr (kAhead) ahead->at = line + p.steps * 64;
  leave<kRows, kVectors>(acc, p, row, column, cols, c);
}

// The same with sums in 16 bits, which are emptied into those of 32 bits, in memory, before they can overflow.
template <class Sums, int kRows, int kVectors, bool kAhead>
static inline void narrow_tile(const char *a, const Panel &panel, const Product &p, int64_t row, int64_t column, int cols, char *c, Ahead *ahead) {
  Sums acc[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) acc[r][v] = load_sums(panel.start + v * kLanes);
  const char *line = kAhead ? ahead->at : nullptr, *groups = panel.groups;
  FourRows<kRows> at(a, p.a_pitch);
  for (int64_t i = 0; i < p.steps;) {
    const int64_t end = i + p.narrow < p.steps ? i + p.narrow : p.steps;
    Sums sums[kRows][kVectors];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) sums[r][v] = Sums();
    for (; i < end; i++, groups += 4 * kColumns) {
      if constexpr (kAhead) __builtin_prefetch(line + i * 64, 0, 2);
      step<Form::kNarrow>(sums, at, groups);
      at.step();
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) acc[r][v] = add_halves(acc[r][v], sums[r][v]);
  }
  if constexpr (kAhead) ahead->at = line + p.steps * 64;
  leave<kRows, kVectors>(acc, p, row, column, cols, c);
}

template <Form kForm, int kRows, int kVectors, bool kAhead>
static inline void either_tile(const char *a, const Panel &panel, const Product &p, int64_t row, int64_t column, int cols, char *c, Ahead *ahead) {
  if constexpr (kForm == Form::kNarrow) {
    narrow_tile<I32, kRows, kVectors, kAhead>(a, panel, p, row, column, cols, c, ahead);
  } else {
    tile<kForm, I32, kRows, kVectors, kAhead>(a, panel, p, row, column, cols, c, ahead);
  }
}

template <Form kForm, int kRows, int kVectors>
static inline void tail(int64_t rows, const char *a, const Panel &panel, const Product &p, int64_t row, int64_t column, int cols, char *c) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return either_tile<kForm, kRows, kVectors, false>(a, panel, p, row, column, cols, c, nullptr);
    tail<kForm, kRows - 1, kVectors>(rows, a, panel, p, row, column, cols, c);
  }
}

// Rows [row, end) of one panel, kRows at a time; a: of row `row`.
template <Form kForm, int kRows, int kVectors>
static inline void some_rows(const char *a, int64_t row, int64_t end, const Panel &panel, const Product &p, int64_t column, int cols, char *c, Ahead *ahead) {
  for (; row + kRows <= end; row += kRows, a += kRows * p.a_pitch) {
    if (ahead->at < ahead->end) {
      either_tile<kForm, kRows, kVectors, true>(a, panel, p, row, column, cols, c, ahead);
    } else {
      either_tile<kForm, kRows, kVectors, false>(a, panel, p, row, column, cols, c, nullptr);
    }
  }
  tail<kForm, kRows - 1, kVectors>(end - row, a, panel, p, row, column, cols, c);
}

template <int kVectors>
static inline void group(const char *a, int64_t row, int64_t end, const Panel &panel, const Product &p, int64_t column, int cols, char *c, Ahead *ahead) {
  if constexpr (kWide) {
    if (p.form == Form::kNarrow) return some_rows<Form::kNarrow, kNarrowRows, kVectors>(a, row, end, panel, p, column, cols, c, ahead);
    if (p.form == Form::kPairs) return some_rows<Form::kPairs, kTileRows, kVectors>(a, row, end, panel, p, column, cols, c, ahead);
  }
  some_rows<kWide ? Form::kWide : Form::kDot, kTileRows, kVectors>(a, row, end, panel, p, column, cols, c, ahead);
}

// Rows as products take them, where those are not the bytes that lie there.
template <class Byte>
static inline void copy_rows(const Byte *a, int64_t a_pitch, int64_t count, int64_t k, char *to, int64_t bytes) {
  if constexpr (kWide || kSigned) {
    for (int64_t r = 0; r < count; r++) copy_row(a + r * a_pitch, int8_stored(k), to + r * bytes);
  }
}

// Rows in blocks whose left side stays in L2, or in L1 where it is a copy, while the panels pass by.
static void rows(const uint8_t *a, int64_t a_pitch, int64_t count, const void *packed, int64_t k, int64_t n, const Int8Input &x, const Int8Output &o,
                 const Int8Residual &residual, void *c, int64_t c_pitch, Ahead ahead) {
  alignas(64) char copied[kWide || kSigned ? kBlockBytes : 1];
  alignas(64) int8_t unpacked[kIntegerChannels * kColumns];
  const Form form = form_of(packed, k, n, x);
  const bool widens = form == Form::kWide, copies = widens || kSigned;
  const int64_t bytes = copies ? (widens ? 2 : 1) * int8_stored(k) : a_pitch, steps = widens ? (k + 1) / 2 : groups(k);
  int64_t block = (copies ? kBlockBytes : 3 * kBlockBytes) / bytes / kTileRows * kTileRows;
  if (block < kTileRows) block = kTileRows;
  const Product p = {form, steps, bytes, o.floats ? 4 * c_pitch : c_pitch, is_narrow(x) ? narrow_steps(x) : 0, o, Bytes(o), residual, more_of(packed, k, n, x)};
  for (int64_t first = 0; first < count; first += block) {
    const int64_t end = first + block < count ? first + block : count;
    const char *left = (const char *)(a + first * a_pitch);
    if (copies) {
      copy_rows(a + first * a_pitch, a_pitch, end - first, k, copied, bytes);
      left = copied;
    }
    Panel panel = {(const int32_t *)packed, nullptr, p.more.first};
    const char *next = panels_of(packed, n);
    for (int64_t column = 0; column < n; column += kColumns, panel.start += kColumns, next += panel_bytes(k, x), panel.more_first += 2) {
      panel.groups = panel_groups(next, k, x, unpacked);
      const int cols = (int)(n - column < kColumns ? n - column : kColumns);
      if (int8_stored(n) - column > kLanes) {
        group<2>(left, first, end, panel, p, column, cols, (char *)c, &ahead);
      } else {
        group<1>(left, first, end, panel, p, column, cols, (char *)c, &ahead);
      }
    }
  }
}

// ---------------------------------------------------------------- from float32

static void quantise(const float *x, int64_t pixels, int64_t c, float inverse, const Int8Output &o, uint8_t *y) {
  const Bytes bytes(o);
  const F32 factor = broadcast(inverse);
  // Pixels without fill are one run.
  if (c == int8_stored(c)) c *= pixels, pixels = 1;
  for (int64_t p = 0; p < pixels; p++, x += c, y += int8_stored(c)) {
    int64_t i = 0;
    for (; i + 4 * kLanes <= c; i += 4 * kLanes) {
      uint8_t *to[4];
      F32 four[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++) to[v] = y + i + v * kLanes, four[v] = mul(load(x + i + v * kLanes), factor);
      keep_four(bytes, four, to);
    }
    for (; i < int8_stored(c); i += kLanes) keep(bytes, mul(load_first(x + i, (int)(c - i)), factor), y + i);
  }
}

static void nearest_add(const float *x, const int32_t *source, const float *add_to, int64_t out_w, int64_t c, float inverse, const Int8Output &o, void *y) {
  const Bytes bytes(o);
  for (int64_t j = 0; j < out_w; j++) {
    const float *from = x + source[j] * c, *onto = add_to + j * c;
    for (int64_t i = 0; i < int8_stored(c); i += kLanes) {
      const int left = (int)(c - i);
      const F32 sum = add(load_first(onto + i, left), load_first(from + i, left));
      if (o.floats) {
        store_first((float *)y + j * c + i, max(sum, broadcast(o.low)), left);
      } else {
        keep(bytes, mul(sum, broadcast(inverse)), (uint8_t *)y + j * int8_stored(c) + i);
      }
    }
  }
}

#include "int8_depthwise.inl.h"

}  // namespace int8

static constexpr Int8Kernels kInt8 = {
    int8::packed_bytes, int8::pack, int8::rows, int8::depthwise_bytes, int8::pack_depthwise,
    {{int8::depthwise<3, 1>, int8::depthwise<3, 2>}, {int8::depthwise<5, 1>, int8::depthwise<5, 2>}, {int8::depthwise<7, 1>, int8::depthwise<7, 2>}},
    int8::quantise, int8::nearest_add};
