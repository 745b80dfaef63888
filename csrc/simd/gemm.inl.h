// Matrix products on row-major views, C[m,n] = A[m,k] B[k,n]: what every pointwise convolution is made of.
//
// Tile: kTileRows x 2 vectors of C in registers, one pass over k: per step 2 loads of B, kTileRows broadcasts of A and 2 kTileRows FMAs,
// so the FMA ports are the bound from k >= 16 on. B is packed once per call into panels [ceil(n/kPanel)][k][kPanel] (zero padded), which
// makes its loads contiguous; A is read in place, since pixel rows are contiguous already.
// Order: every element of C is one chain of FMAs over ascending k, starting from the bias. Tile position, tails and strides do not change it.
constexpr int kPanel = 2 * kLanes;

// What happens to a tile before it is stored: c = [relu](a b + bias + residual).
struct Epilogue {
  const float *bias;      // [n] or nullptr
  const float *residual;  // rows of residual_pitch, or nullptr
  int64_t residual_pitch;
  bool relu;
};

// Ahead: what is read or written next. Tiles ask for a line of it a step, into the second-level cache, so that memory and multiplications overlap.
// A tile that has begun may ask for some lines beyond the end, which does no harm.

static inline int64_t panel_floats(int64_t k, int64_t n) { return (n + kPanel - 1) / kPanel * kPanel * k; }

// b: [k, n] with row pitch ldb; transposed: b is [n, k] with row pitch ldb and its transpose is packed.
static void pack_panels(const float *b, int64_t ldb, bool transposed, int64_t k, int64_t n, float *panels) {
  for (int64_t j = 0; j < n; j += kPanel) {
    int cols = (int)(n - j < kPanel ? n - j : kPanel);
    for (int64_t i = 0; i < k; i++, panels += kPanel) {
      if (!transposed) {
        store(panels, load_first(b + i * ldb + j, cols));
        store(panels + kLanes, load_first(b + i * ldb + j + kLanes, cols - kLanes));
      } else {
        for (int c = 0; c < kPanel; c++) panels[c] = c < cols ? b[(j + c) * ldb + i] : 0.0f;
      }
    }
  }
}

// kVectors of the panel's two: one is enough for the last columns of many widths (48), and its 12 chains still cover an FMA's latency.
template <int kRows, int kVectors, bool kAhead>
static inline void gemm_tile(const float *a, int64_t lda, const float *panel, int64_t k, int64_t column, int cols, const Epilogue &e, int64_t row,
                             float *c, int64_t ldc, Ahead *ahead) {
  F32 acc[kRows][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++) {
    const F32 start = e.bias ? load_first(e.bias + column + v * kLanes, cols - v * kLanes) : zero();
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) acc[r][v] = start;
  }
  const char *line = kAhead ? ahead->at : nullptr;
  for (int64_t i = 0; i < k; i++, panel += kPanel) {
    if constexpr (kAhead) __builtin_prefetch(line + i * 64, 0, 2);
    F32 b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) b[v] = load(panel + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) {
      F32 x = broadcast(a[r * lda + i]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) acc[r][v] = fma(x, b[v], acc[r][v]);
    }
  }
  if constexpr (kAhead) ahead->at = line + k * 64;
  const float *residual = e.residual ? e.residual + row * e.residual_pitch + column : nullptr;
  // Columns that do not fill the vectors go by way of memory: the unrolled loop has whole stores alone.
  const bool whole = cols == kVectors * kLanes;
  alignas(64) float last[kRows * kVectors * kLanes];
  float *to = whole ? c : last;
  const int64_t to_pitch = whole ? ldc : kVectors * kLanes;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      if (residual) acc[r][v] = add(acc[r][v], load_first(residual + r * e.residual_pitch + v * kLanes, cols - v * kLanes));
      if (e.relu) acc[r][v] = relu(acc[r][v]);
      store(to + r * to_pitch + v * kLanes, acc[r][v]);
    }
  }
  if (!whole) store_rows(last, kRows, kVectors, cols, c, ldc);
}

// The last rows % kTileRows rows of a block.
template <int kRows, int kVectors>
static inline void gemm_tail(int64_t rows, const float *a, int64_t lda, const float *panel, int64_t k, int64_t column, int cols, const Epilogue &e,
                             int64_t row, float *c, int64_t ldc) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return gemm_tile<kRows, kVectors, false>(a, lda, panel, k, column, cols, e, row, c, ldc, nullptr);
    gemm_tail<kRows - 1, kVectors>(rows, a, lda, panel, k, column, cols, e, row, c, ldc);
  }
}

// Rows [row, end) of one panel.
template <int kVectors>
static inline void gemm_panel(const float *a, int64_t lda, int64_t row, int64_t end, const float *panel, int64_t k, int64_t column, int cols,
                              const Epilogue &e, float *c, int64_t ldc, Ahead *ahead) {
  for (; row + kTileRows <= end && ahead->at < ahead->end; row += kTileRows)
    gemm_tile<kTileRows, kVectors, true>(a + row * lda, lda, panel, k, column, cols, e, row, c + row * ldc + column, ldc, ahead);
  for (; row + kTileRows <= end; row += kTileRows)
    gemm_tile<kTileRows, kVectors, false>(a + row * lda, lda, panel, k, column, cols, e, row, c + row * ldc + column, ldc, nullptr);
  gemm_tail<kTileRows - 1, kVectors>(end - row, a + row * lda, lda, panel, k, column, cols, e, row, c + row * ldc + column, ldc);
}

