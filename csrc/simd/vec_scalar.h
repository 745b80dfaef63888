// The vector type of any processor: four floats, compilers' own vector type, with which both are twice as fast as with arrays, compilers and kernels (test/vec_wide.h, with 16
// lanes). It is the definition of what each operation means:
//   load_first(p, n), store_first(p, a, n)  only the first n lanes touch memory (n <= 0: none); other lanes load as 0
//   fma(a, b, c)      a*b+c; one rounding where the set has it (avx2, avx512, neon), two here. Where the bits must not differ between sets
//                     (optimiser, interpolation), write add(mul(a, b), c)
//   relu(a)           max(a, 0) with relu(NaN) = NaN
//   max(a, b), min    b when either is NaN (the x86 rule)
//   greater, at_least, equal  false on NaN;  select(m, a, b) = m ? a : b
//   round_even        to the nearest integer, ties to even;  pow2(n) = 2^n for an integral n in [-126, 127]
//   sum_lanes         halves added pairwise: the same tree on every call
constexpr int kLanes = 4;
constexpr int kTileRows = 4;
typedef float FourFloats __attribute__((vector_size(16), aligned(4)));  // aligned as arrays are: by that kernels know vectors that are not a register
typedef int FourInts __attribute__((vector_size(16)));
struct F32 {
  FourFloats v;
};
struct Mask {
  FourInts v;  // all bits or none
};

#define SEGNAS_EACH_LANE for (int i = 0; i < kLanes; i++)

static inline F32 broadcast(float x) { return {FourFloats{x, x, x, x}}; }
static inline F32 zero() { return broadcast(0.0f); }
static inline F32 load(const float *p) {
  F32 r;
  __builtin_memcpy(&r.v, p, sizeof r.v);
  return r;
}
static inline void store(float *p, F32 a) { __builtin_memcpy(p, &a.v, sizeof a.v); }
// Tails are calls: they are rare, and as branches a lane they would be most of the code.
[[gnu::noinline]] static F32 load_some(const float *p, int n) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}
[[gnu::noinline]] static void store_some(float *p, F32 a, int n) {
  float lanes[kLanes];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
static inline F32 load_first(const float *p, int n) { return n >= kLanes ? load(p) : load_some(p, n); }
static inline void store_first(float *p, F32 a, int n) { n >= kLanes ? store(p, a) : store_some(p, a, n); }
static inline F32 add(F32 a, F32 b) { return {a.v + b.v}; }
static inline F32 sub(F32 a, F32 b) { return {a.v - b.v}; }
static inline F32 mul(F32 a, F32 b) { return {a.v * b.v}; }
static inline F32 div(F32 a, F32 b) { return {a.v / b.v}; }
static inline F32 max(F32 a, F32 b) { return {a.v > b.v ? a.v : b.v}; }
static inline F32 min(F32 a, F32 b) { return {a.v < b.v ? a.v : b.v}; }
static inline F32 fma(F32 a, F32 b, F32 c) { return {a.v * b.v + c.v}; }
static inline F32 relu(F32 a) { return {a.v < FourFloats{} ? FourFloats{} : a.v}; }
static inline Mask greater(F32 a, F32 b) { return {a.v > b.v}; }
static inline Mask at_least(F32 a, F32 b) { return {a.v >= b.v}; }
static inline Mask equal(F32 a, F32 b) { return {a.v == b.v}; }
static inline F32 select(Mask m, F32 a, F32 b) { return {m.v ? a.v : b.v}; }
static inline F32 round_even(F32 a) {
  float lanes[kLanes];
  store(lanes, a);
  SEGNAS_EACH_LANE lanes[i] = __builtin_nearbyintf(lanes[i]);
  return load(lanes);
}
static inline F32 pow2(F32 n) {
  float lanes[kLanes];
  store(lanes, n);
  SEGNAS_EACH_LANE {
    const unsigned bits = (unsigned)((int)lanes[i] + 127) << 23;
    __builtin_memcpy(&lanes[i], &bits, 4);
  }
  return load(lanes);
}
static inline float sum_lanes(F32 a) {
  float lanes[kLanes];
  store(lanes, a);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}
#undef SEGNAS_EACH_LANE
