// simd/vec_scalar.h four times side by side: plain C++ with 16 lanes, which runs the tiles of AVX-512 on any machine. Speed matters little here, but compilers take minutes
// for one vector of 64 bytes or for an array of 16 floats.
namespace quarter {
#include "../simd/vec_scalar.h"
}
constexpr int kLanes = 16, kQuarters = kLanes / quarter::kLanes;
constexpr int kTileRows = 12;
struct F32 {
  quarter::F32 v[kQuarters];
};
struct Mask {
  quarter::Mask v[kQuarters];
};

#define SEGNAS_EACH_QUARTER for (int i = 0; i < kQuarters; i++)
static inline F32 broadcast(float x) {
  F32 r;
  SEGNAS_EACH_QUARTER r.v[i] = quarter::broadcast(x);
  return r;
}
static inline F32 zero() { return broadcast(0.0f); }
static inline F32 load(const float *p) {
  F32 r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
static inline void store(float *p, F32 a) { __builtin_memcpy(p, &a, sizeof a); }
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
#define SEGNAS_OF_ONE(Result, name)                                       \
  static inline Result name(F32 a) {                                      \
    Result r;                                                             \
    SEGNAS_EACH_QUARTER r.v[i] = quarter::name(a.v[i]);                   \
    return r;                                                             \
  }
#define SEGNAS_OF_TWO(Result, name)                                       \
  static inline Result name(F32 a, F32 b) {                               \
    Result r;                                                             \
    SEGNAS_EACH_QUARTER r.v[i] = quarter::name(a.v[i], b.v[i]);           \
    return r;                                                             \
  }
#define SEGNAS_OF_THREE(name, First)                                      \
  static inline F32 name(First a, F32 b, F32 c) {                         \
    F32 r;                                                                \
    SEGNAS_EACH_QUARTER r.v[i] = quarter::name(a.v[i], b.v[i], c.v[i]);   \
    return r;                                                             \
  }
SEGNAS_OF_TWO(F32, add)
SEGNAS_OF_TWO(F32, sub)
SEGNAS_OF_TWO(F32, mul)
SEGNAS_OF_TWO(F32, div)
SEGNAS_OF_TWO(F32, max)
SEGNAS_OF_TWO(F32, min)
SEGNAS_OF_THREE(fma, F32)
SEGNAS_OF_ONE(F32, relu)
SEGNAS_OF_ONE(F32, round_even)
SEGNAS_OF_ONE(F32, pow2)
SEGNAS_OF_TWO(Mask, greater)
SEGNAS_OF_TWO(Mask, at_least)
SEGNAS_OF_TWO(Mask, equal)
SEGNAS_OF_THREE(select, Mask)
#undef SEGNAS_OF_ONE
#undef SEGNAS_OF_TWO
#undef SEGNAS_OF_THREE
#undef SEGNAS_EACH_QUARTER
static inline float sum_lanes(F32 a) {
  return quarter::sum_lanes(quarter::add(quarter::add(a.v[0], a.v[2]), quarter::add(a.v[1], a.v[3])));
}
