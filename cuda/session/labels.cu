// session_labels: the kernels of ops/loss/argmax.cu on the network's last logits. Full-size logits never exist; instructions are the floor, 9.1 us of
// an H100 for 1024x2048x19 from 128x256.
#include "step.h"

#include "../ops/loss/labels.h"

namespace segnas::gpu {

segnas_status session_labels(Stream *s, const Image &logits, uint8_t *labels, int64_t h, int64_t w, segnas_error *err) {
  if (logits.n > 0 && h > 0 && w > 0) {
    const Logits low = {static_cast<const float *>(logits.at), logits.c, logits.n, logits.h, logits.w, logits.c};
    SEGNAS_GPU_TRY(label_pixels("session_labels", s, low, labels, h, w, err));
  }
  return succeed(err);
}

}  // namespace segnas::gpu
