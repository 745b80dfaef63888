/* How a C program uses libsegnas: a depthwise-separable layer through operations, and the same as a planned network.
 *
 *   cc link_example.c $(pkg-config --cflags --libs segnas) && ./a.out
 */
#include <segnas/segnas.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEIGHT = 5, WIDTH = 7, IN = 3, OUT = 2, PIXELS = HEIGHT * WIDTH };

static void check(segnas_status status, const segnas_error *err) {
  if (status == SEGNAS_OK) return;
  fprintf(stderr, "%s: %s\n", segnas_status_name(status), err->text);
  exit(1);
}

static segnas_tensor tensor(segnas_context *context, segnas_stream *stream, const float *values, int rank, const int64_t *shape) {
  segnas_tensor t = {NULL, 0, SEGNAS_F32, 0, {0}, {0}};
  segnas_error err;
  size_t elements = 1;
  int axis;
  t.rank = rank;
  for (axis = rank - 1; axis >= 0; axis--) {
    t.shape[axis] = shape[axis];
    t.stride[axis] = (int64_t)elements;
    elements *= (size_t)shape[axis];
  }
  check(segnas_buffer_create(context, elements * sizeof(float), &t.buffer, &err), &err);
  if (values) check(segnas_buffer_write(stream, t.buffer, 0, values, elements * sizeof(float), &err), &err);
  return t;
}

/* Through operations: every intermediate result is a tensor of one's own. */
static void with_operations(segnas_context *context, const float *x, const float *depthwise, const float *pointwise, float *y) {
  const int64_t in_shape[4] = {1, HEIGHT, WIDTH, IN}, out_shape[4] = {1, HEIGHT, WIDTH, OUT};
  const int64_t depthwise_shape[2] = {9, IN}, pointwise_shape[2] = {IN, OUT};
  segnas_stream *stream;
  segnas_tensor tx, tw, tv, tm, ty;
  segnas_error err;
  check(segnas_stream_create(context, &stream, &err), &err);
  tx = tensor(context, stream, x, 4, in_shape);
  tw = tensor(context, stream, depthwise, 2, depthwise_shape);
  tv = tensor(context, stream, pointwise, 2, pointwise_shape);
  tm = tensor(context, stream, NULL, 4, in_shape);
  ty = tensor(context, stream, NULL, 4, out_shape);
  check(segnas_dwconv_forward(stream, &tx, &tw, 1, &tm, &err), &err);
  check(segnas_relu_forward(stream, &tm, &tm, &err), &err);
  check(segnas_pwconv_forward(stream, &tm, &tv, NULL, &ty, &err), &err);
  check(segnas_buffer_read(stream, ty.buffer, 0, y, PIXELS * OUT * sizeof(float), &err), &err);
  segnas_buffer_destroy(tx.buffer);
  segnas_buffer_destroy(tw.buffer);
  segnas_buffer_destroy(tv.buffer);
  segnas_buffer_destroy(tm.buffer);
  segnas_buffer_destroy(ty.buffer);
  segnas_stream_destroy(stream);
}

/* As a network: planned once, then run without allocating. */
static void with_a_session(segnas_context *context, const float *x, const float *depthwise, const float *pointwise, float *y) {
  const float no_bias[IN] = {0};
  segnas_layer layers[2] = {{sizeof(segnas_layer), SEGNAS_LAYER_DWCONV, 0, -1, 0, 3, 1, 1, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL},
                            {sizeof(segnas_layer), SEGNAS_LAYER_PWCONV, 1, -1, OUT, 0, 0, 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL}};
  segnas_session *session;
  segnas_error err;
  layers[0].weights = depthwise;
  layers[1].weights = pointwise;
  layers[0].bias = layers[1].bias = no_bias;
  check(segnas_session_create(context, layers, 2, 1, HEIGHT, WIDTH, IN, NULL, &session, &err), &err);
  check(segnas_session_run(session, x, y, NULL, &err), &err);
  segnas_session_destroy(session);
}

int main(void) {
  float x[PIXELS * IN], depthwise[9 * IN], pointwise[IN * OUT], y[PIXELS * OUT], z[PIXELS * OUT];
  segnas_context *context;
  segnas_error err;
  int i;
  /* Small integers: every order of summation gives the same bits. */
  for (i = 0; i < PIXELS * IN; i++) x[i] = (float)(i % 11 - 5);
  for (i = 0; i < 9 * IN; i++) depthwise[i] = (float)(i % 5 - 2);
  for (i = 0; i < IN * OUT; i++) pointwise[i] = (float)(i - 3);
  check(segnas_context_create(NULL, &context, &err), &err);
  with_operations(context, x, depthwise, pointwise, y);
  with_a_session(context, x, depthwise, pointwise, z);
  for (i = 0; i < PIXELS * OUT; i++) {
    if (y[i] != z[i]) {
      fprintf(stderr, "value %d is %g through operations and %g through a session\n", i, (double)y[i], (double)z[i]);
      return 1;
    }
  }
  printf("libsegnas %s on %s (%s, %u threads): %d values agree\n", segnas_version(), segnas_context_device(context), segnas_context_isa(context),
         (unsigned)segnas_context_threads(context), PIXELS * OUT);
  segnas_context_destroy(context);
  return 0;
}
