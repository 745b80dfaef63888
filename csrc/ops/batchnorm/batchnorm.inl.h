// Batch norm's passes over pixels. Each is bound by memory: x and y are read and written once a pass, in the order in which they lie.
//
// Tile: 4 pixels x 1 vector for at most 64 channels, so that the per-channel parameters and the running sums are loaded once for 4 pixels; 1
// pixel x 1 vector beyond. Memory wants to be read strictly in sequence: 4 pixels of 384 channels side by side ran at 60 % of the speed of
// one after another, and blocks of channels over all pixels, which would stay in the third-level cache between two passes, are read at 8 of
// 20 GB/s. The running sums of a block live in the first-level cache.
//
// Zen 3, AVX2, one thread, processor time, y apart from x, dx in place of dy; floor: the same traffic with one operation a vector.
//   8x45x60x384 (33 MB)   forward 5.8 ms (floor 4.7: 81 %)   backward 7.6 ms (floor 5.5: 72 %)
//   8x180x240x32 (44 MB)  forward 6.3 ms (floor 6.3)         backward 8.9 ms (floor 7.4: 83 %)
//
// The loops take their arguments by value and everything in them is inlined: a vector store may alias an argument behind a reference, which
// would be loaded again for every vector (and took half of the time).
#define SEGNAS_BATCHNORM_INLINE __attribute__((always_inline)) static inline
namespace batchnorm {

// The choice depends on the shape, since it decides the order of the sums.
static inline bool narrow(int64_t channels) { return channels <= 64; }

template <bool kWhole>
static inline F32 get(const float *p, int n) {
  if constexpr (kWhole) return load(p);
  return load_first(p, n);
}

template <bool kWhole>
static inline void put(float *p, F32 a, int n) {
  if constexpr (kWhole) {
    store(p, a);
  } else {
    store_first(p, a, n);
  }
}

// A row of the range; nothing is read where there is none.
template <bool kQuantised, bool kWhole>
static inline F32 bound(const float *p, int64_t c, int n) {
  if constexpr (!kQuantised) return zero();
  return get<kWhole>(p + c, n);
}

// The forward value before ReLU; the backward pass's mask must see these very bits.
static inline F32 normalise(F32 centred, F32 scale, F32 beta) { return fma(centred, scale, beta); }

// The sum of kTerms terms, pairwise.
template <int kTerms>
static inline F32 sum_terms(const F32 *terms) {
  if constexpr (kTerms == 1) {
    return terms[0];
  } else {
    return add(sum_terms<kTerms / 2>(terms), sum_terms<kTerms / 2>(terms + kTerms / 2));
  }
}

// Blocks of sums, `count` of them: zeroed before, added to the slab's double sums after.
static void start_sums(int64_t count, double *sums) {
  for (int64_t c = 0; c < count; c++) sums[c] = 0;
}
static void start_block(int64_t count, float *block) {
  for (int64_t c = 0; c < count; c++) block[c] = 0;
}
static void end_block(int64_t count, const float *block, double *sums) {
  for (int64_t c = 0; c < count; c++) sums[c] += (double)block[c];
}

template <int kPixels, bool kWhole>
SEGNAS_BATCHNORM_INLINE void add_moments(const BatchnormSums &a, const float *x, int64_t c, int n) {
  F32 shift = get<kWhole>(a.shift + c, n);
  F32 first[kPixels], second[kPixels];
  for (int i = 0; i < kPixels; i++) {
    first[i] = sub(get<kWhole>(x + i * a.pitch + c, n), shift);
    second[i] = mul(first[i], first[i]);
  }
  float *sum = a.block + c, *squares = sum + a.channels;
  put<kWhole>(sum, add(get<kWhole>(sum, n), sum_terms<kPixels>(first)), n);
  put<kWhole>(squares, add(get<kWhole>(squares, n), sum_terms<kPixels>(second)), n);
}

template <int kPixels>
SEGNAS_BATCHNORM_INLINE void add_moments_of(const BatchnormSums &a, const float *x) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) add_moments<kPixels, true>(a, x, c, kLanes);
  if (c < a.channels) add_moments<kPixels, false>(a, x, c, (int)(a.channels - c));
}

