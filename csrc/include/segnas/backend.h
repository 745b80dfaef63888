/* segnas/backend.h: the plug-in interface of libsegnas, for authors of backends. Applications need segnas.h alone.
 *
 * A backend is a shared library libsegnas_NAME.so that exports one function, segnas_backend_open. Host and plug-in exchange tables that begin
 * with their size and the interface's version and hash; neither has an undefined symbol that points to the other. The host checks every
 * argument (shapes, dtypes, bounds) before it calls, so a backend may trust them; segnas.h says what each operation computes.
 *
 * The host looks for the library in segnas_context_options.plugin_dir, SEGNAS_PLUGIN_DIR, beside the library or executable that holds
 * libsegnas, and in the build folder; never in the working directory. It is opened once (RTLD_NOW | RTLD_LOCAL) and never closed.
 */
#ifndef SEGNAS_BACKEND_H
#define SEGNAS_BACKEND_H

#include "segnas.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Moves on with every change of this file or of an operation's signature. */
#define SEGNAS_BACKEND_VERSION 7

/* What the host lends to a plug-in for the process's life. */
typedef struct segnas_host {
  uint32_t size;    /* sizeof(segnas_host) as the host knows it */
  uint32_t version; /* SEGNAS_BACKEND_VERSION */
  uint64_t interface_hash; /* SEGNAS_INTERFACE_HASH of the build: over this file and segnas.h (gobind/stamp.h) */
  void (*log)(const char *line);                       /* one line, no newline; may be called from any thread; drops it when no one listens */
  void *(*allocate)(size_t bytes);                     /* zeroed, 64-byte aligned; NULL when there is none */
  void (*release)(void *memory, size_t bytes);
  /* body(argument, i) for i in [0, pieces) on the host's threads; returns when all are done. */
  void (*parallel_for)(void *host_context, int64_t pieces, void (*body)(void *argument, int64_t i), void *argument);
} segnas_host;

/* The operations, in segnas.h's order and meaning; stream is what stream_create returned. NULL: no such kernel (SEGNAS_NO_KERNEL).
 * Tensors name buffers by segnas_buffer handles; segnas_buffer_memory gives the plug-in's own memory behind one. */
