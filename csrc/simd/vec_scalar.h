// The vector type in plain C++, SEGNAS_SCALAR_LANES floats (4, or 16 in opcheck's "wide" build, which runs the 16-lane tiles of AVX-512 on
// any machine). It is the definition of what each operation means:
//   load_first(p, n), store_first(p, a, n)  only the first n lanes touch memory (n <= 0: none); other lanes load as 0
//   fma(a, b, c)      a*b+c; one rounding where the set has it (avx2, avx512, neon), two here. Where the bits must not differ between sets
//                     (optimiser, interpolation), write add(mul(a, b), c)
//   relu(a)           max(a, 0) with relu(NaN) = NaN
//   max(a, b), min    b when either is NaN (the x86 rule)
//   greater, at_least, equal  false on NaN;  select(m, a, b) = m ? a : b
//   round_even        to the nearest integer, ties to even;  pow2(n) = 2^n for an integral n in [-126, 127]
//   sum_lanes         halves added pairwise: the same tree on every call
struct F32 {
  float v[SEGNAS_SCALAR_LANES];
};
struct Mask {
  bool v[SEGNAS_SCALAR_LANES];
};
constexpr int kLanes = SEGNAS_SCALAR_LANES;
constexpr int kTileRows = SEGNAS_SCALAR_LANES == 16 ? 12 : 4;

#define SEGNAS_EACH_LANE for (int i = 0; i < kLanes; i++)
static inline F32 broadcast(float x) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = x;
  return r;
}
static inline F32 zero() { return broadcast(0.0f); }
static inline F32 load(const float *p) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = p[i];
  return r;
}
static inline void store(float *p, F32 a) { SEGNAS_EACH_LANE p[i] = a.v[i]; }
static inline F32 load_first(const float *p, int n) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = i < n ? p[i] : 0.0f;
  return r;
}
static inline void store_first(float *p, F32 a, int n) {
  SEGNAS_EACH_LANE if (i < n) p[i] = a.v[i];
}
#define SEGNAS_LANEWISE(name, expression)  \
  static inline F32 name(F32 a, F32 b) {   \
    F32 r;                                 \
    SEGNAS_EACH_LANE r.v[i] = expression;  \
    return r;                              \
  }
SEGNAS_LANEWISE(add, a.v[i] + b.v[i])
SEGNAS_LANEWISE(sub, a.v[i] - b.v[i])
SEGNAS_LANEWISE(mul, a.v[i] * b.v[i])
SEGNAS_LANEWISE(div, a.v[i] / b.v[i])
SEGNAS_LANEWISE(max, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
SEGNAS_LANEWISE(min, a.v[i] < b.v[i] ? a.v[i] : b.v[i])
#undef SEGNAS_LANEWISE
static inline F32 fma(F32 a, F32 b, F32 c) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = a.v[i] * b.v[i] + c.v[i];
  return r;
}
static inline F32 relu(F32 a) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = a.v[i] < 0.0f ? 0.0f : a.v[i];
  return r;
}
static inline F32 round_even(F32 a) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = __builtin_nearbyintf(a.v[i]);
  return r;
}
static inline Mask greater(F32 a, F32 b) {
  Mask r;
  SEGNAS_EACH_LANE r.v[i] = a.v[i] > b.v[i];
  return r;
}
static inline Mask at_least(F32 a, F32 b) {
  Mask r;
  SEGNAS_EACH_LANE r.v[i] = a.v[i] >= b.v[i];
  return r;
}
static inline Mask equal(F32 a, F32 b) {
  Mask r;
  SEGNAS_EACH_LANE r.v[i] = a.v[i] == b.v[i];
  return r;
}
static inline F32 select(Mask m, F32 a, F32 b) {
  F32 r;
  SEGNAS_EACH_LANE r.v[i] = m.v[i] ? a.v[i] : b.v[i];
  return r;
}
static inline F32 pow2(F32 n) {
  F32 r;
  SEGNAS_EACH_LANE {
    unsigned bits = (unsigned)((int)n.v[i] + 127) << 23;
    __builtin_memcpy(&r.v[i], &bits, 4);
  }
  return r;
}
static inline float sum_lanes(F32 a) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.v[i] += a.v[i + half];
  return a.v[0];
}
#undef SEGNAS_EACH_LANE
