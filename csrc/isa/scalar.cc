// Every kernel in plain C++, four lanes: what any processor runs.
#include "../simd/target.h"
#include "kernels.h"

SEGNAS_TARGET_BASE
namespace segnas {
namespace scalar {
#include "../simd/vec_scalar.h"
#include "kernels.inl.h"
#include "../simd/bf16.inl.h"
#include "../model/bf16.inl.h"
#include "../simd/int8_scalar.inl.h"
#include "../model/int8.inl.h"
extern const Kernels table;
const Kernels table = make_table(Isa::kScalar, &kBf16, &kInt8);
}  // namespace scalar
}  // namespace segnas
SEGNAS_TARGET_BASE_END
