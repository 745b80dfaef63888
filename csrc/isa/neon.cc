// Every kernel for aarch64's NEON, which every such processor has: no flags, the base target.
#if defined(__aarch64__)
#include <arm_neon.h>

#include "../simd/target.h"
#include "kernels.h"

SEGNAS_TARGET_BASE
#if defined(__OPTIMIZE__) && !defined(__clang__)
// Before it gives out registers, GCC would move all loads of a step of the GEMM tile in front of its FMAs, and spill sums for them.
#pragma GCC optimize("no-schedule-insns")
#endif
namespace segnas {
namespace neon {
#include "../simd/vec_neon.h"
#include "kernels.inl.h"
extern const Kernels table;
const Kernels table = make_table(Isa::kNeon, nullptr, nullptr);
}  // namespace neon
}  // namespace segnas
SEGNAS_TARGET_BASE_END
#endif
