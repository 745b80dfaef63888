// int8.inl.h's vectors on AVX2, which has no products of bytes that cannot saturate; int8_scalar.inl.h says what each operation means.
struct I32 {
  __m256i v;
};
constexpr bool kWide = true, kNarrow = true;

static inline I32 load_sums(const int32_t *p) { return {_mm256_loadu_si256((const __m256i *)p)}; }
static inline I32 load_group(const void *p) { return {_mm256_loadu_si256((const __m256i *)p)}; }
static inline I32 broadcast_group(const void *p) {
  int group;
  __builtin_memcpy(&group, p, 4);
  return {_mm256_set1_epi32(group)};
}
static inline I32 dot(I32 s, I32 x, I32 w) { return {_mm256_add_epi32(s.v, _mm256_madd_epi16(x.v, w.v))}; }
// Sums in 16 bits: two to each column.
static inline I32 halves() { return {_mm256_setzero_si256()}; }
static inline I32 dot_halves(I32 s, I32 x, I32 w) { return {_mm256_add_epi16(s.v, _mm256_maddubs_epi16(x.v, w.v))}; }
static inline I32 add_halves(I32 s, I32 h) { return {_mm256_add_epi32(s.v, _mm256_madd_epi16(h.v, _mm256_set1_epi16(1)))}; }
static inline F32 to_float(I32 a) { return {_mm256_cvtepi32_ps(a.v)}; }
static inline F32 fused(F32 a, F32 b, F32 c) { return fma(a, b, c); }
static inline F32 from_bytes(const uint8_t *p) { return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)))}; }
// Bounds are left to packs as far as they go: a float below all whole numbers becomes the least of them, and a byte no less than 0.
struct Bytes {
  __m256 high;
  __m256i plus, least;  // halves, bytes

  explicit Bytes(const Int8Output &o)
      : high(_mm256_set1_ps(o.high)), plus(_mm256_set1_epi16((short)o.zero)), least(_mm256_set1_epi8(o.floats ? (char)0 : (char)(o.zero + (int)o.low))) {}
  __m256i whole(F32 f) const { return _mm256_cvtps_epi32(_mm256_min_ps(high, f.v)); }
  __m256i halves(F32 a, F32 b) const { return _mm256_adds_epi16(_mm256_packs_epi32(whole(a), whole(b)), plus); }
};
static inline void keep(const Bytes &bytes, F32 f, uint8_t *y) {
  const __m256i whole = bytes.whole(f);
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  const __m128i sums = _mm_adds_epi16(halves, _mm256_castsi256_si128(bytes.plus));
  _mm_storel_epi64((__m128i *)y, _mm_max_epu8(_mm_packus_epi16(sums, sums), _mm256_castsi256_si128(bytes.least)));
}
[[gnu::always_inline]] static inline void keep_four(const Bytes &bytes, const F32 (&f)[4], uint8_t *const (&y)[4]) {
  // Packs stay within 128 bits: the four vectors' lower halves, then their upper ones.
  const __m256i mixed = _mm256_max_epu8(_mm256_packus_epi16(bytes.halves(f[0], f[1]), bytes.halves(f[2], f[3])), bytes.least);
  const __m256i four = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m128i first = _mm256_castsi256_si128(four), last = _mm256_extracti128_si256(four, 1);
  _mm_storel_epi64((__m128i *)y[0], first);
  _mm_storeh_pd((double *)y[1], _mm_castsi128_pd(first));
  _mm_storel_epi64((__m128i *)y[2], last);
  _mm_storeh_pd((double *)y[3], _mm_castsi128_pd(last));
}
// n bytes, a multiple of 16, to 16 bits each.
static inline void widen(const uint8_t *p, int64_t n, int16_t *to) {
  for (int64_t i = 0; i < n; i += 16) _mm256_storeu_si256((__m256i *)(to + i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + i))));
}

constexpr bool kWholeTaps = true, kNarrowTaps = true;

struct WholeTaps {
  static constexpr int kRows = 2, kVectors = 1;
  typedef I32 Sum;
  typedef int16_t Tap;

  static I32 none() { return {_mm256_setzero_si256()}; }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 kept_rows(I32 tap, uint32_t missing) {
    return {_mm256_andnot_si256(_mm256_set1_epi32((int)((missing & 1) * 0xffffu | (missing >> 1 & 1) * 0xffff0000u)), tap.v)};
  }
  template <int N>
  I32 value(const uint8_t *const *rows, int64_t at) const {
    const __m128i first = _mm_loadl_epi64((const __m128i *)(rows[0] + at));
    if constexpr (N == 1) return {_mm256_cvtepu8_epi32(first)};
    else return {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, _mm_loadl_epi64((const __m128i *)(rows[1] + at))))};
  }
  static I32 sum(I32 s, I32 value, I32 tap) { return dot(s, value, tap); }
  static void floats(I32 s, F32 *f) { f[0] = to_float(s); }
};

struct NarrowTaps {
  static constexpr int kRows = 2, kVectors = 2;
  typedef I32 Sum;
  typedef int8_t Tap;

  static I32 none() { return halves(); }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 kept_rows(I32 tap, uint32_t missing) {
    return {_mm256_andnot_si256(_mm256_set1_epi16((short)((missing & 1) * 0xffu | (missing >> 1 & 1) * 0xff00u)), tap.v)};
  }
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
