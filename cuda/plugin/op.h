// What an operation's host code works with: its stream, its scratch, and views on its tensors. The host of the plug-in has checked shapes,
// dtypes and bounds before (backend.h), so nothing here checks them again.
#pragma once
#include <type_traits>

#include "../../csrc/include/segnas/backend.h"
#include "../arch/half.h"
#include "../arch/launch.h"

// Returns from the caller when call fails.
#define SEGNAS_GPU_TRY(call)                                                          \
  do {                                                                                \
    if (segnas_status segnas_try = (call); segnas_try != SEGNAS_OK) return segnas_try; \
  } while (0)

namespace segnas::gpu {

struct Device {
  int index;
  void *host_context;
  DeviceFacts facts;
};

// One user at a time. Every operation begins with enter().
struct Stream {
  Device *device;
  RawStream raw;
  void *scratch;
  size_t scratch_bytes;

  // The stream that a call is for, its device made current.
  static segnas_status enter(void *stream, Stream **entered, segnas_error *err);
  // At least `bytes` of scratch, aligned to 256 bytes, contents unspecified (sim: NaN), valid until the next call of reserve on this stream. Grows on demand
  // (waits for the stream then), is kept.
  segnas_status reserve(size_t bytes, void **memory, segnas_error *err);
};

segnas_status fail(segnas_error *err, segnas_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
segnas_status succeed(segnas_error *err);

// ---------------------------------------------------------------- views, plain data for kernels

inline void *tensor_memory(const segnas_tensor &t, size_t element_bytes) {
  return static_cast<char *>(segnas_buffer_memory(&t)) + static_cast<size_t>(t.offset) * element_bytes;
}
inline float *f32(const segnas_tensor &t) { return static_cast<float *>(tensor_memory(t, sizeof(float))); }
inline double *f64(const segnas_tensor &t) { return static_cast<double *>(tensor_memory(t, sizeof(double))); }
inline uint8_t *u8(const segnas_tensor &t) { return static_cast<uint8_t *>(tensor_memory(t, 1)); }
inline int64_t *i64(const segnas_tensor &t) { return static_cast<int64_t *>(tensor_memory(t, sizeof(int64_t))); }

// An element's address, where the type has been found out.
template <class T>
T *stored(const segnas_tensor &t) {
  return static_cast<T *>(tensor_memory(t, sizeof(T)));
}
// work(T()) with the type of an activation. The host lets nothing else through.
template <class Work>
segnas_status with_activation(const segnas_tensor &t, const Work &work) {
  return t.dtype == SEGNAS_F16 ? work(Half()) : t.dtype == SEGNAS_BF16 ? work(Bfloat16()) : work(float());
}
// work(T(), Y()): of x, and of what is as x or float32.
template <class Work>
segnas_status with_result(const segnas_tensor &x, const segnas_tensor &y, const Work &work) {
  return with_activation(x, [&](auto type) { return y.dtype == SEGNAS_F32 ? work(type, float()) : work(type, type); });
}

// Rows of an activation ([N,H,W,C] or [P,C]: pixels) or of weights, `pitch` elements apart.
struct Rows {
  float *at;
  int64_t pitch;
};
inline int64_t pitch_of(const segnas_tensor &t) { return t.rank >= 2 ? t.stride[t.rank - 2] : t.shape[0]; }
inline Rows rows_of(const segnas_tensor &t) { return {f32(t), pitch_of(t)}; }
inline int64_t pixels_of(const segnas_tensor &t) {
  int64_t pixels = 1;
  for (int i = 0; i + 1 < t.rank; i++) pixels *= t.shape[i];
  return pixels;
}
inline int64_t channels_of(const segnas_tensor &t) { return t.shape[t.rank - 1]; }

// A norm [6,C] or [10,C] (segnas.h, "training with batch norm in passing"); mean NULL: there is none and the activation is x itself; low NULL: it does
// not quantise.
struct Norm {
  const float *mean = nullptr, *scale = nullptr, *beta = nullptr, *centre = nullptr, *slope = nullptr;
  int32_t relu = 0;
  const float *low = nullptr, *high = nullptr, *r = nullptr, *s = nullptr;
};
inline bool quantises(const segnas_tensor *norm) { return norm && norm->shape[0] == 10; }
inline Norm norm_of(const segnas_tensor *t, int32_t relu) {
  if (!t) return {};
  const float *at = f32(*t);
  const int64_t pitch = t->stride[0];
  Norm norm = {at, at + pitch, at + 2 * pitch, at + 4 * pitch, at + 5 * pitch, relu};
  if (quantises(t)) norm.low = at + 6 * pitch, norm.high = at + 7 * pitch, norm.r = at + 8 * pitch, norm.s = at + 9 * pitch;
  return norm;
}
// work(std::bool_constant): kernels whose norms quantise are others, so that those whose norms do not keep their registers.
template <class Work>
segnas_status with_quantised(bool quantised, const Work &work) {
  return quantised ? work(std::true_type()) : work(std::false_type());
}
// (x - mean) scale + beta and its ReLU, rounded step by step as everywhere: the same bits wherever x is read.
SEGNAS_DEVICE float activation(float x, float mean, float scale, float beta, int32_t relu) {
  float a = fused_multiply_add(x - mean, scale, beta);
  return relu ? relu_of(a) : a;
}

}  // namespace segnas::gpu
