// The operations, as backend.h types them, each defined in cuda/ops.
#pragma once
#include <type_traits>

#include "../../csrc/include/segnas/backend.h"

#define SEGNAS_GPU_OPERATIONS(op)                                                                                                     \
  op(conv3x3_forward) op(conv3x3_backward_input) op(conv3x3_backward_weight) op(dwconv_forward) op(dwconv_backward_input)             \
  op(dwconv_backward_weight) op(pwconv_forward) op(pwconv_backward_input) op(pwconv_backward_weight) op(pwconv_backward_bias)         \
  op(ktransform_forward) op(ktransform_backward) op(batchnorm_forward) op(batchnorm_inference) op(batchnorm_backward)                 \
  op(relu_forward) op(relu_backward) op(add_forward) op(norm_from_moments) op(norm_from_statistics) op(norm_forward) op(norm_sums)    \
  op(norm_backward) op(norm_gradient) op(conv3x3_norm_forward) op(dwconv_norm_forward) op(pwconv_norm_forward)                        \
  op(conv3x3_norm_backward_weight) op(dwconv_norm_backward) op(pwconv_norm_backward) op(upsample_forward) op(upsample_add_forward)    \
  op(upsample_backward) op(cross_entropy) op(argmax) op(confusion) op(sum_squares) op(sgd) op(fill) op(copy) op(axpy)

namespace segnas::gpu {
#define SEGNAS_GPU_DECLARE(name) extern "C++" std::remove_pointer_t<decltype(segnas_backend_ops::name)> name;
SEGNAS_GPU_OPERATIONS(SEGNAS_GPU_DECLARE)
#undef SEGNAS_GPU_DECLARE
}  // namespace segnas::gpu
