// The integer kernels of sessions for AVX-VNNI, which goes with AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../model/int8.h"
#include "../simd/target.h"

SEGNAS_TARGET_AVXVNNI
namespace segnas {
namespace avxvnni {
#include "../simd/vec_avx2.h"
#include "../simd/int8_ymm.inl.h"
#include "../simd/int8_avxvnni.inl.h"
#include "../simd/store_rows.inl.h"
#include "../model/int8.inl.h"
extern const Int8Kernels table;
const Int8Kernels table = kInt8;
}  // namespace avxvnni
}  // namespace segnas
SEGNAS_TARGET_END
#endif
