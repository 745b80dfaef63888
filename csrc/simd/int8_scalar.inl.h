// int8.inl.h's vectors in plain C++, which say what each operation means. Four bytes of a row of the left side against four of each of kLanes columns:
//   dot(s, x, w)        s + sum of the group's products: of 4 unsigned bytes x and 4 signed w
//   fused(a, b, c)      a*b+c rounded once
//   from_bytes           kLanes bytes to whole floats
//   Bytes, keep, keep_four  floats within an output's bounds, rounded to nearest, ties to even, to kLanes bytes; four vectors to four places
//   where kWide, in place of dot:
//     dot_wide, load_halves   s + sum of the products of 2 halves each, the signed ones loaded from bytes
//     dot_pairs               dot by sums of two products in 16 bits each, which must fit
//     dot_halves, add_halves  sums of the group's first and last two products in 16 bits each, which must fit, and their addition to sums of 32 bits
//   copy_row(p, n, to)   where kWide or kSigned: n bytes, a multiple of 16, as products take them then
struct I32 {
  int32_t v[kLanes];
};
constexpr bool kWide = false;    // products of bytes are summed in 16 bits first: forms kNarrow, kPairs and kWide in place of kDot
constexpr bool kSigned = false;  // products are of signed bytes, to which unsigned ones are copied less 128 first

#define SEGNAS_EACH_LANE for (int i = 0; i < kLanes; i++)
static inline I32 load_sums(const int32_t *p) {
  I32 r;
  SEGNAS_EACH_LANE r.v[i] = p[i];
  return r;
}
static inline I32 load_group(const void *p) {
  I32 r;
  __builtin_memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline I32 broadcast_group(const void *p) {
  I32 r;
  SEGNAS_EACH_LANE __builtin_memcpy(&r.v[i], p, 4);
  return r;
}
// Product b of a group.
static inline int32_t byte_product(int32_t x, int32_t w, int b) { return (int32_t)((uint32_t)x >> 8 * b & 255) * (int8_t)((uint32_t)w >> 8 * b & 255); }
static inline I32 dot(I32 s, I32 x, I32 w) {
  SEGNAS_EACH_LANE {
    for (int b = 0; b < 4; b++) s.v[i] += byte_product(x.v[i], w.v[i], b);
  }
  return s;
}
static inline F32 to_float(I32 a) {
  float lanes[kLanes];
  SEGNAS_EACH_LANE lanes[i] = (float)a.v[i];
  return load(lanes);
}
static inline F32 fused(F32 a, F32 b, F32 c) {
  float x[kLanes], y[kLanes], z[kLanes];
  store(x, a), store(y, b), store(z, c);
  SEGNAS_EACH_LANE x[i] = __builtin_fmaf(x[i], y[i], z[i]);
  return load(x);
}
static inline F32 from_bytes(const uint8_t *p) {
  float lanes[kLanes];
  SEGNAS_EACH_LANE lanes[i] = (float)p[i];
  return load(lanes);
}
struct Bytes {
  float low, high;
  int plus;

  explicit Bytes(const Int8Output &o) : low(o.low), high(o.high), plus(o.zero) {}
};
static inline void keep(const Bytes &bytes, F32 f, uint8_t *y) {
  float lanes[kLanes];
  store(lanes, min(max(f, broadcast(bytes.low)), broadcast(bytes.high)));
  SEGNAS_EACH_LANE y[i] = (uint8_t)((int)__builtin_rintf(lanes[i]) + bytes.plus);
}
static inline void keep_four(const Bytes &bytes, const F32 (&f)[4], uint8_t *const (&y)[4]) {
  for (int i = 0; i < 4; i++) keep(bytes, f[i], y[i]);
}
#undef SEGNAS_EACH_LANE

// Nothing beats floats here (int8_depthwise.inl.h).
constexpr bool kWholeTaps = false, kNarrowTaps = false;
namespace int8 {
struct FloatTaps;
}
typedef int8::FloatTaps WholeTaps, NarrowTaps;
