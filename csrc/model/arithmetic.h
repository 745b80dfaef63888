// How a session's numbers lie in memory and are computed: the planner and the steps know nothing else about precision.
//
// Activations are rows of pixels of `pixel_bytes(form, channels)` each. In bfloat16 a value may be wanted as stored, as plain float32 (what labels, dense
// 3x3 layers and the caller read), or both. Elsewhere it has one form: float32, or in integer arithmetic the levels of those who read it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../isa/kernels.h"
#include "bf16.h"
#include "int8.h"

struct segnas_layer;

namespace segnas {

// What a value is kept as: float32, or whole multiples of a step (segnas.h, SEGNAS_PRECISION_INT8).
struct Form {
  int32_t bits = 0;  // 0: float32
  bool is_signed = false;
  float step = 0;

  bool operator==(const Form &) const = default;
};

// A layer with its weights in the session's own memory.
struct Layer {
  int32_t kind = 0, input = 0, input2 = -1, kernel = 0, stride = 1, group = 0, dilation = 1;
  int32_t like = -1;  // of an upsampling that adds nothing: the value whose size it takes
  bool relu = false;
  int64_t cin = 0, channels = 0;
  int32_t weight_bits = 0;  // 0: computes in float32
  Form in, out, residual;   // of the values that it reads and makes
  const void *weights = nullptr;  // packed
  const float *bias = nullptr;
};

// The picture that dense 3x3 layers read when they read value 0.
struct Picture {
  bool bytes = false;
  const float *scale = nullptr, *shift = nullptr;  // [c], kNormalisePixels times over
};

// A stretch of one row of a convolution: output columns [0, columns) of a layer whose tap 0 of column j lies at column first + j*stride - kernel/2.
struct Stretch {
  const void *const *rows;  // [kernel] input rows, nullptr outside
  int64_t in_w, first, columns;
};

class Arithmetic {
 public:
  virtual ~Arithmetic() = default;

  virtual int64_t pixel_bytes(const Form &form, int64_t channels) const = 0;
  // Whether a value has one form, which is float32 [channels] wherever that is wanted.
  virtual bool plain() const = 0;
  // What a depthwise multiply-add costs beside one of a product.
  virtual int64_t depthwise_cost() const = 0;

  // Bytes of a layer's packed weights and bias, each a multiple of 64. The bias follows the weights.
  virtual size_t weight_bytes(const Layer &l) const = 0;
  virtual size_t bias_bytes(const Layer &l) const = 0;
  virtual void pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const = 0;
  // Workspace of `dense` for a stretch, and of `upsample_add`; multiples of 64.
  virtual size_t dense_scratch(const Layer &l, int64_t columns, const Picture *picture) const = 0;
  virtual size_t upsample_scratch(int64_t in_w, int64_t channels) const = 0;
  virtual size_t dilated_scratch(const Layer &l, int64_t in_w) const = 0;

