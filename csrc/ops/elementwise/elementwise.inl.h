// One pass over consecutive floats each: an operation or two an element, so memory decides; no blocking, a vector at a time.
namespace elementwise {

static void relu_run(int64_t n, const float *x, float *y) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, relu(load(x + i)));
  if (i < n) store_first(y + i, relu(load_first(x + i, (int)(n - i))), (int)(n - i));
}

static void relu_backward_run(int64_t n, const float *y, const float *dy, float *dx) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dx + i, select(greater(load(y + i), zero()), load(dy + i), zero()));
  if (i == n) return;
  int rest = (int)(n - i);
  store_first(dx + i, select(greater(load_first(y + i, rest), zero()), load_first(dy + i, rest), zero()), rest);
}

template <bool kRelu>
static inline F32 sum(F32 a, F32 b) {
  return kRelu ? relu(add(a, b)) : add(a, b);
}

template <bool kRelu>
static void add_runs(int64_t n, const float *a, const float *b, float *y) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, sum<kRelu>(load(a + i), load(b + i)));
  if (i == n) return;
  int rest = (int)(n - i);
  store_first(y + i, sum<kRelu>(load_first(a + i, rest), load_first(b + i, rest)), rest);
}

static void add_run(int64_t n, const float *a, const float *b, int32_t relu, float *y) {
  relu ? add_runs<true>(n, a, b, y) : add_runs<false>(n, a, b, y);
}

static void axpy_run(int64_t n, float alpha, const float *x, float *y) {
  F32 factor = broadcast(alpha);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, add(load(y + i), mul(factor, load(x + i))));
  if (i == n) return;
  int rest = (int)(n - i);
  store_first(y + i, add(load_first(y + i, rest), mul(factor, load_first(x + i, rest))), rest);
}

// Whole periods of the pattern, so that the compiler's own vectors do.
static void normalise(const uint8_t *x, int64_t pixels, int64_t channels, const float *scale, const float *shift, float *y) {
  const int64_t n = pixels * channels, period = channels * kNormalisePixels;
  for (int64_t i = 0; i < n; i += period) {
    const int64_t some = n - i < period ? n - i : period;
    for (int64_t j = 0; j < some; j++) y[i + j] = (float)x[i + j] * scale[j] + shift[j];
  }
}

}  // namespace elementwise

static constexpr ElementwiseKernels kElementwise = {elementwise::relu_run, elementwise::relu_backward_run, elementwise::add_run,
                                                    elementwise::axpy_run, elementwise::normalise};
