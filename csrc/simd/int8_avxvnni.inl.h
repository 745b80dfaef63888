// int8.inl.h's products on AVX-VNNI, the vpdpbusd of processors without AVX-512; behind int8_ymm.inl.h.
constexpr bool kWide = false, kSigned = false;

static inline I32 dot(I32 s, I32 x, I32 w) { return {_mm256_dpbusd_avx_epi32(s.v, x.v, w.v)}; }

constexpr bool kWholeTaps = true, kNarrowTaps = false;

struct WholeTaps {
  static constexpr int kRows = 4, kVectors = 1;
  typedef I32 Sum;
  typedef int8_t Tap;

  static I32 none() { return {_mm256_setzero_si256()}; }
  static I32 tap(const char *w) { return load_group(w); }
  static I32 without(uint32_t bits, I32 tap) { return {_mm256_andnot_si256(_mm256_set1_epi32((int)bits), tap.v)}; }
  // Eight bytes of each row: rows in pairs, pairs in fours.
  template <int N>
  I32 value(const uint8_t *const *rows, int64_t at) const {
    __m128i bytes[4];
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) bytes[u] = u < N ? _mm_loadl_epi64((const __m128i *)(rows[u < N ? u : 0] + at)) : _mm_setzero_si128();
    if constexpr (N == 1) return {_mm256_cvtepu8_epi32(bytes[0])};
    const __m128i first = _mm_unpacklo_epi8(bytes[0], bytes[1]);
    if constexpr (N == 2) return {_mm256_cvtepu16_epi32(first)};
    const __m128i last = _mm_unpacklo_epi8(bytes[2], bytes[3]);
    return {_mm256_set_m128i(_mm_unpackhi_epi16(first, last), _mm_unpacklo_epi16(first, last))};
  }
  static I32 sum(I32 s, I32 value, I32 tap) { return dot(s, value, tap); }
  static void floats(I32 s, F32 *f) { f[0] = to_float(s); }
};
typedef WholeTaps NarrowTaps;  // never used: 32 bits are as fast
