#include "wide.h"

#include "../simd/target.h"

SEGNAS_TARGET_BASE
namespace segnas {
namespace wide {
#include "vec_wide.h"

#include "../isa/kernels.inl.h"
#include "../simd/bf16.inl.h"
#include "../model/bf16.inl.h"
#include "../simd/int8_scalar.inl.h"
#include "../model/int8.inl.h"
const Kernels table = make_table(Isa::kScalar, &kBf16, &kInt8);
}  // namespace wide
}  // namespace segnas
SEGNAS_TARGET_BASE_END
