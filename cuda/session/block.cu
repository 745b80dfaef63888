#include "step.h"
namespace segnas::gpu {
BlockFit session_block_fit(const DeviceFacts &, const Convolution *, const Convolution &, const Convolution &, const Image &, const Image &) { return {false, false}; }
segnas_status session_block(Stream *, const Convolution *, const Convolution &, const Convolution &, const Image &, const Image *, const Image &, segnas_error *err) { return fail(err, SEGNAS_INTERNAL, "no block"); }
}
