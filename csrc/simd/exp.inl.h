// Vector exponential and logarithm for the softmax. Included inside a set's namespace after its vector type.
//
// Minimax polynomials (Remez, relative error) on the reduced range, Horner's rule. Largest errors, measured over every float of the ranges
// stated: exp2 0.96 ulp with FMA and 1.23 without, log 0.84 ulp.

// 2^t for t in [-126, 127]; below -126 (also -inf) it gives 2^-126, which a sum that holds a 1 does not see. NaN gives NaN.
static inline F32 exp2(F32 t) {
  const F32 least = broadcast(-126.0f);
  t = max(least, t);  // a NaN passes: max gives its second argument
  F32 n = round_even(t);
  F32 r = sub(t, n);  // exact, in [-1/2, 1/2]
  F32 p = broadcast(1.5353362927712975e-4f);
  p = fma(p, r, broadcast(1.3398874460845713e-3f));
  p = fma(p, r, broadcast(9.618437359225742e-3f));
  p = fma(p, r, broadcast(5.550332471118578e-2f));
  p = fma(p, r, broadcast(2.402264791353394e-1f));
  p = fma(p, r, broadcast(6.931472028549065e-1f));
  p = fma(p, r, broadcast(1.0f));
  return mul(p, pow2(max(n, least)));  // a NaN does not: pow2 takes integers alone
}

// Splits a positive normal a into m 2^e, m in [sqrt(1/2), sqrt(2)).
static inline void split(F32 a, F32 *m, F32 *e) {
  constexpr unsigned kRootHalf = 0x3f3504f3;  // the float sqrt(1/2)
  float values[kLanes], mantissas[kLanes], exponents[kLanes];
  store(values, a);
  for (int i = 0; i < kLanes; i++) {
    unsigned bits;
    __builtin_memcpy(&bits, &values[i], 4);
    int exponent = (int)(bits - kRootHalf) >> 23;
    bits -= (unsigned)exponent << 23;
    __builtin_memcpy(&mantissas[i], &bits, 4);
    exponents[i] = (float)exponent;
  }
  *m = load(mantissas);
  *e = load(exponents);
}

// ln(a) for a in [1, 2^127]; NaN gives NaN.
static inline F32 log(F32 a) {
  F32 m, e;
  split(a, &m, &e);
  F32 f = sub(m, broadcast(1.0f));  // exact
  F32 p = broadcast(6.746663409331598e-2f);
  p = fma(p, f, broadcast(-1.1675640191667203e-1f));
  p = fma(p, f, broadcast(1.1888145045799202e-1f));
  p = fma(p, f, broadcast(-1.2405589582411061e-1f));
  p = fma(p, f, broadcast(1.4219554878989302e-1f));
  p = fma(p, f, broadcast(-1.6667995933694046e-1f));
  p = fma(p, f, broadcast(2.0002118536919777e-1f));
  p = fma(p, f, broadcast(-2.500000959536493e-1f));
  p = fma(p, f, broadcast(3.333331260568082e-1f));
  F32 ff = mul(f, f);
  F32 tail = fma(ff, broadcast(-0.5f), mul(mul(ff, f), p));
  // e ln 2 in two parts: the first has 9 trailing zero bits, so its product with e is exact.
  tail = fma(e, broadcast(-2.12194440e-4f), tail);
  F32 result = fma(e, broadcast(0.693359375f), add(f, tail));
  return select(equal(a, a), result, a);
}
