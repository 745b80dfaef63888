// segnas_relu_*, segnas_add_forward, segnas_fill, segnas_copy, segnas_axpy: any rank, any strides.
#include "elementwise.h"

#include <cstring>

#include "../../core/walk.h"

namespace segnas {
namespace {

// Elements of a piece: 128 KiB a view, so that small tensors stay on the calling thread and large ones balance.
constexpr int64_t kPiece = 32768;

template <class Body>
void in_pieces(segnas_stream *s, const Walk &walk, Body &&body) {
  s->context->pool->run((walk.total() + kPiece - 1) / kPiece, [&](int64_t piece, int) {
    walk.runs(piece * kPiece, std::min(walk.total(), (piece + 1) * kPiece), body);
  });
}

segnas_status check_same(const segnas_stream *s, const char *op, const segnas_tensor *a, const char *a_name, const segnas_tensor *b, const char *b_name,
                         segnas_error *err) {
  SEGNAS_TRY(check_activations(s, op, a_name, a, err));
  SEGNAS_TRY(check_activations(s, op, b_name, b, err));
  SEGNAS_TRY(check_alike(op, a_name, a, b_name, b, err));
  if (same_shape(*a, *b)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: %s and %s differ in shape", op, a_name, b_name);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_relu_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_same(s, __func__, x, "x", y, "y", err));
  SEGNAS_DISPATCH(s, relu_forward, err, x, y);
  in_pieces(s, Walk({x, y}), [&](int64_t n, float *const *at) { s->context->kernels->elementwise.relu(n, at[0], at[1]); });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_relu_backward(segnas_stream *s, const segnas_tensor *y, const segnas_tensor *dy, const segnas_tensor *dx,
                                              segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_same(s, __func__, y, "y", dy, "dy", err));
  SEGNAS_TRY(check_same(s, __func__, y, "y", dx, "dx", err));
  SEGNAS_DISPATCH(s, relu_backward, err, y, dy, dx);
  in_pieces(s, Walk({y, dy, dx}),
            [&](int64_t n, float *const *at) { s->context->kernels->elementwise.relu_backward(n, at[0], at[1], at[2]); });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_add_forward(segnas_stream *s, const segnas_tensor *a, const segnas_tensor *b, int32_t relu, const segnas_tensor *y,
                                            segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_same(s, __func__, a, "a", b, "b", err));
  SEGNAS_TRY(check_same(s, __func__, a, "a", y, "y", err));
  if (relu != 0 && relu != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: relu is %d, should be 0 or 1", __func__, relu);
  SEGNAS_DISPATCH(s, add_forward, err, a, b, relu, y);
  in_pieces(s, Walk({a, b, y}), [&](int64_t n, float *const *at) { s->context->kernels->elementwise.add(n, at[0], at[1], relu, at[2]); });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_fill(segnas_stream *s, const segnas_tensor *x, float value, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_activations(s, __func__, "x", x, err));
  SEGNAS_DISPATCH(s, fill, err, x, value);
  in_pieces(s, Walk({x}), [&](int64_t n, float *const *at) { std::fill_n(at[0], n, value); });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_copy(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_same(s, __func__, x, "x", y, "y", err));
  SEGNAS_DISPATCH(s, copy, err, x, y);
  in_pieces(s, Walk({x, y}), [&](int64_t n, float *const *at) { std::memcpy(at[1], at[0], static_cast<size_t>(n) * sizeof(float)); });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_axpy(segnas_stream *s, float alpha, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_same(s, __func__, x, "x", y, "y", err));
  SEGNAS_DISPATCH(s, axpy, err, alpha, x, y);
  in_pieces(s, Walk({x, y}), [&](int64_t n, float *const *at) { s->context->kernels->elementwise.axpy(n, alpha, at[0], at[1]); });
  return succeed(err);
}

}  // extern "C"
