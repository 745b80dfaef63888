// Pointwise kernels: simd/gemm.inl.h with pixels as rows.
//
// Operations 2 P Cin Cout; bytes 4 P (Cin + Cout) (+ weights, which stay in cache). At 64 -> 384 that is 27 operations a byte, above the
// ridge of two cores that share 20 to 40 GB/s: the FMA ports are the floor, but for the narrow stem.
static int64_t pwconv_packed_floats(int64_t k, int64_t n) { return panel_floats(k, n); }

static void pwconv_rows(const float *a, int64_t a_pitch, int64_t rows, const float *packed, int64_t k, int64_t n, const float *bias,
                        const float *residual, int64_t residual_pitch, bool relu, float *c, int64_t c_pitch, Ahead ahead) {
  gemm_rows(a, a_pitch, rows, packed, k, n, Epilogue{bias, residual, residual_pitch, relu}, c, c_pitch, ahead);
}

static int64_t pwconv_partial_floats(int64_t m, int64_t n) { return outer_floats(m, n); }
static int64_t pwconv_partial_scratch_floats(int64_t m, int64_t n) { return outer_scratch_floats(m, n); }

static void pwconv_weight_slab(const float *x, int64_t x_pitch, const float *dy, int64_t dy_pitch, int64_t pixels, int64_t m, int64_t n,
                               bool more, Ahead ahead, float *partial, float *scratch) {
  for (int64_t i = 0; !more && i < outer_floats(m, n); i += kLanes) store(partial + i, zero());
  outer_product(x, x_pitch, dy, dy_pitch, pixels, m, n, partial, scratch, ahead);
}

static void pwconv_weight_sum(const float *partials, int64_t slabs, int64_t m, int64_t n, int64_t row_begin, int64_t row_end, bool accumulate,
                              float *dw, int64_t dw_pitch) {
  int64_t stride = outer_floats(m, n);
  for (int64_t row = row_begin; row < row_end; row++) {
    for (int64_t column = 0; column < n; column += kLanes) {
      int cols = (int)(n - column < kLanes ? n - column : kLanes);
      const float *from = outer_at(partials, n, row, column);
      float *to = dw + row * dw_pitch + column;
      F32 sum = load(from);
      for (int64_t s = 1; s < slabs; s++) sum = add(sum, load(from + s * stride));
      if (accumulate) sum = add(load_first(to, cols), sum);
      store_first(to, sum, cols);
    }
  }
}

static void pwconv_bias_slab(const float *dy, int64_t dy_pitch, int64_t pixels, int64_t n, double *sums) {
  for (int64_t column = 0; column < n; column += kLanes) {
    int cols = (int)(n - column < kLanes ? n - column : kLanes);
    for (int c = 0; c < cols; c++) sums[column + c] = 0;
    for (int64_t first = 0; first < pixels; first += kOuterChunk) {
      int64_t end = first + kOuterChunk < pixels ? first + kOuterChunk : pixels;
      F32 sum = zero();
      for (int64_t p = first; p < end; p++) sum = add(sum, load_first(dy + p * dy_pitch + column, cols));
      float lanes[kLanes];
      store(lanes, sum);
      for (int c = 0; c < cols; c++) sums[column + c] += (double)lanes[c];
    }
  }
}

static constexpr PwconvKernels kPwconv = {pwconv_packed_floats,          pack_panels,        pwconv_rows, pwconv_partial_floats,
                                          pwconv_partial_scratch_floats, pwconv_weight_slab, pwconv_weight_sum, pwconv_bias_slab};
