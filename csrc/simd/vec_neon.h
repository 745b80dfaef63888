// The vector type on aarch64's NEON: 4 floats. Included inside the set's namespace; vec_scalar.h says what each operation means.
struct F32 {
  float32x4_t v;
};
struct Mask {
  uint32x4_t v;
};
constexpr int kLanes = 4;
// Rows x vectors of the GEMM tile: 24 accumulators, 2 B vectors and broadcasts, of 32 registers.
constexpr int kTileRows = 12;

static inline F32 zero() { return {vdupq_n_f32(0.0f)}; }
static inline F32 broadcast(float x) { return {vdupq_n_f32(x)}; }
static inline F32 load(const float *p) { return {vld1q_f32(p)}; }
static inline void store(float *p, F32 a) { vst1q_f32(p, a.v); }
// There are no masked loads and stores: lane by lane, which only the ends of rows see.
static inline F32 load_first(const float *p, int n) {
  if (n >= 4) return load(p);
  F32 r = zero();
  if (n > 0) r.v = vld1q_lane_f32(p, r.v, 0);
  if (n > 1) r.v = vld1q_lane_f32(p + 1, r.v, 1);
  if (n > 2) r.v = vld1q_lane_f32(p + 2, r.v, 2);
  return r;
}
static inline void store_first(float *p, F32 a, int n) {
  if (n >= 4) return store(p, a);
  if (n > 0) vst1q_lane_f32(p, a.v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, a.v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, a.v, 2);
}
static inline F32 add(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
static inline F32 sub(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
static inline F32 mul(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
static inline F32 div(F32 a, F32 b) { return {vdivq_f32(a.v, b.v)}; }
static inline F32 fma(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
// FMAX and FMIN make +0 of a signed pair of zeros and a NaN of either NaN; a comparison and a selection do as the other sets do.
static inline F32 relu(F32 a) { return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.v), vcltzq_f32(a.v)))}; }
static inline F32 max(F32 a, F32 b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
static inline F32 min(F32 a, F32 b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
static inline F32 round_even(F32 a) { return {vrndnq_f32(a.v)}; }
static inline Mask greater(F32 a, F32 b) { return {vcgtq_f32(a.v, b.v)}; }
static inline Mask at_least(F32 a, F32 b) { return {vcgeq_f32(a.v, b.v)}; }
static inline Mask equal(F32 a, F32 b) { return {vceqq_f32(a.v, b.v)}; }
static inline F32 select(Mask m, F32 a, F32 b) { return {vbslq_f32(m.v, a.v, b.v)}; }
static inline F32 pow2(F32 n) { return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.v), vdupq_n_s32(127)), 23))}; }
// Halves as in the other sets: FADDP would add neighbours.
static inline float sum_lanes(F32 a) {
  float32x2_t s = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