  // c = a w + bias + residual, ReLU; pixels one after another. a, residual and c stored; c plain float32 when floats is set.
  virtual void pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const = 0;
  virtual void depthwise(const Layer &l, const Stretch &s, void *out) const = 0;
  // A whole row of a dilated layer, whose every dilation-th column is a row of a plain one: rows [kernel] as in Stretch.
  virtual void dilated(const Layer &l, const void *const *rows, int64_t in_w, void *scratch, void *out) const = 0;
  // Dense 3x3: reads plain float32, or the picture.
  virtual void dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const = 0;
  // row: the float32 description, whose x, add and y point to stored rows; add nullptr: nothing is added.
  virtual void upsample_add(const Layer &l, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const = 0;
  // A row of NEAREST_ADD, which is for integer arithmetic alone: y[j] = add[j] + x[source[j]].
  virtual void nearest_add(const Layer &, const float *, const int32_t *, const float *, int64_t, void *) const {}
  // Plain float32 to stored and back; never called when plain().
  virtual void to_stored(const float *x, int64_t pixels, int64_t channels, void *y) const = 0;
  virtual void to_float(const void *x, int64_t pixels, int64_t channels, float *y) const = 0;
};

class Float32 final : public Arithmetic {
 public:
  explicit Float32(const Kernels &kernels) : kernels_(kernels) {}
  int64_t pixel_bytes(const Form &, int64_t channels) const override { return 4 * channels; }
  bool plain() const override { return true; }
  int64_t depthwise_cost() const override { return 3; }
  size_t weight_bytes(const Layer &l) const override;
  size_t bias_bytes(const Layer &l) const override;
  void pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const override;
  size_t dense_scratch(const Layer &l, int64_t columns, const Picture *picture) const override;
  size_t upsample_scratch(int64_t in_w, int64_t channels) const override;
  size_t dilated_scratch(const Layer &l, int64_t in_w) const override;
  void pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const override;
  void depthwise(const Layer &l, const Stretch &s, void *out) const override;
  void dilated(const Layer &l, const void *const *rows, int64_t in_w, void *scratch, void *out) const override;
  void dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const override;
  void upsample_add(const Layer &l, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const override;
  void to_stored(const float *, int64_t, int64_t, void *) const override {}
  void to_float(const void *, int64_t, int64_t, float *) const override {}

 private:
  const Kernels &kernels_;
};

class Bfloat16 final : public Arithmetic {
 public:
  explicit Bfloat16(const Bf16Kernels &kernels) : kernels_(kernels) {}
  int64_t pixel_bytes(const Form &, int64_t channels) const override { return 2 * stored(channels); }
  bool plain() const override { return false; }
  int64_t depthwise_cost() const override { return 6; }
  size_t weight_bytes(const Layer &l) const override;
  size_t bias_bytes(const Layer &l) const override;
  void pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const override;
  size_t dense_scratch(const Layer &l, int64_t columns, const Picture *picture) const override;
  size_t upsample_scratch(int64_t in_w, int64_t channels) const override;
  size_t dilated_scratch(const Layer &l, int64_t in_w) const override;
  void pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const override;
  void depthwise(const Layer &l, const Stretch &s, void *out) const override;
  void dilated(const Layer &l, const void *const *rows, int64_t in_w, void *scratch, void *out) const override;
  void dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const override;
  void upsample_add(const Layer &l, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const override;
  void to_stored(const float *x, int64_t pixels, int64_t channels, void *y) const override;
  void to_float(const void *x, int64_t pixels, int64_t channels, float *y) const override;

 private:
  int64_t stored(int64_t channels) const { return bf16_stored(kernels_.lanes, channels); }

  const Bf16Kernels &kernels_;
};

// Integers where layers have bits, float32 elsewhere.
class Integers final : public Arithmetic {
 public:
  Integers(const Kernels &kernels, const Int8Kernels &integers) : float32_(kernels), kernels_(integers) {}
  int64_t pixel_bytes(const Form &form, int64_t channels) const override { return form.bits ? int8_stored(channels) : 4 * channels; }
  bool plain() const override { return true; }
  int64_t depthwise_cost() const override { return 8; }
  size_t weight_bytes(const Layer &l) const override;
  size_t bias_bytes(const Layer &l) const override;
  void pack(const Layer &l, const segnas_layer &from, void *weights, float *bias) const override;
  size_t dense_scratch(const Layer &l, int64_t columns, const Picture *picture) const override { return float32_.dense_scratch(l, columns, picture); }
  size_t upsample_scratch(int64_t in_w, int64_t channels) const override { return float32_.upsample_scratch(in_w, channels); }
  size_t dilated_scratch(const Layer &l, int64_t in_w) const override { return float32_.dilated_scratch(l, in_w); }
  void pointwise(const Layer &l, const void *a, int64_t pixels, const void *residual, bool floats, void *c, Ahead ahead) const override;
  void depthwise(const Layer &l, const Stretch &s, void *out) const override;
  void dilated(const Layer &l, const void *const *rows, int64_t in_w, void *scratch, void *out) const override { float32_.dilated(l, rows, in_w, scratch, out); }
  void dense(const Layer &l, const Stretch &s, const Picture *picture, void *scratch, void *out) const override;
  void upsample_add(const Layer &l, const UpsampleRow &row, const void *top, const void *bottom, const void *add, void *y, void *scratch) const override {
    float32_.upsample_add(l, row, top, bottom, add, y, scratch);
  }
  void nearest_add(const Layer &l, const float *x, const int32_t *source, const float *add, int64_t columns, void *y) const override;
  void to_stored(const float *, int64_t, int64_t, void *) const override {}
  void to_float(const void *, int64_t, int64_t, float *) const override {}

 private:
  void quantise(const Layer &l, const float *x, int64_t pixels, void *y) const;
  template <class Make>
  void in_pieces(const Layer &l, int64_t pixels, void *out, Make make) const;

  Float32 float32_;
  const Int8Kernels &kernels_;
};

}  // namespace segnas
