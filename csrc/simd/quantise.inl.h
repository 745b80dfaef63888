// Fake quantisation of a vector: levels n s for whole n between low r and high r. Included inside a set's namespace after its vector type.
// Every operation is one rounding and none is contracted, so instruction sets agree to the bit.

// The nearest level of what low and high leave of x. NaN stays NaN, and -0 stays -0: max and min give their second argument when neither is
// greater.
static inline F32 quantise(F32 x, F32 low, F32 high, F32 r, F32 s) { return mul(round_even(mul(min(high, max(low, x)), r)), s); }

// g where low < x < high, else 0.
static inline F32 within(F32 x, F32 low, F32 high, F32 g) {
  return select(greater(x, low), select(greater(high, x), g, zero()), zero());
}