// Rows are taken in blocks whose A stays in L2 while the panels pass by; each panel stays in L1 over the block's tiles.
static void gemm_rows(const float *a, int64_t lda, int64_t rows, const float *panels, int64_t k, int64_t n, const Epilogue &e, float *c,
                      int64_t ldc, Ahead ahead) {
  constexpr int64_t kBlockFloats = 24 * 1024;
  int64_t block = kBlockFloats / k / kTileRows * kTileRows;
  if (block < kTileRows) block = kTileRows;
  for (int64_t first = 0; first < rows; first += block) {
    int64_t end = first + block < rows ? first + block : rows;
    const float *panel = panels;
    for (int64_t column = 0; column < n; column += kPanel, panel += k * kPanel) {
      int cols = (int)(n - column < kPanel ? n - column : kPanel);
      if (cols > kLanes) {
        gemm_panel<2>(a, lda, first, end, panel, k, column, cols, e, c, ldc, &ahead);
      } else {
        gemm_panel<1>(a, lda, first, end, panel, k, column, cols, e, c, ldc, &ahead);
      }
    }
  }
}

// ---- C[m,n] += X^T Y over pixels, X [pixels, m], Y [pixels, n]: the weight gradient.
// Pixels come in chunks of kOuterChunk; both sides are packed per chunk (X in strips [p][kTileRows], Y in panels [p][kPanel]), since rows that
// lie 2^n apart fight for the same cache sets. A chunk's sum starts from zero and is then added to C, so the summation depth is
// kOuterChunk + the number of chunks.
constexpr int64_t kOuterChunk = 128;

// C is padded to whole tiles: [ceil(m/kTileRows)][ceil(n/kPanel)] tiles of [kTileRows][kPanel].
static inline int64_t outer_strips(int64_t m) { return (m + kTileRows - 1) / kTileRows; }
static inline int64_t outer_panels(int64_t n) { return (n + kPanel - 1) / kPanel; }
static inline int64_t outer_floats(int64_t m, int64_t n) { return outer_strips(m) * kTileRows * outer_panels(n) * kPanel; }
static inline int64_t outer_scratch_floats(int64_t m, int64_t n) {
  return kOuterChunk * (outer_strips(m) * kTileRows + outer_panels(n) * kPanel);
}

// Pixels in blocks, so that the lines of x that two strips share are still in L1 when the second one comes. Stores are whole vectors: what the
// last one writes beyond the strip's rows is overwritten by the next pixel. The last pixel writes no more than its own, since the strip after it has begun.
static void pack_strips(const float *x, int64_t ldx, int64_t pixels, int64_t m, float *strips) {
  constexpr int64_t kBlock = 16;
  for (int64_t first = 0; first < pixels; first += kBlock) {
    int64_t end = first + kBlock < pixels ? first + kBlock : pixels;
    for (int64_t i = 0; i < m; i += kTileRows) {
      int rows = (int)(m - i < kTileRows ? m - i : kTileRows);
      float *to = strips + i * pixels;
      for (int64_t p = first; p < end; p++) {
#pragma GCC unroll 3
        for (int r = 0; r < kTileRows; r += kLanes) {
          F32 v = load_first(x + p * ldx + i + r, rows - r);
          if (p + 1 < pixels || r + kLanes <= kTileRows) {
            store(to + p * kTileRows + r, v);
          } else {
            store_first(to + p * kTileRows + r, v, kTileRows - r);
          }
        }
      }
    }
  }
}

template <bool kAhead>
static inline void outer_tile(const float *strip, const float *panel, int64_t pixels, float *tile, Ahead *ahead) {
  F32 acc[kTileRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; r++) acc[r][0] = acc[r][1] = zero();
  const char *line = kAhead ? ahead->at : nullptr;
  for (int64_t p = 0; p < pixels; p++, strip += kTileRows, panel += kPanel) {
    if constexpr (kAhead) __builtin_prefetch(line + p * 64, 0, 2);
    F32 b0 = load(panel), b1 = load(panel + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; r++) {
      F32 x = broadcast(strip[r]);
      acc[r][0] = fma(x, b0, acc[r][0]);
      acc[r][1] = fma(x, b1, acc[r][1]);
    }
  }
  if constexpr (kAhead) ahead->at = line + pixels * 64;
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; r++, tile += kPanel) {
    store(tile, add(load(tile), acc[r][0]));
    store(tile + kLanes, add(load(tile + kLanes), acc[r][1]));
  }
}

// c (outer_floats) += X^T Y; scratch: outer_scratch_floats.
static void outer_product(const float *x, int64_t ldx, const float *y, int64_t ldy, int64_t pixels, int64_t m, int64_t n, float *c,
                          float *scratch, Ahead ahead) {
  float *strips = scratch;
  float *panels = scratch + kOuterChunk * outer_strips(m) * kTileRows;
  for (int64_t first = 0; first < pixels; first += kOuterChunk) {
    int64_t chunk = pixels - first < kOuterChunk ? pixels - first : kOuterChunk;
    pack_strips(x + first * ldx, ldx, chunk, m, strips);
    pack_panels(y + first * ldy, ldy, false, chunk, n, panels);
    for (int64_t j = 0; j < outer_panels(n); j++)
      for (int64_t i = 0; i < outer_strips(m); i++) {
        const float *strip = strips + i * chunk * kTileRows, *panel = panels + j * chunk * kPanel;
        float *tile = c + (i * outer_panels(n) + j) * kTileRows * kPanel;
        if (ahead.at < ahead.end) {
          outer_tile<true>(strip, panel, chunk, tile, &ahead);
        } else {
          outer_tile<false>(strip, panel, chunk, tile, nullptr);
        }
      }
  }
}

// Element (row, column .. column+lanes) of the padded C.
static inline const float *outer_at(const float *c, int64_t n, int64_t row, int64_t column) {
  return c + ((row / kTileRows) * outer_panels(n) + column / kPanel) * kTileRows * kPanel + row % kTileRows * kPanel + column % kPanel;
}
