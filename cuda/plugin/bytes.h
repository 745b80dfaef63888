// Floats as the bytes that sessions in integers keep (segnas.h, SEGNAS_PRECISION_INT8): u = q + zero.
#pragma once
#include "storage.h"

namespace segnas::gpu {

// What becomes of f: floats max(f, low), or bytes zero + round(min(max(f, low), high)), ties to even. As the CPU's, with -0 and NaN where those are.
struct Kept {
  int32_t floats;
  float low, high;
  int32_t zero;

  SEGNAS_DEVICE float rectified(float f) const { return f > low ? f : low; }
  // In the lowest eight bits. Beyond 2^23 floats are whole numbers, so the addition rounds; 3 * 2^22 + zero is even, so a tie goes where f's would.
  SEGNAS_DEVICE uint32_t byte(float f) const { return bits_of(smaller(larger(f, low), high) + (12582912.0f + static_cast<float>(zero))); }
};

// The lowest eight bits of each.
SEGNAS_DEVICE uint32_t four_bytes(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return permute_bytes(permute_bytes(a, b, 0x0040), permute_bytes(c, d, 0x0040), 0x5410);
}

// How a float32 layer's y becomes bytes: f = y * inverse.
struct Rounding {
  float inverse = 0;
  Kept kept = {};

  // Four channels to a word.
  SEGNAS_DEVICE void store(uint8_t *word, const float (&y)[4]) const {
    *reinterpret_cast<uint32_t *>(word) =
        four_bytes(kept.byte(y[0] * inverse), kept.byte(y[1] * inverse), kept.byte(y[2] * inverse), kept.byte(y[3] * inverse));
  }
};

// What a layer reads that leaves bytes is float32.
template <>
SEGNAS_DEVICE float rounded_to<uint8_t>(float v) {
  return v;
}

}  // namespace segnas::gpu
