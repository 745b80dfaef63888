#include "view.h"

namespace segnas {

int64_t elements(const segnas_tensor &t) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; i++) n *= t.shape[i];
  return n;
}

bool same_shape(const segnas_tensor &a, const segnas_tensor &b) {
  if (a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; i++)
    if (a.shape[i] != b.shape[i]) return false;
  return true;
}

namespace {
// The last element's distance from the offset, or -1 when a shape or stride is out of range (also on overflow).
int64_t last_element(const segnas_tensor &t) {
  constexpr int64_t kMost = int64_t{1} << 46;
  int64_t last = 0;
  for (int i = 0; i < t.rank; i++) {
    if (t.shape[i] < 1 || t.shape[i] > kMost || t.stride[i] < 1 || t.stride[i] > kMost) return -1;
    __int128 reach = static_cast<__int128>(t.shape[i] - 1) * t.stride[i];
    if (reach > kMost) return -1;
    last += static_cast<int64_t>(reach);
  }
  return last > kMost ? -1 : last;
}

const char *dtype_name(int32_t dtype) {
  switch (dtype) {
    case SEGNAS_F32: return "f32";
    case SEGNAS_U8: return "u8";
    case SEGNAS_I64: return "i64";
    case SEGNAS_F64: return "f64";
    case SEGNAS_F16: return "f16";
    case SEGNAS_BF16: return "bf16";
  }
  return "an unknown dtype";
}
}  // namespace

segnas_status check_view(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_dtype dtype, segnas_error *err) {
  if (!t) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is NULL", op, name);
  if (!t->buffer || !t->buffer->memory) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has no buffer", op, name);
  if (t->buffer->context != s->context) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s belongs to another context", op, name);
  if (t->dtype != dtype) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %s, should be %s", op, name, dtype_name(t->dtype), dtype_name(dtype));
  if (t->rank < 1 || t->rank > SEGNAS_MAX_RANK) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 1 to %d", op, name, t->rank, SEGNAS_MAX_RANK);
  int64_t last = last_element(*t);
  if (last < 0) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has a shape or stride below 1 or far too large", op, name);
  int64_t held = static_cast<int64_t>(t->buffer->bytes / segnas_dtype_bytes(dtype));
  if (t->offset < 0 || t->offset > held - 1 - last)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s begins at element %lld and reaches %lld further, in a buffer of %lld", op, name,
                static_cast<long long>(t->offset), static_cast<long long>(last), static_cast<long long>(held));
  return SEGNAS_OK;
}

segnas_status check_activations(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_error *err) {
  const bool narrow = t && (t->dtype == SEGNAS_F16 || t->dtype == SEGNAS_BF16);
  if (narrow && !s->context->backend) return fail(err, SEGNAS_NO_KERNEL, "%s: %s is %s; the CPU has float32 alone", op, name, dtype_name(t->dtype));
  return check_view(s, op, name, t, narrow ? static_cast<segnas_dtype>(t->dtype) : SEGNAS_F32, err);
}

namespace {
segnas_status find_pixels(const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  if (t->rank != 2 && t->rank != 4) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 2 (pixels, channels) or 4 (N,H,W,C)", op, name, t->rank);
  int last = t->rank - 1;
  Pixels p;
  p.channels = t->shape[last];
  p.pitch = t->stride[last - 1];
  p.w = t->shape[last - 1];
  p.h = t->rank == 4 ? t->shape[1] : 1;
  p.n = t->rank == 4 ? t->shape[0] : 1;
  if (t->stride[last] != 1 && p.channels > 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: the channel stride is %lld, should be 1", op, name, static_cast<long long>(t->stride[last]));
  if (p.pitch < p.channels) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: pixels overlap (stride %lld for %lld channels)", op, name, static_cast<long long>(p.pitch), static_cast<long long>(p.channels));
  if (t->rank == 4 && ((p.h > 1 && t->stride[1] != p.w * p.pitch) || (p.n > 1 && t->stride[0] != p.h * p.w * p.pitch)))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: rows or pictures do not follow each other; only the pixel stride is free", op, name);
  *out = p;
  return SEGNAS_OK;
}
}  // namespace

segnas_status check_pixels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, name, t, SEGNAS_F32, err));
  return find_pixels(op, name, t, out, err);
}

segnas_status check_stored_pixels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, Pixels *out, segnas_error *err) {
  SEGNAS_TRY(check_activations(s, op, name, t, err));
  return find_pixels(op, name, t, out, err);
}

segnas_status check_alike(const char *op, const char *a_name, const segnas_tensor *a, const char *b_name, const segnas_tensor *b, segnas_error *err) {
  if (a->dtype == b->dtype) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %s and %s is %s, should be alike", op, a_name, dtype_name(a->dtype), b_name, dtype_name(b->dtype));
}

segnas_status check_matrix(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t rows, int64_t cols, int64_t *pitch, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, name, t, SEGNAS_F32, err));
  if (t->rank != 2) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s has rank %d, should be 2", op, name, t->rank);
  if ((rows >= 0 && t->shape[0] != rows) || (cols >= 0 && t->shape[1] != cols))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %lld x %lld, should be %lld x %lld", op, name, static_cast<long long>(t->shape[0]), static_cast<long long>(t->shape[1]), static_cast<long long>(rows), static_cast<long long>(cols));
  if ((t->shape[1] > 1 && t->stride[1] != 1) || (t->shape[0] > 1 && t->stride[0] < t->shape[1]))
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: the column stride must be 1 and rows must not overlap", op, name);
  *pitch = t->stride[0];
  return SEGNAS_OK;
}

segnas_status check_vector(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, int64_t length, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, name, t, SEGNAS_F32, err));
  if (t->rank != 1 || t->shape[0] != length) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s should be a vector of %lld", op, name, static_cast<long long>(length));
  if (length > 1 && t->stride[0] != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s: the stride is %lld, should be 1", op, name, static_cast<long long>(t->stride[0]));
  return SEGNAS_OK;
}

segnas_status check_result(const char *op, const char *x_name, const segnas_tensor *x, const char *y_name, const segnas_tensor *y, segnas_error *err) {
  return y->dtype == SEGNAS_F32 ? SEGNAS_OK : check_alike(op, x_name, x, y_name, y, err);
}

segnas_status check_labels(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, segnas_error *err) {
  SEGNAS_TRY(check_view(s, op, name, t, SEGNAS_U8, err));
  if (t->rank != 3 || t->stride[2] != 1 || t->stride[1] != t->shape[2] || t->stride[0] != t->shape[1] * t->shape[2])
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s should be a dense N,H,W label map", op, name);
  return SEGNAS_OK;
}

segnas_status check_equal(const char *op, const char *what, int64_t is, int64_t should_be, segnas_error *err) {
  if (is == should_be) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s is %lld, should be %lld", op, what, static_cast<long long>(is), static_cast<long long>(should_be));
}

}  // namespace segnas
