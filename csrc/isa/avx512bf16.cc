// The bfloat16 kernels of sessions for AVX-512 BF16.
#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// As in avx512.cc.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "../model/bf16.h"
#include "../simd/target.h"

SEGNAS_TARGET_AVX512BF16
namespace segnas {
namespace avx512bf16 {
#include "../simd/vec_avx512.h"
#include "../simd/bf16_avx512.inl.h"
#include "../model/bf16.inl.h"
extern const Bf16Kernels table;
const Bf16Kernels table = kBf16;
}  // namespace avx512bf16
}  // namespace segnas
SEGNAS_TARGET_END
#endif
