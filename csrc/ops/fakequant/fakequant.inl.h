// Both passes read and write each tensor once, in the order in which it lies, and are bound by memory:
//   forward   5 operations and 8 bytes an element (12 where y's lines are fetched before they are written)
//   backward  5 operations and 12 bytes an element with dx in place of dy; learned steps: 10 operations
//
// Tile: 4 pixels x 1 vector for at most 64 channels, so that the ranges and the running sums are loaded once for 4 pixels; 1 pixel x 1 vector
// beyond, as in batch norm. With a clip for the whole tensor dense rows are one long row; its range is read anew for every vector, as a store may
// alias it, which costs nothing: memory operands that are broadcast.
//
// Zen 5, AVX-512, one thread beside others, best of many; floor: the same traffic with one operation a vector, in turns with it.
//                                   forward  floor   backward (PACT, steps)  floor       ns a vector of 16
//   21600x384 (33 MB), one clip     2.5      2.7     2.8, 2.8                2.9
//   21600x384, a clip a channel     2.7      2.7     3.6, 2.8                2.9
//   345600x32 (44 MB), one clip     2.7      3.3     3.3, 3.3                3.1
//   345600x32, a clip a channel     2.8      3.3     3.5, 3.3                3.1
//   in the first-level cache        0.7      0.5     1.2, 1.4                0.6
#define SEGNAS_FAKEQUANT_INLINE __attribute__((always_inline)) static inline
namespace fakequant {

// The choice depends on the shape, since it decides the order of the sums.
static inline bool narrow(int64_t channels) { return channels <= 64; }

template <bool kWhole>
static inline F32 get(const float *p, int n) {
  return kWhole ? load(p) : load_first(p, n);
}

template <bool kWhole>
static inline void put(float *p, F32 a, int n) {
  kWhole ? store(p, a) : store_first(p, a, n);
}

// A value of each channel, or the one that all share.
template <bool kChannels, bool kWhole>
static inline F32 of_channels(const float *p, int64_t c, int n) {
  return kChannels ? get<kWhole>(p + c, n) : broadcast(*p);
}

template <bool kChannels, int kPixels, bool kWhole>
SEGNAS_FAKEQUANT_INLINE void forward_vector(const FakequantForward &a, int64_t p, int64_t c, int n) {
  const F32 low = of_channels<kChannels, kWhole>(a.range.low, c, n), high = of_channels<kChannels, kWhole>(a.range.high, c, n);
  const F32 r = of_channels<kChannels, kWhole>(a.range.r, c, n), s = of_channels<kChannels, kWhole>(a.range.s, c, n);
  for (int i = 0; i < kPixels; i++)
    put<kWhole>(a.y + (p + i) * a.y_pitch + c, quantise(get<kWhole>(a.x + (p + i) * a.x_pitch + c, n), low, high, r, s), n);
}

template <bool kChannels, int kPixels>
SEGNAS_FAKEQUANT_INLINE void forward_pixels(const FakequantForward &a, int64_t p) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) forward_vector<kChannels, kPixels, true>(a, p, c, kLanes);
  if (c < a.channels) forward_vector<kChannels, kPixels, false>(a, p, c, (int)(a.channels - c));
}

// Arguments by value: a store may alias what lies behind a reference, which would be loaded again for every vector.
template <bool kChannels, int kRows>
static void forward_all(const FakequantForward a) {
  int64_t p = 0;
  for (; p + kRows <= a.pixels; p += kRows) forward_pixels<kChannels, kRows>(a, p);
  for (; p < a.pixels; p++) forward_pixels<kChannels, 1>(a, p);
}

static void forward(const FakequantForward &a) {
  if (a.range.per_channel) {
    narrow(a.channels) ? forward_all<true, 4>(a) : forward_all<true, 1>(a);
  } else if (a.x_pitch == a.channels && a.y_pitch == a.channels) {
    FakequantForward row = a;
    row.channels = a.pixels * a.channels;
    row.pixels = 1;
    forward_all<false, 1>(row);
  } else {
    narrow(a.channels) ? forward_all<false, 4>(a) : forward_all<false, 1>(a);
  }
}

