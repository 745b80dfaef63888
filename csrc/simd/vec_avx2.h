// The vector type on AVX2 + FMA: 8 floats. Included inside a target region and the set's namespace; vec_scalar.h says what each
// operation means.
struct F32 {
  __m256 v;
};
struct Mask {
  __m256 v;
};
constexpr int kLanes = 8;
// Rows x vectors of the GEMM tile: 12 accumulators, 2 B vectors and a broadcast fill 15 of 16 registers.
constexpr int kTileRows = 6;

static inline F32 zero() { return {_mm256_setzero_ps()}; }
static inline F32 broadcast(float x) { return {_mm256_set1_ps(x)}; }
static inline F32 load(const float *p) { return {_mm256_loadu_ps(p)}; }
static inline void store(float *p, F32 a) { _mm256_storeu_ps(p, a.v); }
static inline __m256i lanes_below(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline F32 load_first(const float *p, int n) { return {_mm256_maskload_ps(p, lanes_below(n))}; }
// A masked store takes 12 cycles on AMD's processors up to Zen 3, whatever its mask.
static inline void store_first(float *p, F32 a, int n) { n >= kLanes ? store(p, a) : _mm256_maskstore_ps(p, lanes_below(n), a.v); }
static inline F32 add(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
static inline F32 sub(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
static inline F32 mul(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
static inline F32 div(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
static inline F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
static inline F32 relu(F32 a) { return {_mm256_max_ps(_mm256_setzero_ps(), a.v)}; }
static inline F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
static inline F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
static inline F32 round_even(F32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
static inline Mask greater(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
static inline Mask at_least(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
static inline Mask equal(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
static inline F32 select(Mask m, F32 a, F32 b) { return {_mm256_blendv_ps(b.v, a.v, m.v)}; }
static inline F32 pow2(F32 n) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23))};
}
static inline float sum_lanes(F32 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
