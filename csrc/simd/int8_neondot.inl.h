// int8.inl.h's vectors on NEON with the dot product of signed bytes (ARMv8.2's dotprod). Unsigned bytes are made signed ones by their highest bit: rows are copied so, and sums
// begin with what the 128 between them takes away. int8_scalar.inl.h says what each operation means.
struct I32 {
  int32x4_t v;
};
constexpr bool kWide = false, kSigned = true;

static inline I32 load_sums(const int32_t *p) { return {vld1q_s32(p)}; }
static inline I32 load_group(const void *p) { return {vreinterpretq_s32_s8(vld1q_s8((const int8_t *)p))}; }
static inline I32 broadcast_group(const void *p) { return {vld1q_dup_s32((const int32_t *)p)}; }
static inline I32 dot(I32 s, I32 x, I32 w) { return {vdotq_s32(s.v, vreinterpretq_s8_s32(x.v), vreinterpretq_s8_s32(w.v))}; }
static inline F32 to_float(I32 a) { return {vcvtq_f32_s32(a.v)}; }
static inline F32 fused(F32 a, F32 b, F32 c) { return fma(a, b, c); }
static inline F32 from_bytes(const uint8_t *p) {
  uint32_t four;
  __builtin_memcpy(&four, p, 4);
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))))};
}
struct Bytes {
  F32 low, high;
  int32x4_t plus;

  explicit Bytes(const Int8Output &o) : low(broadcast(o.low)), high(broadcast(o.high)), plus(vdupq_n_s32(o.zero)) {}
  int16x4_t halves(F32 f) const { return vmovn_s32(vaddq_s32(vcvtnq_s32_f32(min(max(f, low), high).v), plus)); }
};
static inline void keep(const Bytes &bytes, F32 f, uint8_t *y) {
  const int16x4_t halves = bytes.halves(f);
  const uint32x2_t four = vreinterpret_u32_s8(vmovn_s16(vcombine_s16(halves, halves)));
  const uint32_t word = vget_lane_u32(four, 0);
  __builtin_memcpy(y, &word, 4);
}
static inline void keep_four(const Bytes &bytes, const F32 (&f)[4], uint8_t *const (&y)[4]) {
  for (int i = 0; i < 4; i++) keep(bytes, f[i], y[i]);
}
// n bytes, a multiple of 16, less 128.
static inline void copy_row(const uint8_t *p, int64_t n, char *to) {
  for (int64_t i = 0; i < n; i += 16) vst1q_u8((uint8_t *)to + i, veorq_u8(vld1q_u8(p + i), vdupq_n_u8(128)));
}

// Depthwise layers take floats (int8_depthwise.inl.h).
constexpr bool kWholeTaps = false, kNarrowTaps = false;
namespace int8 {
struct FloatTaps;
}
typedef int8::FloatTaps WholeTaps, NarrowTaps;
