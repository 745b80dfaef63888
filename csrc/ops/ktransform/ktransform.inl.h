// The kernel transform, f32. ktransform.h is the contract. A layer has at most 25 x 25 x C multiply-adds, some 30 us at C = 768, beside
// milliseconds for the convolution that uses the result: blocks of four vectors keep the loads below the FMAs, and that is enough.

static void ktransform_mix(const float *t, int64_t t_distance, int64_t n, const float *x, const int64_t *rows, int64_t channels, bool accumulate, float *y) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    F32 acc[4] = {zero(), zero(), zero(), zero()};
    for (int64_t j = 0; j < n; j++) {
      const F32 tap = broadcast(t[j * t_distance]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) acc[i] = fma(tap, load(x + rows[j] + c + i * kLanes), acc[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) store(y + c + i * kLanes, accumulate ? add(load(y + c + i * kLanes), acc[i]) : acc[i]);
  }
  for (; c < channels; c += kLanes) {
    const int left = channels - c < kLanes ? (int)(channels - c) : kLanes;
    F32 acc = zero();
    for (int64_t j = 0; j < n; j++) acc = fma(broadcast(t[j * t_distance]), load_first(x + rows[j] + c, left), acc);
    store_first(y + c, accumulate ? add(load_first(y + c, left), acc) : acc, left);
  }
}

static void ktransform_dot(const float *a, const float *x, const int64_t *rows, int64_t n, int64_t channels, float *dt) {
  for (int64_t j = 0; j < n; j += 4) {
    const int some = n - j < 4 ? (int)(n - j) : 4;
    const float *row[4];
    for (int i = 0; i < 4; i++) row[i] = x + rows[j + (i < some ? i : 0)];
    F32 acc[4] = {zero(), zero(), zero(), zero()};
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      const F32 left = load(a + c);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) acc[i] = fma(left, load(row[i] + c), acc[i]);
    }
    if (c < channels) {
      const int rest = (int)(channels - c);
      const F32 left = load_first(a + c, rest);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) acc[i] = fma(left, load_first(row[i] + c, rest), acc[i]);
    }
    for (int i = 0; i < some; i++) dt[j + i] += sum_lanes(acc[i]);
  }
}

static constexpr KtransformKernels kKtransform = {ktransform_mix, ktransform_dot};
