// int8.inl.h's products on AVX2, whose product of bytes saturates where a sum of two does not fit 16 bits; behind int8_ymm.inl.h. int8_scalar.inl.h says what each operation means.
constexpr bool kWide = true, kSigned = false;

static inline I32 dot_wide(I32 s, I32 x, I32 w) { return {_mm256_add_epi32(s.v, _mm256_madd_epi16(x.v, w.v))}; }
static inline void load_halves(const void *p, I32 *to) { to->v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
static inline I32 dot_pairs(I32 s, I32 x, I32 w) { return {_mm256_add_epi32(s.v, _mm256_madd_epi16(_mm256_maddubs_epi16(x.v, w.v), _mm256_set1_epi16(1)))}; }
// Sums in 16 bits: two to each column.
static inline I32 dot_halves(I32 s, I32 x, I32 w) { return {_mm256_add_epi16(s.v, _mm256_maddubs_epi16(x.v, w.v))}; }
static inline I32 add_halves(I32 s, I32 h) { return {_mm256_add_epi32(s.v, _mm256_madd_epi16(h.v, _mm256_set1_epi16(1)))}; }
// n bytes, a multiple of 16, to 16 bits each.
static inline void copy_row(const uint8_t *p, int64_t n, char *to) {
  for (int64_t i = 0; i < n; i += 16) _mm256_storeu_si256((__m256i *)(to + 2 * i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + i))));
}

constexpr bool kWholeTaps = true, kNarrowTaps = true;

struct WholeTaps {
  static constexpr int kRows = 2, kVectors = 1;
  typedef I32 Sum;
  typedef int16_t Tap;

  static I32 none() { return {_mm256_setzero_si256()}; }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 without(uint32_t bits, I32 tap) { return {_mm256_andnot_si256(_mm256_set1_epi32((int)bits), tap.v)}; }
  template <int N>
  I32 value(const uint8_t *const *rows, int64_t at) const {
    const __m128i first = _mm_loadl_epi64((const __m128i *)(rows[0] + at));
    if constexpr (N == 1) return {_mm256_cvtepu8_epi32(first)};
    else return {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, _mm_loadl_epi64((const __m128i *)(rows[1] + at))))};
  }
  static I32 sum(I32 s, I32 value, I32 tap) { return dot_wide(s, value, tap); }
  static void floats(I32 s, F32 *f) { f[0] = to_float(s); }
};

struct NarrowTaps {
  static constexpr int kRows = 2, kVectors = 2;
  typedef I32 Sum;
  typedef int8_t Tap;

  static I32 none() { return {_mm256_setzero_si256()}; }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 without(uint32_t bits, I32 tap) { return {_mm256_andnot_si256(_mm256_set1_epi32((int)bits), tap.v)}; }
  template <int N>
  I32 value(const uint8_t *const *rows, int64_t at) const {
    const __m128i first = _mm_loadu_si128((const __m128i *)(rows[0] + at));
    if constexpr (N == 1) return {_mm256_cvtepu8_epi16(first)};
    else {
      const __m128i second = _mm_loadu_si128((const __m128i *)(rows[1] + at));
      return {_mm256_set_m128i(_mm_unpackhi_epi8(first, second), _mm_unpacklo_epi8(first, second))};
    }
  }
  static I32 sum(I32 s, I32 value, I32 tap) { return dot_halves(s, value, tap); }
  static void floats(I32 s, F32 *f) {
    f[0] = {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(s.v)))};
    f[1] = {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(s.v, 1)))};
  }
};
