// The kernels of a session (segnas.h, "deployed networks"): one function a kind of step. Every function enqueues on the stream and returns; none
// allocates, waits or reads host memory that the caller keeps, so that a session records them into a graph once and replays it.
//
// Values lie as pixels one after another, [n,h,w,c], in the session's stored type: float, Half or Bfloat16. Sums, biases, and depthwise weights are
// float32; ReLU and the residual are applied to the float32 sum, which is then rounded once. With float, every output is one chain of FMAs from the
// bias on, over ascending taps and channels.
#pragma once
#include "../arch/half.h"
#include "../plugin/bytes.h"
#include "../plugin/op.h"

namespace segnas::gpu {

enum class Stored { kFloat, kHalf, kBfloat16 };
inline size_t bytes_of(Stored s) { return s == Stored::kFloat ? 4 : 2; }

// work(T()) with the stored type T.
template <class Work>
segnas_status with_stored(Stored s, const Work &work) {
  return s == Stored::kFloat ? work(float()) : s == Stored::kHalf ? work(Half()) : work(Bfloat16());
}

// A value on the device, 256-byte aligned.
struct Image {
  void *at = nullptr;
  int64_t n = 0, h = 0, w = 0, c = 0;
  Stored stored = Stored::kFloat;
  int64_t pixels() const { return n * h * w; }
};

// A convolution with its weights on the device, 256-byte aligned. weights: pointwise [cin][channels] in the session's stored type; dense
// [9*cin][channels] and depthwise [kernel*kernel][channels] float32. bias [channels].
struct Convolution {
  const void *weights = nullptr;
  const float *bias = nullptr;
  int64_t cin = 0, channels = 0;
  int32_t kernel = 1, stride = 1, relu = 0;
};

// What a dense layer reads where it reads the session's input: float32, or bytes of which byte * scale[c] + shift[c] is read (one multiplication,
// one addition, each rounded; zero padding lies outside of it).
struct PictureInput {
  const float *floats = nullptr;
  const uint8_t *bytes = nullptr;
  const float *scale = nullptr, *shift = nullptr;  // device, [c]
};

// y = relu(dense 3x3 (x)), with x float32 or bytes of size n, h, w, cin = x_c. For half types the picture and the weights are rounded to the stored
// type first, as segnas.h says of bfloat16. rounding: y becomes bytes (integers.h); or NULL.
segnas_status session_dense(Stream *s, const Convolution &l, const PictureInput &x, int64_t x_h, int64_t x_w, const Rounding *rounding, const Image &y,
                            segnas_error *err);
// y = relu(depthwise (x)).
segnas_status session_depthwise(Stream *s, const Convolution &l, const Image &x, const Image &y, segnas_error *err);
// y = relu(x w + bias + residual). residual: y's shape and x's stored type, or NULL. y is stored as x, or float32.
segnas_status session_pointwise(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err);
// The fused block [expand] -> depthwise -> project, whose middle stays in shared memory: the same result as the three functions above in a row
// (the half types round the middle to the stored type where those would have stored it). expand NULL: the block begins with its depthwise layer.
segnas_status session_block(Stream *s, const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x,
                            const Image *residual, const Image &y, segnas_error *err);
// Whether session_block can run it on this device (shared memory), and whether it is thought to be faster than its layers apart.
struct BlockFit {
  bool possible, faster;
};
BlockFit session_block_fit(const DeviceFacts &device, const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x,
                           const Image &y);
// y = relu(a + bilinear (x)).
segnas_status session_upsample_add(Stream *s, const Image &x, const Image &a, int32_t relu, const Image &y, segnas_error *err);
// labels [n,h,w] of float32 logits, upsampled bilinearly.
segnas_status session_labels(Stream *s, const Image &logits, uint8_t *labels, int64_t h, int64_t w, segnas_error *err);

}  // namespace segnas::gpu
