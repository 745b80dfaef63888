// What int8_avx2.inl.h and int8_avxvnni.inl.h share: vectors of 8 sums, and their way to bytes. int8_scalar.inl.h says what each operation means.
struct I32 {
  __m256i v;
};
static inline I32 load_sums(const int32_t *p) { return {_mm256_loadu_si256((const __m256i *)p)}; }
static inline I32 load_group(const void *p) { return {_mm256_loadu_si256((const __m256i *)p)}; }
static inline I32 broadcast_group(const void *p) {
  int group;
  __builtin_memcpy(&group, p, 4);
  return {_mm256_set1_epi32(group)};
}
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
