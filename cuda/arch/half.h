// Sixteen-bit storage of activations and weights: Half (IEEE binary16) and Bfloat16, plain data on both sides. Sums are float32: kernels load,
// to_float, compute, and store from_float<Half>(v) or from_float<Bfloat16>(v).
//
// from_float rounds to nearest, ties to even; what is beyond the largest number becomes infinity, denormals are kept, and a NaN becomes 0x7fff,
// which is what the conversion instructions do. to_float is exact; a NaN stays one. CUDA converts in one instruction each (Bfloat16 in a
// few before sm_80); sim in integers, without the toolkit's headers, to the same bits.
#pragma once
#include "arch.h"

#if !defined(SEGNAS_SIM)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace segnas::gpu {

struct Half {
  uint16_t bits;
};

struct Bfloat16 {
  uint16_t bits;
};

#if defined(SEGNAS_SIM)

inline float float_of(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline float to_float(Half h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16, exponent = h.bits >> 10 & 0x1f, mantissa = h.bits & 0x3ff;
  if (exponent == 0x1f) return float_of(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0) return float_of(sign | bits_of(static_cast<float>(mantissa) * 0x1p-24f));
  return float_of(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}
inline float to_float(Bfloat16 b) { return float_of(static_cast<uint32_t>(b.bits) << 16); }

template <class Storage>
Storage from_float(float v);

template <>
inline Half from_float<Half>(float v) {
  const uint32_t bits = bits_of(v), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return {0x7fff};
  uint32_t half = 0x7c00;
  if (size < 0x38800000) {
    // Below the least normal half: one of the multiples of 2^-24, which is what a float has as its last place next to 1/2.
    half = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
  } else if (size < 0x47800000) {
    half = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;  // a carry into the exponent is right, and infinity at the end
  }
  return {static_cast<uint16_t>(sign | half)};
}

template <>
inline Bfloat16 from_float<Bfloat16>(float v) {
  const uint32_t bits = bits_of(v);
  if ((bits & 0x7fffffff) > 0x7f800000) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

#else

SEGNAS_DEVICE float to_float(Half h) { return __half2float(__ushort_as_half(h.bits)); }
SEGNAS_DEVICE float to_float(Bfloat16 b) { return __uint_as_float(static_cast<unsigned>(b.bits) << 16); }

template <class Storage>
SEGNAS_DEVICE Storage from_float(float v);

template <>
SEGNAS_DEVICE Half from_float<Half>(float v) {
  return {__half_as_ushort(__float2half_rn(v))};
}
template <>
SEGNAS_DEVICE Bfloat16 from_float<Bfloat16>(float v) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(v))};
}

#endif

}  // namespace segnas::gpu
