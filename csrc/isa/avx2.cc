// Every kernel for AVX2 + FMA.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../simd/target.h"
#include "kernels.h"

SEGNAS_TARGET_AVX2
namespace segnas {
namespace avx2 {
#include "../simd/vec_avx2.h"
#include "kernels.inl.h"
#include "../simd/int8_ymm.inl.h"
#include "../simd/int8_avx2.inl.h"
#include "../model/int8.inl.h"
extern const Kernels table;
const Kernels table = make_table(Isa::kAvx2, nullptr, &kInt8);
}  // namespace avx2
}  // namespace segnas
SEGNAS_TARGET_END
#endif
