// Checks and address arithmetic for tensor views.
#pragma once
#include "context.h"

namespace segnas {

// Pixels of an activation: P rows of `channels` values, `pitch` elements apart. n*h*w = pixels; for [P,C] views n = 1, h = 1, w = P.
struct Pixels {
  int64_t n = 0, h = 0, w = 0, channels = 0, pitch = 0;
  int64_t count() const { return n * h * w; }
};

inline float *f32(const segnas_tensor &t) { return static_cast<float *>(t.buffer->memory) + t.offset; }
inline uint8_t *u8(const segnas_tensor &t) { return static_cast<uint8_t *>(t.buffer->memory) + t.offset; }
inline int64_t *i64(const segnas_tensor &t) { return static_cast<int64_t *>(t.buffer->memory) + t.offset; }
inline double *f64(const segnas_tensor &t) { return static_cast<double *>(t.buffer->memory) + t.offset; }

int64_t elements(const segnas_tensor &t);
bool same_shape(const segnas_tensor &a, const segnas_tensor &b);

// Each check names the operation (`op`, usually __func__) and the argument (`name`) in the error.
// Not NULL, a live buffer of this context, right dtype, rank and every element inside the buffer; strides >= 0 except broadcast is refused.
segnas_status check_view(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_dtype dtype, segnas_error *err);
// As check_view, of activations: f32, or on a plug-in f16 or bf16 (elsewhere SEGNAS_NO_KERNEL).
segnas_status check_activations(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_error *err);
// An f32 activation [N,H,W,C] or [P,C] as rows of pixels; check_stored_pixels: in any type of activations.
segnas_status check_pixels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err);
segnas_status check_stored_pixels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err);
// Both of one type.
segnas_status check_alike(const char *op, const char *a_name, const segnas_tensor *a, const char *b_name, const segnas_tensor *b, segnas_error *err);
// y, or its gradient, is as x or f32.
segnas_status check_result(const char *op, const char *x_name, const segnas_tensor *x, const char *y_name, const segnas_tensor *y, segnas_error *err);
// An f32 matrix [rows, cols] with stride[1] = 1 and stride[0] >= cols; pitch receives stride[0]. rows or cols < 0: any, else required.
segnas_status check_matrix(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t rows, int64_t cols, int64_t *pitch, segnas_error *err);
// An f32 vector [length] with stride 1.
segnas_status check_vector(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t length, segnas_error *err);
// A dense u8 label map [N,H,W].
segnas_status check_labels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_error *err);
// Channels, sizes or pixels that must agree: "NAME: WHAT is A, should be B".
segnas_status check_equal(const char *op, const char *what, int64_t is, int64_t should_be, segnas_error *err);

}  // namespace segnas
