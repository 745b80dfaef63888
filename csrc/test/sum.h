// One output element of a reference: the sum in double, and what an error bound for its float32 counterpart needs.
#pragma once
#include <cmath>
#include <cstdint>

namespace segnas::ref {

struct Sum {
  double value = 0;
  double magnitude = 0;  // sum |term|
  double squares = 0;    // sum term^2
  int64_t terms = 0;

  // A term counts at least the least normal float: below it a product's rounding error no longer shrinks with the product.
  void add(double term) { add(term, std::fabs(term)); }
  // A term that float32 arithmetic knows worse than to half an ulp: weight >= |term| is what its relative error refers to.
  void add(double term, double weight) {
    value += term;
    magnitude += term == 0 ? weight : std::fmax(weight, 0x1p-126);
    squares += term * term;
    terms++;
  }
};

// A convolution's or a resize's sizes. Outputs: (n-1)/s+1.
inline int64_t strided_size(int64_t size, int64_t stride) { return (size - 1) / stride + 1; }

}  // namespace segnas::ref
