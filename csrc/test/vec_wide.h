// simd/vec_scalar.h with 16 lanes and in arrays: as vectors they take compilers minutes, and speed matters little here. It runs the 16-lane tiles of AVX-512 on any machine.
constexpr int kLanes = 16;
struct F32 {
  float v[kLanes];
};
struct Mask {
  bool v[kLanes];
};
constexpr int kTileRows = 12;

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