template <int kRows>
static void sums_all(const BatchnormSums a) {
  if (!a.more) start_sums(2 * a.channels, a.sums);
  for (int64_t begin = 0; begin < a.pixels; begin += kBatchnormBlock) {
    int64_t end = begin + kBatchnormBlock < a.pixels ? begin + kBatchnormBlock : a.pixels;
    start_block(2 * a.channels, a.block);
    int64_t p = begin;
    for (; p + kRows <= end; p += kRows) add_moments_of<kRows>(a, a.x + p * a.pitch);
    for (; p < end; p++) add_moments_of<1>(a, a.x + p * a.pitch);
    end_block(2 * a.channels, a.block, a.sums);
  }
}

// batchnorm_sums: 4 operations and 4 bytes an element. Depth kBatchnormBlock within a block.
static void sums(const BatchnormSums &a) { narrow(a.channels) ? sums_all<4>(a) : sums_all<1>(a); }

template <bool kRelu, bool kQuantised, int kPixels, bool kWhole>
SEGNAS_BATCHNORM_INLINE void apply_vector(const BatchnormApply &a, int64_t p, int64_t c, int n) {
  F32 mean = get<kWhole>(a.mean + c, n), scale = get<kWhole>(a.scale + c, n), beta = get<kWhole>(a.beta + c, n);
  F32 low = bound<kQuantised, kWhole>(a.range.low, c, n), high = bound<kQuantised, kWhole>(a.range.high, c, n);
  F32 r = bound<kQuantised, kWhole>(a.range.r, c, n), s = bound<kQuantised, kWhole>(a.range.s, c, n);
  for (int i = 0; i < kPixels; i++) {
    if (a.ahead) __builtin_prefetch(a.x + (p + i) * a.x_pitch + c + a.ahead, 0, 2);
    F32 y = normalise(sub(get<kWhole>(a.x + (p + i) * a.x_pitch + c, n), mean), scale, beta);
    if constexpr (kRelu) y = relu(y);
    if constexpr (kQuantised) y = quantise(y, low, high, r, s);
    put<kWhole>(a.y + (p + i) * a.y_pitch + c, y, n);
  }
}

template <bool kRelu, bool kQuantised, int kPixels>
SEGNAS_BATCHNORM_INLINE void apply_pixels(const BatchnormApply &a, int64_t p) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) apply_vector<kRelu, kQuantised, kPixels, true>(a, p, c, kLanes);
  if (c < a.channels) apply_vector<kRelu, kQuantised, kPixels, false>(a, p, c, (int)(a.channels - c));
}

template <bool kRelu, bool kQuantised, int kRows>
static void apply_all(const BatchnormApply a) {
  int64_t p = 0;
  for (; p + kRows <= a.pixels; p += kRows) apply_pixels<kRelu, kQuantised, kRows>(a, p);
  for (; p < a.pixels; p++) apply_pixels<kRelu, kQuantised, 1>(a, p);
}

template <bool kQuantised, int kRows>
static void apply_of(const BatchnormApply &a) {
  a.relu ? apply_all<true, kQuantised, kRows>(a) : apply_all<false, kQuantised, kRows>(a);
}

// batchnorm_apply: 3 operations, quantised 8, and 8 bytes an element (12 where y's lines are fetched before they are written).
static void apply(const BatchnormApply &a) {
  if (narrow(a.channels)) {
    a.range.low ? apply_of<true, 4>(a) : apply_of<false, 4>(a);
  } else {
    a.range.low ? apply_of<true, 1>(a) : apply_of<false, 1>(a);
  }
}

