// Every kernel for AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own header passes a deliberately undefined register to masked built-ins and then warns about it (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "../simd/target.h"
#include "kernels.h"

SEGNAS_TARGET_AVX512
namespace segnas {
namespace avx512 {
#include "../simd/vec_avx512.h"
#include "kernels.inl.h"
extern const Kernels table;
const Kernels table = make_table(Isa::kAvx512, nullptr, nullptr);
}  // namespace avx512
}  // namespace segnas
SEGNAS_TARGET_END
#endif
