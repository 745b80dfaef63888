// Every function that opcheck holds to a reference, op by op, and the proofs of the references. One check_X.cc each.
#pragma once
#include <cstdio>
#include <vector>

#include "gradient.h"
#include "problem.h"

namespace segnas::check {

void add_batchnorm(std::vector<Function> &functions);
void add_conv3x3(std::vector<Function> &functions);
void add_distillation(std::vector<Function> &functions);
void add_dwconv(std::vector<Function> &functions);
void add_elementwise(std::vector<Function> &functions);
void add_fakequant(std::vector<Function> &functions);
void add_hard_pixels(std::vector<Function> &functions);
void add_ktransform(std::vector<Function> &functions);
void add_loss(std::vector<Function> &functions);
void add_norm(std::vector<Function> &functions);
void add_optimiser(std::vector<Function> &functions);
void add_pool(std::vector<Function> &functions);
void add_pwconv(std::vector<Function> &functions);
void add_upsample(std::vector<Function> &functions);

void prove_batchnorm(GradientProof &proof);
void prove_conv3x3(GradientProof &proof);
void prove_distillation(GradientProof &proof);
void prove_dwconv(GradientProof &proof);
void prove_elementwise(GradientProof &proof);
void prove_fakequant(GradientProof &proof);
void prove_ktransform(GradientProof &proof);
void prove_loss(GradientProof &proof);
void prove_norm(GradientProof &proof);
void prove_pool(GradientProof &proof);
void prove_pwconv(GradientProof &proof);
void prove_upsample(GradientProof &proof);

inline std::vector<Function> all_functions() {
  std::vector<Function> functions;
  for (auto add : {add_conv3x3, add_dwconv, add_pwconv, add_ktransform, add_batchnorm, add_norm, add_elementwise, add_fakequant, add_upsample, add_pool, add_loss, add_distillation, add_hard_pixels, add_optimiser})
    add(functions);
  return functions;
}

inline void prove_all(GradientProof &proof) {
  for (auto prove : {prove_conv3x3, prove_dwconv, prove_pwconv, prove_ktransform, prove_batchnorm, prove_norm, prove_elementwise, prove_fakequant, prove_upsample, prove_pool, prove_loss, prove_distillation})
    prove(proof);
}

}  // namespace segnas::check
