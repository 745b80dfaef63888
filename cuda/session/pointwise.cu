// A deployed pointwise layer, y = relu(x w + bias + residual): the products over pixels of cuda/ops/pwconv, which say what they cost, with the rest of the
// layer done in registers on the way out. So a layer moves P (Cin + Cout) numbers of the stored type, and P Cout more where there is a residual.
#include "../ops/pwconv/product.h"
#include "step.h"

namespace segnas::gpu {
namespace {

template <class Stored, class Residual>
struct StoreDeployed {
  Matrix<Stored> c;
  const float *bias;
  Matrix<Residual> residual;  // NULL: none
  int32_t relu;

  template <class T>
  SEGNAS_DEVICE void finish(const Accumulators<T> &sum, const Place &at) const {
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++) {
      if (T::row(r) >= at.rows_left) break;
#pragma unroll
      for (int g = 0; g < T::kThreadColumns; g += 4) {
        const int64_t row = at.row + T::row(r), column = at.column + T::column(g), left = at.columns_left - T::column(g);
        Quad q = {{sum[r][g], sum[r][g + 1], sum[r][g + 2], sum[r][g + 3]}};
        if (residual.at) {
          const Quad add = residual.load(row, column, left);
#pragma unroll
          for (int i = 0; i < 4; i++) q.at[i] += add.at[i];
        }
        if (relu) {
#pragma unroll
          for (int i = 0; i < 4; i++) q.at[i] = relu_of(q.at[i]);
        }
        c.store(row, column, q, left);
      }
    }
  }
};

template <class T, class Out>
segnas_status run(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err) {
  const auto matrix = [](auto *type, const void *at, int64_t pitch) {
    using Stored = std::remove_pointer_t<decltype(type)>;
    return matrix_at(static_cast<Stored *>(const_cast<void *>(at)), pitch);
  };
  T *stored = nullptr;
  Out *out = nullptr;
  const ProductArgs<Plain<T>, T, StoreDeployed<Out, T>> args = {
      {matrix(stored, x.at, x.c)},
      {matrix(stored, l.weights, l.channels)},
      {matrix(out, y.at, y.c), l.bias, residual ? matrix(stored, residual->at, y.c) : Matrix<T>{}, l.relu},
      x.pixels(), l.channels, l.cin, 0};
  return multiply<false>("session_pointwise", s, args, err);
}

}  // namespace

segnas_status session_pointwise(Stream *s, const Convolution &l, const Image &x, const Image *residual, const Image &y, segnas_error *err) {
  return with_stored(x.stored, [&](auto type) {
    using T = decltype(type);
    return y.stored == x.stored ? run<T, T>(s, l, x, residual, y, err) : run<T, float>(s, l, x, residual, y, err);
  });
}

}  // namespace segnas::gpu
