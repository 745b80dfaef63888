// One table of kernel functions per instruction set. Each op's header declares its part; isa/*.cc fill them.
#pragma once
#include "../core/cpu_features.h"
#include "../model/bf16.h"
#include "../model/int8.h"
#include "../ops/batchnorm/batchnorm.h"
#include "../ops/conv3x3/conv3x3.h"
#include "../ops/dwconv/dwconv.h"
#include "../ops/elementwise/elementwise.h"
#include "../ops/fakequant/fakequant.h"
#include "../ops/ktransform/ktransform.h"
#include "../ops/loss/loss.h"
#include "../ops/optimiser/optimiser.h"
#include "../ops/pool/pool.h"
#include "../ops/pwconv/pwconv.h"
#include "../ops/upsample/upsample.h"

namespace segnas {

struct Kernels {
  Isa isa;
  int lanes;  // floats in a vector
  BatchnormKernels batchnorm;
  Conv3x3Kernels conv3x3;
  DwconvKernels dwconv;
  ElementwiseKernels elementwise;
  FakequantKernels fakequant;
  KtransformKernels ktransform;
  LossKernels loss;
  OptimiserKernels optimiser;
  PoolKernels pool;
  PwconvKernels pwconv;
  UpsampleKernels upsample;
  const Bf16Kernels *bf16;  // of plain C++; nullptr elsewhere: see bf16_kernels_of
  const Int8Kernels *int8;  // nullptr: see int8_kernels_of
};

// The table of an instruction set; nullptr when this build does not have it.
const Kernels *kernels_of(Isa isa);
// The bfloat16 kernels that go with a table; nullptr where the set or the processor has none.
const Bf16Kernels *bf16_kernels_of(const Kernels &kernels);
// The integer kernels that go with a table, by what the processor has beside it: VNNI, NEON's dot product. AVX-512 without VNNI has those of AVX2,
// NEON without dot products those of plain C++.
const Int8Kernels *int8_kernels_of(const Kernels &kernels);

}  // namespace segnas
