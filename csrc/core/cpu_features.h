// Which instruction sets this machine runs: the processor's word and the operating system's (saved register state), both needed.
#pragma once

namespace segnas {

enum class Isa { kScalar = 0, kAvx2 = 1, kAvx512 = 2, kNeon = 3 };
constexpr int kIsaCount = 4;

const char *isa_name(Isa isa);
bool isa_runs(Isa isa);
// AVX-512's products of bfloat16s, which go with Isa::kAvx512.
bool avx512_bf16_runs();
// Its products of bytes, summed in 32 bits, and the same of 256 bits, which go with Isa::kAvx2.
bool avx512_vnni_runs();
bool avx_vnni_runs();
// NEON's dot product of bytes, which goes with Isa::kNeon.
bool neon_dot_runs();

}  // namespace segnas