// dy where the forward value is positive and within its range; all of dy without ReLU and range.
template <bool kRelu, bool kQuantised>
static inline F32 masked(F32 dy, F32 value, F32 low, F32 high) {
  if constexpr (kQuantised) dy = within(value, low, high, dy);
  if constexpr (kRelu) dy = select(greater(value, zero()), dy, zero());
  return dy;
}

// What an element adds to its clip's gradient. ReLU leaves nothing below the range; floor: low, or NaN where it is 0.
template <bool kRelu>
static inline F32 clip_term(F32 dy, F32 value, F32 floor, F32 high) {
  F32 term = select(at_least(value, high), dy, zero());
  return kRelu ? term : select(at_least(floor, value), sub(zero(), dy), term);
}

template <bool kRelu, bool kFrozen, bool kQuantised, int kPixels, bool kWhole>
SEGNAS_BATCHNORM_INLINE void add_gradients(const BatchnormGradientSums &a, int64_t p, int64_t c, int n) {
  F32 mean = get<kWhole>(a.mean + c, n), scale = get<kWhole>(a.scale + c, n), beta = get<kWhole>(a.beta + c, n);
  F32 low = bound<kQuantised, kWhole>(a.range.low, c, n), high = bound<kQuantised, kWhole>(a.range.high, c, n);
  F32 floor = select(greater(zero(), low), low, broadcast(__builtin_nanf("")));
  F32 g[kPixels], gx[kPixels], beyond[kPixels];
  for (int i = 0; i < kPixels; i++) {
    F32 centred = sub(get<kWhole>(a.x + (p + i) * a.x_pitch + c, n), mean), value = normalise(centred, scale, beta);
    F32 dy = get<kWhole>(a.dy + (p + i) * a.dy_pitch + c, n);
    if constexpr (kQuantised) beyond[i] = clip_term<kRelu>(dy, value, floor, high);
    g[i] = masked<kRelu, kQuantised>(dy, value, low, high);
    gx[i] = mul(g[i], centred);
    if constexpr (kFrozen) put<kWhole>(a.dx + (p + i) * a.dx_pitch + c, mul(scale, g[i]), n);
  }
  float *sum = a.block + c, *products = sum + a.channels, *clips = products + a.channels;
  put<kWhole>(sum, add(get<kWhole>(sum, n), sum_terms<kPixels>(g)), n);
  put<kWhole>(products, add(get<kWhole>(products, n), sum_terms<kPixels>(gx)), n);
  if constexpr (kQuantised) put<kWhole>(clips, add(get<kWhole>(clips, n), sum_terms<kPixels>(beyond)), n);
}

template <bool kRelu, bool kFrozen, bool kQuantised, int kPixels>
SEGNAS_BATCHNORM_INLINE void add_gradients_of(const BatchnormGradientSums &a, int64_t p) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) add_gradients<kRelu, kFrozen, kQuantised, kPixels, true>(a, p, c, kLanes);
  if (c < a.channels) add_gradients<kRelu, kFrozen, kQuantised, kPixels, false>(a, p, c, (int)(a.channels - c));
}

template <bool kRelu, bool kFrozen, bool kQuantised, int kRows>
static void gradient_sums_all(const BatchnormGradientSums a) {
  const int64_t count = (kQuantised ? 3 : 2) * a.channels;
  if (!a.more) start_sums(count, a.sums);
  for (int64_t begin = 0; begin < a.pixels; begin += kBatchnormBlock) {
    int64_t end = begin + kBatchnormBlock < a.pixels ? begin + kBatchnormBlock : a.pixels;
    start_block(count, a.block);
    int64_t p = begin;
    for (; p + kRows <= end; p += kRows) add_gradients_of<kRelu, kFrozen, kQuantised, kRows>(a, p);
    for (; p < end; p++) add_gradients_of<kRelu, kFrozen, kQuantised, 1>(a, p);
    end_block(count, a.block, a.sums);
  }
}

