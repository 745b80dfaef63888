// The integer kernels of sessions for NEON's dot product of bytes.
#if defined(__aarch64__)
#include <arm_neon.h>

#include "../model/int8.h"
#include "../simd/target.h"

SEGNAS_TARGET_NEONDOT
#if defined(__OPTIMIZE__) && !defined(__clang__)
// As in neon.cc.
#pragma GCC optimize("no-schedule-insns")
#endif
namespace segnas {
namespace neondot {
#include "../simd/vec_neon.h"
#include "../simd/int8_neondot.inl.h"
#include "../simd/store_rows.inl.h"
#include "../model/int8.inl.h"
extern const Int8Kernels table;
const Int8Kernels table = kInt8;
}  // namespace neondot
}  // namespace segnas
SEGNAS_TARGET_END
#endif
