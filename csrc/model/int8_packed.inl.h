// Weights of up to 4 and up to 6 bits in memory, a panel at a time, inside int8.inl.h's namespace. Products read bytes: a panel is unpacked to L1 when its rows are about to pass by,
// which costs a few instructions for 32 weights once, where the products of 32 weights take that many for each row.
//
// Of a panel of P bytes, byte i has its lower 4 bits in byte i % (P/2), the upper half of that for the second P/2; with 6 bits, its upper 2 are behind those, in byte i % (P/4).
static inline int64_t packed_bits(const Int8Input &x) { return x.most_weight <= 7 ? 4 : x.most_weight <= 31 ? 6 : 8; }
static inline int64_t unpacked_bytes(int64_t k) { return 4 * kColumns * groups(k); }
static inline int64_t panel_bytes(int64_t k, const Int8Input &x) { return unpacked_bytes(k) * packed_bits(x) / 8; }

static void pack_bits(const int8_t *from, int64_t bytes, int64_t bits, uint8_t *to) {
  const int64_t half = bytes / 2, quarter = bytes / 4;
  for (int64_t i = 0; i < half; i++) to[i] = (uint8_t)((from[i] & 15) | (from[half + i] & 15) << 4);
  for (int64_t i = 0; bits == 6 && i < quarter; i++) {
    int upper = 0;
    for (int q = 0; q < 4; q++) upper |= (from[q * quarter + i] >> 4 & 3) << 2 * q;
    to[half + i] = (uint8_t)upper;
  }
}

// Plain loops, which compilers vectorise.
static void unpack_4(const uint8_t *__restrict from, int64_t bytes, int8_t *__restrict to) {
  const int64_t half = bytes / 2;
  for (int64_t i = 0; i < half; i++) to[i] = (int8_t)(((from[i] & 15) ^ 8) - 8);
  for (int64_t i = 0; i < half; i++) to[half + i] = (int8_t)((from[i] >> 4 ^ 8) - 8);
}

static void unpack_6(const uint8_t *__restrict from, int64_t bytes, int8_t *__restrict to) {
  const int64_t half = bytes / 2, quarter = bytes / 4;
  const uint8_t *upper = from + half;
  for (int64_t i = 0; i < quarter; i++) to[i] = (int8_t)(((from[i] & 15) | (upper[i] & 3) << 4) ^ 32) - 32;
  for (int64_t i = 0; i < quarter; i++) to[quarter + i] = (int8_t)(((from[quarter + i] & 15) | (upper[i] << 2 & 48)) ^ 32) - 32;
  for (int64_t i = 0; i < quarter; i++) to[half + i] = (int8_t)((from[i] >> 4 | (upper[i] & 48)) ^ 32) - 32;
  for (int64_t i = 0; i < quarter; i++) to[half + quarter + i] = (int8_t)((from[quarter + i] >> 4 | (upper[i] >> 2 & 48)) ^ 32) - 32;
}

// A panel's groups as products read them: where they lie, or unpacked to `to`.
static inline const char *panel_groups(const char *panel, int64_t k, const Int8Input &x, int8_t *to) {
  if (packed_bits(x) == 8) return panel;
  if (packed_bits(x) == 4) unpack_4((const uint8_t *)panel, unpacked_bytes(k), to);
  else unpack_6((const uint8_t *)panel, unpacked_bytes(k), to);
  return (const char *)to;
}
