// sum_squares: 2 operations and 4 bytes an element; sgd: 6 operations and 20 bytes (w and m read and written, g read). Bound by memory.
namespace optimiser {

static double sum_squares_run(int64_t n, const float *x) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++) sums[j] += (double)x[i + j] * (double)x[i + j];
  for (int j = 0; i < n; i++, j++) sums[j] += (double)x[i] * (double)x[i];
  for (int half = 4; half > 0; half /= 2)
    for (int j = 0; j < half; j++) sums[j] += sums[j + half];
  return sums[0];
}

struct SgdFactors {
  F32 lr, momentum, decay, clip;
};

template <bool kNesterov>
static inline void update(const SgdFactors &f, F32 g, F32 *w, F32 *m) {
  g = add(mul(g, f.clip), mul(f.decay, *w));
  *m = add(mul(f.momentum, *m), g);
  F32 direction = kNesterov ? add(g, mul(f.momentum, *m)) : *m;
  *w = sub(*w, mul(f.lr, direction));
}

template <bool kNesterov>
static void sgd_runs(int64_t n, float *w, float *m, const float *g, const SgdStep &step) {
  const SgdFactors f = {broadcast(step.lr), broadcast(step.momentum), broadcast(step.decay), broadcast(step.clip)};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    F32 weight = load(w + i), velocity = load(m + i);
    update<kNesterov>(f, load(g + i), &weight, &velocity);
    store(w + i, weight);
    store(m + i, velocity);
  }
  if (i == n) return;
  int rest = (int)(n - i);
  F32 weight = load_first(w + i, rest), velocity = load_first(m + i, rest);
  update<kNesterov>(f, load_first(g + i, rest), &weight, &velocity);
  store_first(w + i, weight, rest);
  store_first(m + i, velocity, rest);
}

static void sgd_run(int64_t n, float *w, float *m, const float *g, const SgdStep &step) {
  step.nesterov ? sgd_runs<true>(n, w, m, g, step) : sgd_runs<false>(n, w, m, g, step);
}

}  // namespace optimiser

static constexpr OptimiserKernels kOptimiser = {optimiser::sum_squares_run, optimiser::sgd_run};
