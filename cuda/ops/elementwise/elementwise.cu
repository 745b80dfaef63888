// relu_forward, relu_backward, add_forward, fill, copy, axpy: csrc/ops/elementwise on views of any rank and strides (plugin/walk.h).
//
// An operation or two an element against 4 (fill) to 12 bytes (relu_backward, add, axpy) moved: memory decides, n bytes at the card's
// bandwidth, and a thread an element, or four of them in 16-byte accesses, keeps enough of them under way. Axes that are dense in every view are joined first,
// so that an address costs a division only where a view really has gaps.
#include "../../plugin/ops.h"
#include "../../plugin/walk.h"

namespace segnas::gpu {
namespace {

struct Relu {
  static constexpr int kViews = 2, kReads = 0b01, kWrites = 0b10;
  SEGNAS_DEVICE void operator()(float (&v)[2]) const { v[1] = relu_of(v[0]); }
};

struct ReluBackward {
  static constexpr int kViews = 3, kReads = 0b011, kWrites = 0b100;
  SEGNAS_DEVICE void operator()(float (&v)[3]) const { v[2] = v[0] > 0 ? v[1] : 0.0f; }
};

struct Add {
  static constexpr int kViews = 3, kReads = 0b011, kWrites = 0b100;
  int32_t relu;
  SEGNAS_DEVICE void operator()(float (&v)[3]) const {
    const float sum = v[0] + v[1];
    v[2] = relu ? relu_of(sum) : sum;
  }
};

struct Fill {
  static constexpr int kViews = 1, kReads = 0, kWrites = 0b1;
  float value;
  SEGNAS_DEVICE void operator()(float (&v)[1]) const { v[0] = value; }
};

struct Copy {
  static constexpr int kViews = 2, kReads = 0b01, kWrites = 0b10;
  SEGNAS_DEVICE void operator()(float (&v)[2]) const { v[1] = v[0]; }
};

struct Axpy {
  static constexpr int kViews = 2, kReads = 0b11, kWrites = 0b10;
  float alpha;
  SEGNAS_DEVICE void operator()(float (&v)[2]) const { v[1] = v[1] + alpha * v[0]; }
};

}  // namespace

segnas_status relu_forward(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  return map_views("relu_forward", stream, {x, y}, Relu{}, err);
}

segnas_status relu_backward(void *stream, const segnas_tensor *y, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err) {
  return map_views("relu_backward", stream, {y, dy, dx}, ReluBackward{}, err);
}

segnas_status add_forward(void *stream, const segnas_tensor *a, const segnas_tensor *b, int32_t relu, const segnas_tensor *y, segnas_error *err) {
  return map_views("add_forward", stream, {a, b, y}, Add{relu}, err);
}

segnas_status fill(void *stream, const segnas_tensor *x, float value, segnas_error *err) {
  return map_views("fill", stream, {x}, Fill{value}, err);
}

segnas_status copy(void *stream, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  return map_views("copy", stream, {x, y}, Copy{}, err);
}

segnas_status axpy(void *stream, float alpha, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err) {
  return map_views("axpy", stream, {x, y}, Axpy{alpha}, err);
}

}  // namespace segnas::gpu
