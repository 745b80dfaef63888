#include "../ops/dwconv/ref.h"
#include "strided_convolution.h"

namespace segnas::check {
namespace {

struct DwconvCase {
  static constexpr auto kForward = segnas_dwconv_forward;
  static constexpr auto kBackwardInput = segnas_dwconv_backward_input;
  static constexpr auto kBackwardWeight = segnas_dwconv_backward_weight;
  static constexpr auto kReferenceForward = ref::dwconv_forward;
  static constexpr auto kReferenceInput = ref::dwconv_backward_input;
  static constexpr auto kReferenceWeight = ref::dwconv_backward_weight;

  int64_t n, h, w, c, k;
  int32_t stride, accumulate;

  static DwconvCase draw(Random &r) {
    return {r.integer(1, 3),         r.integer(1, 24),         r.integer(1, 48),        r.integer(1, 70),
            2 * r.integer(1, 3) + 1, int32_t(r.integer(1, 2)), int32_t(r.integer(0, 1))};
  }
  ref::DwconvShape shape() const { return {n, h, w, c, k, stride}; }
  std::vector<int64_t> x() const { return {n, h, w, c}; }
  std::vector<int64_t> weights() const { return {k * k, c}; }
  std::vector<int64_t> y() const { return {n, shape().ho(), shape().wo(), c}; }
  std::string text() const {
    char line[120];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d k%d s%d accumulate %d", int(n), int(h), int(w), int(c), int(k), stride, accumulate);
    return line;
  }
};

const DwconvCase kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/dwconv/cases.inc"
#undef SEGNAS_CASE
};

// Kernel sizes that the op does not take.
const DwconvCase kEven = {1, 5, 5, 4, 4, 1, 0}, kPoint = {1, 5, 5, 4, 1, 1, 0}, kNine = {1, 9, 9, 4, 9, 1, 0};
}  // namespace

void add_dwconv(std::vector<Function> &functions) { add_convolution(functions, "dwconv", kCases, {kEven, kPoint, kNine}); }

void prove_dwconv(GradientProof &proof) {
  for (int64_t k : {3, 5, 7})
    for (int32_t stride : {1, 2}) prove_convolution(proof, "dwconv", DwconvCase{2, 4, 5, 2, k, stride, 0});
}

}  // namespace segnas::check
