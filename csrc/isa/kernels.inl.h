// Every op's kernels, instantiated for the vector type and namespace that the including file set up, and the table of them.
#include "../simd/store_rows.inl.h"
#include "../simd/gemm.inl.h"
#include "../simd/exp.inl.h"
#include "../simd/quantise.inl.h"

#include "../ops/batchnorm/batchnorm.inl.h"
#include "../ops/conv3x3/conv3x3.inl.h"
#include "../ops/dwconv/dwconv.inl.h"
#include "../ops/elementwise/elementwise.inl.h"
#include "../ops/fakequant/fakequant.inl.h"
#include "../ops/ktransform/ktransform.inl.h"
#include "../ops/loss/loss.inl.h"
#include "../ops/loss/distillation.inl.h"
#include "../ops/optimiser/optimiser.inl.h"
#include "../ops/pool/pool.inl.h"
#include "../ops/pwconv/pwconv.inl.h"
#include "../ops/upsample/upsample.inl.h"

static constexpr Kernels make_table(Isa isa, const Bf16Kernels *bf16, const Int8Kernels *int8) {
  return {isa, kLanes, kBatchnorm, kConv3x3, kDwconv, kElementwise, kFakequant, kKtransform, kLoss, kOptimiser, kPool, kPwconv, kUpsample, bf16, int8};
}
