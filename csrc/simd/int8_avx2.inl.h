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
static inline void to_bytes(uint8_t *p, F32 a, int plus) {
  const __m256i whole = _mm256_add_epi32(_mm256_cvtps_epi32(a.v), _mm256_set1_epi32(plus));
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(halves, halves));
}
// n bytes, a multiple of 16, to 16 bits each.
static inline void widen(const uint8_t *p, int64_t n, int16_t *to) {
  for (int64_t i = 0; i < n; i += 16) _mm256_storeu_si256((__m256i *)(to + i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + i))));
}