// What an element adds to its clip's gradient. Choices, no products with zero: a dy that is infinite counts where it is chosen alone.
template <bool kSigned, bool kStep>
SEGNAS_FAKEQUANT_INLINE F32 clip_term(F32 x, F32 dy, F32 low, F32 high, F32 r, F32 step) {
  F32 term = zero();
  if constexpr (kStep) {
    F32 level = mul(x, r);
    term = within(x, low, high, mul(dy, mul(sub(round_even(level), level), step)));
  }
  term = select(at_least(x, high), dy, term);
  if constexpr (kSigned) term = select(at_least(low, x), sub(zero(), dy), term);
  return term;
}

// Pairwise.
template <int kTerms>
static inline F32 sum_terms(const F32 *terms) {
  if constexpr (kTerms == 1) {
    return terms[0];
  } else {
    return add(sum_terms<kTerms / 2>(terms), sum_terms<kTerms / 2>(terms + kTerms / 2));
  }
}

template <bool kSigned, bool kStep, bool kChannels, int kPixels, bool kWhole>
SEGNAS_FAKEQUANT_INLINE void backward_vector(const FakequantBackward &a, F32 step, int64_t p, int64_t c, int n) {
  const F32 low = of_channels<kChannels, kWhole>(a.range.low, c, n), high = of_channels<kChannels, kWhole>(a.range.high, c, n);
  const F32 r = of_channels<kChannels, kWhole>(a.range.r, c, n);
  F32 terms[kPixels];
  for (int i = 0; i < kPixels; i++) {
    F32 x = get<kWhole>(a.x + (p + i) * a.x_pitch + c, n), dy = get<kWhole>(a.dy + (p + i) * a.dy_pitch + c, n);
    terms[i] = clip_term<kSigned, kStep>(x, dy, low, high, r, step);
    put<kWhole>(a.dx + (p + i) * a.dx_pitch + c, within(x, low, high, dy), n);
  }
  put<kWhole>(a.block + c, add(get<kWhole>(a.block + c, n), sum_terms<kPixels>(terms)), n);
}

template <bool kSigned, bool kStep, bool kChannels, int kPixels>
SEGNAS_FAKEQUANT_INLINE void backward_pixels(const FakequantBackward &a, F32 step, int64_t p) {
  int64_t c = 0;
  for (; c + kLanes <= a.channels; c += kLanes) backward_vector<kSigned, kStep, kChannels, kPixels, true>(a, step, p, c, kLanes);
  if (c < a.channels) backward_vector<kSigned, kStep, kChannels, kPixels, false>(a, step, p, c, (int)(a.channels - c));
}

template <bool kSigned, bool kStep, bool kChannels, int kRows>
static void backward_all(const FakequantBackward a) {
  const F32 step = broadcast(a.step);
  for (int64_t c = 0; c < a.channels; c++) a.sums[c] = 0;
  for (int64_t begin = 0; begin < a.pixels; begin += kFakequantBlock) {
    const int64_t end = begin + kFakequantBlock < a.pixels ? begin + kFakequantBlock : a.pixels;
    for (int64_t c = 0; c < a.channels; c++) a.block[c] = 0;
    int64_t p = begin;
    for (; p + kRows <= end; p += kRows) backward_pixels<kSigned, kStep, kChannels, kRows>(a, step, p);
    for (; p < end; p++) backward_pixels<kSigned, kStep, kChannels, 1>(a, step, p);
    for (int64_t c = 0; c < a.channels; c++) a.sums[c] += (double)a.block[c];
  }
}

template <bool kSigned, bool kStep>
static void backward_of(const FakequantBackward &a) {
  if (narrow(a.channels)) {
    a.range.per_channel ? backward_all<kSigned, kStep, true, 4>(a) : backward_all<kSigned, kStep, false, 4>(a);
  } else {
    a.range.per_channel ? backward_all<kSigned, kStep, true, 1>(a) : backward_all<kSigned, kStep, false, 1>(a);
  }
}

static void backward(const FakequantBackward &a) {
  if (a.step != 0) {
    a.is_signed ? backward_of<true, true>(a) : backward_of<false, true>(a);
  } else {
    a.is_signed ? backward_of<true, false>(a) : backward_of<false, false>(a);
  }
}

}  // namespace fakequant
#undef SEGNAS_FAKEQUANT_INLINE

static constexpr FakequantKernels kFakequant = {fakequant::forward, fakequant::backward};
