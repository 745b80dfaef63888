// The labels: the argmax operation on logits that lie in the session's memory.
#include "../plugin/ops.h"
#include "step.h"

namespace segnas::gpu {

segnas_status session_labels(Stream *s, const Image &logits, uint8_t *labels, int64_t h, int64_t w, segnas_error *err) {
  segnas_buffer_head from = {nullptr, logits.at, 0}, to = {nullptr, labels, 0};
  const segnas_tensor x = {reinterpret_cast<segnas_buffer *>(&from), 0, SEGNAS_F32, 4, {logits.n, logits.h, logits.w, logits.c},
                           {logits.h * logits.w * logits.c, logits.w * logits.c, logits.c, 1}};
  const segnas_tensor y = {reinterpret_cast<segnas_buffer *>(&to), 0, SEGNAS_U8, 3, {logits.n, h, w}, {h * w, w, 1}};
  return argmax(s, &x, &y, err);
}

}  // namespace segnas::gpu
