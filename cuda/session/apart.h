// The steps of a session that other designs have between their blocks (csrc/model/README.md): never fused, and a small part of any network's time.
#pragma once
#include "step.h"

namespace segnas::gpu {

// y = relu(depthwise (x)) of stride 1 with taps `dilation` pixels apart.
segnas_status session_dilated(Stream *s, const Convolution &l, int32_t dilation, const Image &x, const Image &y, segnas_error *err);
// y = relu(mean of x over y.h x y.w bins): of b bins, bin i holds rows floor(i H/b) to ceil((i+1) H/b), columns likewise.
segnas_status session_avg_pool(Stream *s, const Image &x, int32_t relu, const Image &y, segnas_error *err);
// y = relu(bilinear (x)).
segnas_status session_upsample(Stream *s, const Image &x, int32_t relu, const Image &y, segnas_error *err);

}  // namespace segnas::gpu
