// The vector type on AVX-512 (F, BW, DQ, VL): 16 floats. Included inside a target region and the set's namespace; vec_scalar.h says what
// each operation means.
struct F32 {
  __m512 v;
};
struct Mask {
  __mmask16 v;
};
constexpr int kLanes = 16;
// Rows x vectors of the GEMM tile: 24 accumulators, 2 B vectors and broadcasts folded into the FMAs, of 32 registers.
constexpr int kTileRows = 12;

static inline F32 zero() { return {_mm512_setzero_ps()}; }
static inline F32 broadcast(float x) { return {_mm512_set1_ps(x)}; }
static inline F32 load(const float *p) { return {_mm512_loadu_ps(p)}; }
static inline void store(float *p, F32 a) { _mm512_storeu_ps(p, a.v); }
static inline __mmask16 lanes_below(int n) { return n >= 16 ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1); }
static inline F32 load_first(const float *p, int n) { return {_mm512_maskz_loadu_ps(lanes_below(n), p)}; }
static inline void store_first(float *p, F32 a, int n) { _mm512_mask_storeu_ps(p, lanes_below(n), a.v); }
static inline F32 add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline F32 sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline F32 mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline F32 div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline F32 relu(F32 a) { return {_mm512_max_ps(_mm512_setzero_ps(), a.v)}; }
static inline F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
static inline F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
static inline F32 round_even(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
static inline Mask greater(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
static inline Mask at_least(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
static inline Mask equal(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
static inline F32 select(Mask m, F32 a, F32 b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
static inline F32 pow2(F32 n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}
static inline float sum_lanes(F32 a) {
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
