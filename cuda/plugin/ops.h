// The operations, as backend.h types them, each defined in cuda/ops, a folder an op.
#pragma once
#include <type_traits>

#include "../../csrc/include/segnas/backend.h"

#define SEGNAS_GPU_CONV3X3(op)                                                                                        \
  op(conv3x3_forward) op(conv3x3_backward_input) op(conv3x3_backward_weight) op(conv3x3_norm_forward) op(conv3x3_norm_backward_weight)
#define SEGNAS_GPU_DWCONV(op) \
  op(dwconv_forward) op(dwconv_backward_input) op(dwconv_backward_weight) op(dwconv_norm_forward) op(dwconv_norm_backward)
#define SEGNAS_GPU_PWCONV(op)                                                                                         \
  op(pwconv_forward) op(pwconv_backward_input) op(pwconv_backward_weight) op(pwconv_backward_bias) op(pwconv_norm_forward) \
  op(pwconv_norm_backward)
#define SEGNAS_GPU_KTRANSFORM(op) op(ktransform_forward) op(ktransform_backward)
#define SEGNAS_GPU_BATCHNORM(op)                                                                                      \
  op(batchnorm_forward) op(batchnorm_inference) op(batchnorm_backward) op(norm_from_moments) op(norm_from_statistics) \
  op(norm_forward) op(norm_sums) op(norm_backward) op(norm_gradient) op(norm_quantise) op(norm_quantise_backward)
#define SEGNAS_GPU_FAKEQUANT(op) op(fakequant_forward) op(fakequant_backward)
#define SEGNAS_GPU_ELEMENTWISE(op) op(relu_forward) op(relu_backward) op(add_forward) op(fill) op(copy) op(axpy)
#define SEGNAS_GPU_UPSAMPLE(op) op(upsample_forward) op(upsample_add_forward) op(upsample_backward)
#define SEGNAS_GPU_POOL(op) op(avg_pool_forward) op(avg_pool_backward)
#define SEGNAS_GPU_LOSS(op) op(cross_entropy) op(distillation) op(hard_pixels) op(argmax) op(confusion)
#define SEGNAS_GPU_OPTIMISER(op) op(sum_squares) op(sgd)

#define SEGNAS_GPU_OPERATIONS(op)                                                                                            \
  SEGNAS_GPU_CONV3X3(op) SEGNAS_GPU_DWCONV(op) SEGNAS_GPU_PWCONV(op) SEGNAS_GPU_KTRANSFORM(op) SEGNAS_GPU_BATCHNORM(op) \
  SEGNAS_GPU_FAKEQUANT(op) SEGNAS_GPU_ELEMENTWISE(op) SEGNAS_GPU_UPSAMPLE(op) SEGNAS_GPU_POOL(op) SEGNAS_GPU_LOSS(op) SEGNAS_GPU_OPTIMISER(op)

namespace segnas::gpu {
#define SEGNAS_GPU_DECLARE(name) extern "C++" std::remove_pointer_t<decltype(segnas_backend_ops::name)> name;
SEGNAS_GPU_OPERATIONS(SEGNAS_GPU_DECLARE)
#undef SEGNAS_GPU_DECLARE
}  // namespace segnas::gpu
