// A vector of 2*kLanes bfloat16s in plain C++: the definition of what each operation means, for any set's F32. Position p of a vector is its
// p-th number in memory.
//   even, odd           the numbers at even and at odd positions, as float32
//   zip(even, odd)      the inverse, rounded to nearest, ties to even; denormals become zero, a NaN stays one
//   widen, narrow       kLanes numbers in memory as they lie
//   dot(acc, a, b)      acc + a[2i+1] b[2i+1], then + a[2i] b[2i]: products of bfloat16s are exact in float32, so each sum rounds once
struct Bf16 {
  uint16_t v[2 * kLanes];
};

static inline float bf16_value(uint16_t b) {
  unsigned bits = (unsigned)(b & 0x7f80 ? b : b & 0x8000) << 16;  // a denormal counts as zero
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

static inline uint16_t bf16_round(float value) {
  unsigned bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  if (!(bits & 0x7f800000)) return (uint16_t)(bits >> 16 & 0x8000);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline Bf16 load_pairs(const uint16_t *p) {
  Bf16 r;
  __builtin_memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline void store_pairs(uint16_t *p, Bf16 a) { __builtin_memcpy(p, a.v, sizeof a.v); }
static inline Bf16 broadcast_pair(const uint16_t *p) {
  Bf16 r;
  for (int i = 0; i < 2 * kLanes; i++) r.v[i] = p[i % 2];
  return r;
}
static inline Bf16 broadcast_half(const uint16_t *p) {
  const uint16_t pair[2] = {p[0], 0};
  return broadcast_pair(pair);
}
static inline F32 even(Bf16 a) {
  float values[kLanes];
  for (int i = 0; i < kLanes; i++) values[i] = bf16_value(a.v[2 * i]);
  return load(values);
}
static inline F32 odd(Bf16 a) {
  float values[kLanes];
  for (int i = 0; i < kLanes; i++) values[i] = bf16_value(a.v[2 * i + 1]);
  return load(values);
}
static inline Bf16 zip(F32 a, F32 b) {
  float first[kLanes], second[kLanes];
  store(first, a);
  store(second, b);
  Bf16 r;
  for (int i = 0; i < kLanes; i++) r.v[2 * i] = bf16_round(first[i]), r.v[2 * i + 1] = bf16_round(second[i]);
  return r;
}
static inline F32 dot(F32 acc, Bf16 a, Bf16 b) { return fma(even(a), even(b), fma(odd(a), odd(b), acc)); }
static inline F32 widen(const uint16_t *p) {
  float values[kLanes];
  for (int i = 0; i < kLanes; i++) values[i] = bf16_value(p[i]);
  return load(values);
}
static inline void narrow_first(uint16_t *p, F32 a, int n) {
  float values[kLanes];
  store(values, a);
  for (int i = 0; i < kLanes && i < n; i++) p[i] = bf16_round(values[i]);
}
static inline void narrow(uint16_t *p, F32 a) { narrow_first(p, a, kLanes); }
