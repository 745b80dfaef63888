// A session (segnas.h, "deployed networks"): a network planned for the device, its weights on it, and its work as a graph that is replayed. What the
// plug-in's table hands out; backend.h says what each takes.
#pragma once
#include "../../csrc/include/segnas/backend.h"

namespace segnas::gpu {

int32_t device_precision(void *device, int32_t precision);
segnas_status session_create(void *device, const segnas_network *network, void **session, size_t *activation_bytes, size_t *weight_bytes, segnas_error *err);
void session_destroy(void *session);
segnas_status session_run(void *session, const void *input, void *output, int64_t *group_ns, segnas_error *err);

}  // namespace segnas::gpu
