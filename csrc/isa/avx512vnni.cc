// The integer kernels of sessions for AVX-512 VNNI.
#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// As in avx512.cc.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "../model/int8.h"
#include "../simd/target.h"

SEGNAS_TARGET_AVX512VNNI
namespace segnas {
namespace avx512vnni {
#include "../simd/vec_avx512.h"
#include "../simd/int8_avx512vnni.inl.h"
#include "../simd/store_rows.inl.h"
#include "../model/int8.inl.h"
extern const Int8Kernels table;
const Int8Kernels table = kInt8;
}  // namespace avx512vnni
}  // namespace segnas
SEGNAS_TARGET_END
#endif
