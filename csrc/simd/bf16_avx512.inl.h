// bf16.inl.h's vector on AVX-512 BF16: 32 numbers.
struct Bf16 {
  __m512i v;
};

static inline Bf16 load_pairs(const uint16_t *p) { return {_mm512_loadu_si512(p)}; }
static inline void store_pairs(uint16_t *p, Bf16 a) { _mm512_storeu_si512(p, a.v); }
static inline Bf16 broadcast_pair(const uint16_t *p) {
  int pair;
  __builtin_memcpy(&pair, p, 4);
  return {_mm512_set1_epi32(pair)};
}
static inline Bf16 broadcast_half(const uint16_t *p) { return {_mm512_set1_epi32(*p)}; }
static inline F32 even(Bf16 a) { return {_mm512_castsi512_ps(_mm512_slli_epi32(a.v, 16))}; }
static inline F32 odd(Bf16 a) { return {_mm512_castsi512_ps(_mm512_and_si512(a.v, _mm512_set1_epi32((int)0xffff0000)))}; }
static inline Bf16 zip(F32 a, F32 b) {
  alignas(64) static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return {_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v))};
}
static inline F32 dot(F32 acc, Bf16 a, Bf16 b) { return {_mm512_dpbf16_ps(acc.v, (__m512bh)b.v, (__m512bh)a.v)}; }
static inline F32 widen(const uint16_t *p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16))};
}
static inline void narrow(uint16_t *p, F32 a) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(a.v)); }
static inline void narrow_first(uint16_t *p, F32 a, int n) { _mm256_mask_storeu_epi16(p, lanes_below(n), (__m256i)_mm512_cvtneps_pbh(a.v)); }
