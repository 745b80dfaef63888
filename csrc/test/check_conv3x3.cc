#include "../ops/conv3x3/ref.h"
#include "strided_convolution.h"

namespace segnas::check {
namespace {

struct Conv3x3Case {
  static constexpr auto kForward = segnas_conv3x3_forward;
  static constexpr auto kBackwardInput = segnas_conv3x3_backward_input;
  static constexpr auto kBackwardWeight = segnas_conv3x3_backward_weight;
  static constexpr auto kReferenceForward = ref::conv3x3_forward;
  static constexpr auto kReferenceInput = ref::conv3x3_backward_input;
  static constexpr auto kReferenceWeight = ref::conv3x3_backward_weight;

  int64_t n, h, w, cin, cout;
  int32_t stride, accumulate;

  static Conv3x3Case draw(Random &r) {
    return {r.integer(1, 3),  r.integer(1, 20),         r.integer(1, 40),        r.integer(1, 16),
            r.integer(1, 40), int32_t(r.integer(1, 2)), int32_t(r.integer(0, 1))};
  }
  ref::Conv3x3Shape shape() const { return {n, h, w, cin, cout, stride}; }
  std::vector<int64_t> x() const { return {n, h, w, cin}; }
  std::vector<int64_t> weights() const { return {9 * cin, cout}; }
  std::vector<int64_t> y() const { return {n, shape().ho(), shape().wo(), cout}; }
  std::string text() const {
    char line[120];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d->%d s%d accumulate %d", int(n), int(h), int(w), int(cin), int(cout), stride, accumulate);
    return line;
  }
};

const Conv3x3Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/conv3x3/cases.inc"
#undef SEGNAS_CASE
};

// One more input channel than the op takes.
const Conv3x3Case kTooWide = {1, 3, 3, 17, 4, 1, 0};
}  // namespace

void add_conv3x3(std::vector<Function> &functions) { add_convolution(functions, "conv3x3", kCases, {kTooWide}); }

void prove_conv3x3(GradientProof &proof) {
  for (int32_t stride : {1, 2}) prove_convolution(proof, "conv3x3", Conv3x3Case{2, 4, 5, 2, 3, stride, 0});
}

}  // namespace segnas::check
