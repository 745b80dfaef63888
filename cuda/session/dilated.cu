// session_dilated: a thread per element of y, channels side by side, so that a warp reads whole sectors at every tap. Of k*k reads all but one find the
// value in a cache while dilation rows of x fit it: at 1/16 of a picture they do. The kernel of ops/dwconv, which holds a row of neighbours in
// registers, has nothing to hold here.
#include "../plugin/storage.h"
#include "apart.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256;

template <class T>
struct DilatedArgs {
  const T *x;
  const float *w, *bias;
  T *y;
  int64_t numbers;
  int h, w_columns, channels, dilation, relu;
};

// One chain of FMAs from the bias on, taps in row-major order.
template <int K, class T>
SEGNAS_KERNEL(kThreads) dilated_elements(const DilatedArgs<T> a) {
  const int64_t item = static_cast<int64_t>(block_x()) * kThreads + thread();
  if (item >= a.numbers) return;
  const int64_t pixel = item / a.channels, line = pixel / a.w_columns;
  const int c = static_cast<int>(item - pixel * a.channels), j = static_cast<int>(pixel - line * a.w_columns), i = static_cast<int>(line % a.h);
  float sum = a.bias[c];
  for (int u = 0; u < K; u++) {
    const int row = (u - K / 2) * a.dilation;
    if (i + row < 0 || i + row >= a.h) continue;
    for (int v = 0; v < K; v++) {
      const int column = (v - K / 2) * a.dilation;
      if (j + column < 0 || j + column >= a.w_columns) continue;
      const int64_t from = pixel + static_cast<int64_t>(row) * a.w_columns + column;
      sum = fused_multiply_add(load(a.x + from * a.channels + c), a.w[(u * K + v) * a.channels + c], sum);
    }
  }
  store(a.y + item, a.relu ? relu_of(sum) : sum);
}

}  // namespace

segnas_status session_dilated(Stream *s, const Convolution &l, int32_t dilation, const Image &x, const Image &y, segnas_error *err) {
  return with_stored(x.stored, [&](auto type) {
    using T = decltype(type);
    const DilatedArgs<T> a = {static_cast<const T *>(x.at), static_cast<const float *>(l.weights), l.bias, static_cast<T *>(y.at), y.pixels() * y.c,
                              static_cast<int>(x.h), static_cast<int>(x.w), static_cast<int>(x.c), dilation, l.relu};
    const Grid grid = {.x = ceil_div<int64_t>(a.numbers, kThreads), .threads = kThreads};
    if (l.kernel == 3) return launch("session_dilated", s->raw, err, grid, dilated_elements<3, T>, a);
    if (l.kernel == 5) return launch("session_dilated", s->raw, err, grid, dilated_elements<5, T>, a);
    return launch("session_dilated", s->raw, err, grid, dilated_elements<7, T>, a);
  });
}

}  // namespace segnas::gpu