typedef struct segnas_backend_ops {
  uint32_t size; /* sizeof(segnas_backend_ops) as the plug-in knows it */
  segnas_status (*conv3x3_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err);
  segnas_status (*conv3x3_backward_input)(void *stream, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*conv3x3_backward_weight)(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
  segnas_status (*dwconv_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err);
  segnas_status (*dwconv_backward_input)(void *stream, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*dwconv_backward_weight)(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
  segnas_status (*pwconv_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *w, const segnas_tensor *bias, const segnas_tensor *y, segnas_error *err);
  segnas_status (*pwconv_backward_input)(void *stream, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*pwconv_backward_weight)(void *stream, const segnas_tensor *x, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
  segnas_status (*pwconv_backward_bias)(void *stream, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *db, segnas_error *err);
  segnas_status (*ktransform_forward)(void *stream, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *w_small, segnas_error *err);
  segnas_status (*ktransform_backward)(void *stream, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *dw_small, const segnas_tensor *dw_large, const segnas_tensor *dt, segnas_error *err);
  segnas_status (*batchnorm_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, float update, int32_t relu, const segnas_tensor *running_mean, const segnas_tensor *running_var, const segnas_tensor *mean, const segnas_tensor *inv_std, const segnas_tensor *y, segnas_error *err);
  segnas_status (*batchnorm_inference)(void *stream, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta, const segnas_tensor *mean, const segnas_tensor *var, float eps, int32_t relu, const segnas_tensor *y, segnas_error *err);
  segnas_status (*batchnorm_backward)(void *stream, const segnas_tensor *x, const segnas_tensor *dy, const segnas_tensor *gamma, const segnas_tensor *beta, const segnas_tensor *mean, const segnas_tensor *inv_std, int32_t relu, int32_t frozen, int32_t accumulate, const segnas_tensor *dgamma, const segnas_tensor *dbeta, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*relu_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
  segnas_status (*relu_backward)(void *stream, const segnas_tensor *y, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*add_forward)(void *stream, const segnas_tensor *a, const segnas_tensor *b, int32_t relu, const segnas_tensor *y, segnas_error *err);
  segnas_status (*norm_from_moments)(void *stream, const segnas_tensor *moments, int64_t pixels, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, float update, const segnas_tensor *running_mean, const segnas_tensor *running_var, const segnas_tensor *norm, segnas_error *err);
  segnas_status (*norm_from_statistics)(void *stream, const segnas_tensor *mean, const segnas_tensor *var, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, const segnas_tensor *norm, segnas_error *err);
  segnas_status (*norm_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *y, segnas_error *err);
  segnas_status (*norm_sums)(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da, const segnas_tensor *sums, segnas_error *err);
  segnas_status (*norm_backward)(void *stream, const segnas_tensor *sums, int64_t pixels, int32_t frozen, int32_t accumulate, const segnas_tensor *norm, const segnas_tensor *dgamma, const segnas_tensor *dbeta, segnas_error *err);
  segnas_status (*norm_gradient)(void *stream, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*conv3x3_norm_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
  segnas_status (*dwconv_norm_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
  segnas_status (*pwconv_norm_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, const segnas_tensor *bias, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
  segnas_status (*conv3x3_norm_backward_weight)(void *stream, const segnas_tensor *x, int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
  segnas_status (*dwconv_norm_backward)(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err);
  segnas_status (*pwconv_norm_backward)(void *stream, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err);
  segnas_status (*fakequant_forward)(void *stream, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *y, segnas_error *err);
  segnas_status (*fakequant_backward)(void *stream, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dx, const segnas_tensor *dclip, segnas_error *err);
  segnas_status (*norm_quantise)(void *stream, const segnas_quantiser *q, const segnas_tensor *clip, const segnas_tensor *norm, segnas_error *err);
  segnas_status (*norm_quantise_backward)(void *stream, const segnas_quantiser *q, const segnas_tensor *sums, int32_t accumulate, const segnas_tensor *dclip, segnas_error *err);
  segnas_status (*upsample_forward)(void *stream, const segnas_tensor *x, int32_t mode, const segnas_tensor *y, segnas_error *err);
  segnas_status (*upsample_add_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *a, int32_t mode, const segnas_tensor *y, segnas_error *err);
  segnas_status (*upsample_backward)(void *stream, const segnas_tensor *dy, int32_t mode, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*avg_pool_forward)(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
  segnas_status (*avg_pool_backward)(void *stream, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err);
  segnas_status (*cross_entropy)(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, const segnas_tensor *class_weights, float scale, const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err);
  segnas_status (*distillation)(void *stream, const segnas_tensor *logits, const segnas_tensor *teacher, float scale, const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err);
  segnas_status (*hard_pixels)(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, float loss, int64_t least, const segnas_tensor *hard, segnas_error *err);
  segnas_status (*argmax)(void *stream, const segnas_tensor *logits, const segnas_tensor *labels, segnas_error *err);
  segnas_status (*confusion)(void *stream, const segnas_tensor *truth, const segnas_tensor *predicted, int32_t ignore, const segnas_tensor *counts, segnas_error *err);
  segnas_status (*sum_squares)(void *stream, const segnas_tensor *x, int32_t accumulate, const segnas_tensor *result, segnas_error *err);
  segnas_status (*sgd)(void *stream, const segnas_tensor *w, const segnas_tensor *m, const segnas_tensor *g, float lr, float momentum, float decay, float clip, int32_t nesterov, segnas_error *err);
  segnas_status (*fill)(void *stream, const segnas_tensor *x, float value, segnas_error *err);
  segnas_status (*copy)(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
  segnas_status (*axpy)(void *stream, float alpha, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
} segnas_backend_ops;

/* A network for a session. The host has checked it and its options as segnas.h says: layers read what comes before them, shapes agree, and the
 * device has the precision. */
typedef struct segnas_value_shape {
  int64_t h, w, c;
} segnas_value_shape;
typedef struct segnas_network {
  const segnas_layer *layers; /* [count]; weights and biases may be anywhere when no session is made */
  int32_t count, groups, n;
  const segnas_value_shape *values; /* [count + 1]; value 0 is the input */
  const segnas_session_options *options;
} segnas_network;

typedef struct segnas_backend {
  uint32_t size;    /* sizeof(segnas_backend) as the plug-in knows it */
  uint32_t version; /* SEGNAS_BACKEND_VERSION */
  uint64_t interface_hash;
  const char *name; /* "cuda" */
  /* How many devices there are; when 0, text says why in words (the driver's own, where there is one). */
  int32_t (*device_count)(char *text, size_t text_bytes);
  /* One line that names device i: model, memory, driver. */
  void (*device_describe)(int32_t i, char *text, size_t text_bytes);
  segnas_status (*device_open)(int32_t i, void *host_context, void **device, segnas_error *err);
  void (*device_close)(void *device);
  segnas_status (*stream_create)(void *device, void **stream, segnas_error *err);
  void (*stream_destroy)(void *stream);
  segnas_status (*stream_synchronize)(void *stream, segnas_error *err);
  size_t (*stream_scratch_bytes)(void *stream);
  /* Device memory, zeroed. A tensor's buffer->memory in the host is what buffer_create returned; the plug-in reaches it through
   * segnas_buffer_memory below, which reads it from the handle without a call back. */
  segnas_status (*buffer_create)(void *device, size_t bytes, void **memory, segnas_error *err);
  void (*buffer_destroy)(void *device, void *memory, size_t bytes);
  segnas_status (*buffer_write)(void *stream, void *memory, size_t offset_bytes, const void *source, size_t bytes, segnas_error *err);
  segnas_status (*buffer_read)(void *stream, void *memory, size_t offset_bytes, void *target, size_t bytes, segnas_error *err);
  /* Sessions; all NULL where the backend has none. precision: a segnas_precision; 1 where sessions keep it on this device. session NULL: the two figures alone
   * (segnas_session_measure). Everything that a session needs is borrowed for the call. input and output are host memory; group_ns may be NULL. */
  int32_t (*device_precision)(void *device, int32_t precision);
  segnas_status (*session_create)(void *device, const segnas_network *network, void **session, size_t *activation_bytes, size_t *weight_bytes, segnas_error *err);
  void (*session_destroy)(void *session);
  segnas_status (*session_run)(void *session, const void *input, void *output, int64_t *group_ns, segnas_error *err);
  segnas_backend_ops ops;
} segnas_backend;

/* The head of every segnas_buffer, fixed by this interface: how a plug-in finds its memory behind a tensor's buffer. */
typedef struct segnas_buffer_head {
  segnas_context *context;
  void *memory;
  size_t bytes;
} segnas_buffer_head;

static inline void *segnas_buffer_memory(const segnas_tensor *t) { return ((const segnas_buffer_head *)(const void *)t->buffer)->memory; }

/* The one exported entry of a plug-in. Returns its table, or NULL with one line in text that says what does not fit. */
typedef const segnas_backend *(*segnas_backend_open_function)(const segnas_host *host, char *text, size_t text_bytes);
#define SEGNAS_BACKEND_ENTRY "segnas_backend_open"

#ifdef __cplusplus
}
#endif
#endif