template <bool kFrozen, bool kQuantised, int kRows>
static void gradient_sums_of(const BatchnormGradientSums &a) {
  a.relu ? gradient_sums_all<true, kFrozen, kQuantised, kRows>(a) : gradient_sums_all<false, kFrozen, kQuantised, kRows>(a);
}

template <int kRows>
static void gradient_sums_rows(const BatchnormGradientSums &a) {
  if (a.range.low) {
    gradient_sums_of<false, true, kRows>(a);
  } else {
    a.dx ? gradient_sums_of<true, false, kRows>(a) : gradient_sums_of<false, false, kRows>(a);
  }
}

// batchnorm_gradient_sums: 8 operations, quantised 13, and 8 bytes an element (12 when frozen, which writes dx as well).
static void gradient_sums(const BatchnormGradientSums &a) { narrow(a.channels) ? gradient_sums_rows<4>(a) : gradient_sums_rows<1>(a); }

template <bool kRelu, bool kQuantised, int kPixels, bool kWhole>
SEGNAS_BATCHNORM_INLINE void gradient_vector(const BatchnormGradient &a, int64_t p, int64_t c, int n) {
  F32 mean = get<kWhole>(a.mean + c, n), scale = get<kWhole>(a.scale + c, n), beta = get<kWhole>(a.beta + c, n);
  F32 centre = get<kWhole>(a.centre + c, n), slope = get<kWhole>(a.slope + c, n);
  F32 low = bound<kQuantised, kWhole>(a.range.low, c, n), high = bound<kQuantised, kWhole>(a.range.high, c, n);
  for (int i = 0; i < kPixels; i++) {
    if (a.ahead) {
      __builtin_prefetch(a.x + (p + i) * a.x_pitch + c + a.ahead, 0, 2);
      __builtin_prefetch(a.dy + (p + i) * a.dy_pitch + c + a.ahead, 0, 2);
    }
    F32 centred = sub(get<kWhole>(a.x + (p + i) * a.x_pitch + c, n), mean);
    F32 g = masked<kRelu, kQuantised>(get<kWhole>(a.dy + (p + i) * a.dy_pitch + c, n), normalise(centred, scale, beta), low, high);
    F32 dx = mul(scale, sub(sub(g, centre), mul(centred, slope)));
    put<kWhole>(a.dx + (p + i) * a.dx_pitch + c, dx, n);
  }
}

template <bool kRelu, bool kQuantised, int kPixels>
SEGNAS_BATCHNORM_INLINE void gradient_pixels(const BatchnormGradient &a, int64_t p) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) gradient_vector<kRelu, kQuantised, kPixels, true>(a, p, c, kLanes);
  if (c < a.channels) gradient_vector<kRelu, kQuantised, kPixels, false>(a, p, c, (int)(a.channels - c));
}

template <bool kRelu, bool kQuantised, int kRows>
static void gradient_all(const BatchnormGradient a) {
  int64_t p = 0;
  for (; p + kRows <= a.pixels; p += kRows) gradient_pixels<kRelu, kQuantised, kRows>(a, p);
  for (; p < a.pixels; p++) gradient_pixels<kRelu, kQuantised, 1>(a, p);
}

template <bool kQuantised, int kRows>
static void gradient_of(const BatchnormGradient &a) {
  a.relu ? gradient_all<true, kQuantised, kRows>(a) : gradient_all<false, kQuantised, kRows>(a);
}

// batchnorm_gradient: 8 operations, quantised 10, and 12 bytes an element, dx in place of dy.
static void gradient(const BatchnormGradient &a) {
  if (narrow(a.channels)) {
    a.range.low ? gradient_of<true, 4>(a) : gradient_of<false, 4>(a);
  } else {
    a.range.low ? gradient_of<true, 1>(a) : gradient_of<false, 1>(a);
  }
}

}  // namespace batchnorm
#undef SEGNAS_BATCHNORM_INLINE

static constexpr BatchnormKernels kBatchnorm = {batchnorm::sums, batchnorm::apply, batchnorm::gradient_sums, batchnorm::gradient};
