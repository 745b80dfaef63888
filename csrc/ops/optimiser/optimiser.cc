// segnas_sum_squares and segnas_sgd on views of any rank.
#include "optimiser.h"

#include <cstring>

#include "../../core/walk.h"

namespace segnas {
namespace {

constexpr int64_t kSgdPiece = 32768;

// A scattered block is copied together first, so that the order of the sum does not depend on the strides.
double block_of(const segnas_stream *s, const Walk &walk, int64_t begin, int64_t end, float *gathered) {
  const float *block = nullptr;
  float *free = gathered;
  walk.runs(begin, end, [&](int64_t n, float *const *at) {
    if (n == end - begin) {
      block = at[0];
      return;
    }
    std::memcpy(free, at[0], static_cast<size_t>(n) * sizeof(float));
    free += n;
  });
  return s->context->kernels->optimiser.sum_squares(end - begin, block ? block : gathered);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_sum_squares(segnas_stream *s, const segnas_tensor *x, int32_t accumulate, const segnas_tensor *result,
                                            segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_view(s, __func__, "x", x, SEGNAS_F32, err));
  SEGNAS_TRY(check_view(s, __func__, "result", result, SEGNAS_F64, err));
  SEGNAS_TRY(check_equal(__func__, "result's elements", elements(*result), 1, err));
  if (accumulate != 0 && accumulate != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: accumulate is %d, should be 0 or 1", __func__, accumulate);
  SEGNAS_DISPATCH(s, sum_squares, err, x, accumulate, result);

  Walk walk({x});
  int64_t blocks = (walk.total() + kSumSquaresBlock - 1) / kSumSquaresBlock;
  size_t partial_bytes = cache_lines(static_cast<size_t>(blocks) * sizeof(double));
  size_t gather_bytes = walk.contiguous() ? 0 : static_cast<size_t>(s->context->pool->threads()) * kSumSquaresBlock * sizeof(float);
  char *memory = static_cast<char *>(s->scratch.reserve(partial_bytes + gather_bytes));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", __func__);
  double *partial = reinterpret_cast<double *>(memory);
  float *gathered = reinterpret_cast<float *>(memory + partial_bytes);
  s->context->pool->run(blocks, [&](int64_t block, int worker) {
    int64_t begin = block * kSumSquaresBlock, end = std::min(walk.total(), begin + kSumSquaresBlock);
    partial[block] = block_of(s, walk, begin, end, walk.contiguous() ? nullptr : gathered + worker * kSumSquaresBlock);
  });
  double sum = 0;
  for (int64_t block = 0; block < blocks; block++) sum += partial[block];
  *f64(*result) = accumulate ? *f64(*result) + sum : sum;
  return succeed(err);
}

SEGNAS_API segnas_status segnas_sgd(segnas_stream *s, const segnas_tensor *w, const segnas_tensor *m, const segnas_tensor *g, float lr,
                                    float momentum, float decay, float clip, int32_t nesterov, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  SEGNAS_TRY(check_view(s, __func__, "w", w, SEGNAS_F32, err));
  SEGNAS_TRY(check_view(s, __func__, "m", m, SEGNAS_F32, err));
  SEGNAS_TRY(check_view(s, __func__, "g", g, SEGNAS_F32, err));
  if (!same_shape(*w, *m) || !same_shape(*w, *g)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: w, m and g differ in shape", __func__);
  if (nesterov != 0 && nesterov != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: nesterov is %d, should be 0 or 1", __func__, nesterov);
  SEGNAS_DISPATCH(s, sgd, err, w, m, g, lr, momentum, decay, clip, nesterov);

  Walk walk({w, m, g});
  const SgdStep step = {lr, momentum, decay, clip, nesterov};
  s->context->pool->run((walk.total() + kSgdPiece - 1) / kSgdPiece, [&](int64_t piece, int) {
    walk.runs(piece * kSgdPiece, std::min(walk.total(), (piece + 1) * kSgdPiece),
              [&](int64_t n, float *const *at) { s->context->kernels->optimiser.sgd(n, at[0], at[1], at[2], step); });
  });
  return succeed(err);
}

}  // extern "C"
