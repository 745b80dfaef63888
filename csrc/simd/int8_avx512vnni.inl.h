// int8.inl.h's vectors on AVX-512 VNNI; int8_scalar.inl.h says what each operation means.
// Of the type that vpdpbusd adds to: GCC 12 copies sums of another one back and forth.
typedef int Sums __attribute__((vector_size(64)));
struct I32 {
  Sums v;
};
constexpr bool kWide = false, kNarrow = false;

static inline I32 load_sums(const int32_t *p) { return {(Sums)_mm512_loadu_si512(p)}; }
static inline I32 load_group(const void *p) { return {(Sums)_mm512_loadu_si512(p)}; }
static inline I32 broadcast_group(const void *p) {
  int group;
  __builtin_memcpy(&group, p, 4);
  return {(Sums)_mm512_set1_epi32(group)};
}
static inline I32 dot(I32 s, I32 x, I32 w) { return {(Sums)_mm512_dpbusd_epi32((__m512i)s.v, (__m512i)x.v, (__m512i)w.v)}; }
// Never called: 32 bits are as fast.
static inline I32 halves() { return {(Sums)_mm512_setzero_si512()}; }
static inline I32 dot_halves(I32 s, I32 x, I32 w) { return dot(s, x, w); }
static inline I32 add_halves(I32 s, I32 h) { return {s.v + h.v}; }
static inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps((__m512i)a.v)}; }
static inline F32 fused(F32 a, F32 b, F32 c) { return fma(a, b, c); }
static inline F32 from_bytes(const uint8_t *p) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)))}; }
static inline void to_bytes(uint8_t *p, F32 a, int plus) {
  const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(a.v), _mm512_set1_epi32(plus));
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(whole));
}
static inline void widen(const uint8_t *, int64_t, int16_t *) {}
