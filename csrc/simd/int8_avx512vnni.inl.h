// int8.inl.h's vectors on AVX-512 VNNI; int8_scalar.inl.h says what each operation means.
// Of the type that vpdpbusd adds to: GCC 12 copies sums of another one back and forth.
typedef int Sums __attribute__((vector_size(64)));
struct I32 {
  Sums v;
};
constexpr bool kWide = false, kSigned = false;

static inline I32 load_sums(const int32_t *p) { return {(Sums)_mm512_loadu_si512(p)}; }
static inline I32 load_group(const void *p) { return {(Sums)_mm512_loadu_si512(p)}; }
static inline I32 broadcast_group(const void *p) {
  int group;
  __builtin_memcpy(&group, p, 4);
  return {(Sums)_mm512_set1_epi32(group)};
}
static inline I32 dot(I32 s, I32 x, I32 w) { return {(Sums)_mm512_dpbusd_epi32((__m512i)s.v, (__m512i)x.v, (__m512i)w.v)}; }
static inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps((__m512i)a.v)}; }
static inline F32 fused(F32 a, F32 b, F32 c) { return fma(a, b, c); }
static inline F32 from_bytes(const uint8_t *p) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)))}; }
struct Bytes {
  __m512 high;
  __m512i plus, least;

  // A float below all whole numbers becomes the least of them, which the least byte bounds.
  explicit Bytes(const Int8Output &o)
      : high(_mm512_set1_ps(o.high)), plus(_mm512_set1_epi32(o.zero)), least(_mm512_set1_epi32(o.floats ? 0 : o.zero + (int)o.low)) {}
};
static inline void keep(const Bytes &bytes, F32 f, uint8_t *y) {
  const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(bytes.high, f.v)), bytes.plus);
  _mm_storeu_si128((__m128i *)y, _mm512_cvtepi32_epi8(_mm512_max_epi32(whole, bytes.least)));
}
[[gnu::always_inline]] static inline void keep_four(const Bytes &bytes, const F32 (&f)[4], uint8_t *const (&y)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) keep(bytes, f[i], y[i]);
}

constexpr bool kWholeTaps = true, kNarrowTaps = false;

struct WholeTaps {
  static constexpr int kRows = 4, kVectors = 1;
  typedef I32 Sum;
  typedef int8_t Tap;

  static I32 none() { return {(Sums)_mm512_setzero_si512()}; }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 without(uint32_t bits, I32 tap) { return {(Sums)_mm512_andnot_si512(_mm512_set1_epi32((int)bits), (__m512i)tap.v)}; }
  // Sixteen bytes of each row; then four of each row to 128 bits, and there the transpose of the sixteen.
  template <int N>
  I32 value(const uint8_t *const *rows, int64_t at) const {
    const __m128i first = _mm_loadu_si128((const __m128i *)(rows[0] + at));
    if constexpr (N == 1) return {(Sums)_mm512_cvtepu8_epi32(first)};
    __m512i all = _mm512_zextsi128_si512(first);
    all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[N > 1 ? 1 : 0] + at)), 1);
    if constexpr (N > 2) all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[2] + at)), 2);
    if constexpr (N > 3) all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(rows[3] + at)), 3);
    const __m512i fours = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), all);
    return {(Sums)_mm512_shuffle_epi8(fours, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)))};
  }
  static I32 sum(I32 s, I32 value, I32 tap) { return dot(s, value, tap); }
  static void floats(I32 s, F32 *f) { f[0] = to_float(s); }
};
typedef WholeTaps NarrowTaps;  // never used: 32 bits are as fast
