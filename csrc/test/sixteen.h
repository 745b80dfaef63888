// Numbers of 16 bits, and the functions that take activations in them (segnas.h, "convolutions").
#pragma once
#include <cstdint>

#include "problem.h"

namespace segnas::check {

constexpr bool is_narrow(segnas_dtype dtype) { return dtype == SEGNAS_F16 || dtype == SEGNAS_BF16; }

// To nearest, ties to even, infinite beyond the largest; denormals are kept.
uint16_t encode_narrow(double value, segnas_dtype dtype);
double decode_narrow(uint16_t bits, segnas_dtype dtype);
// The nearest number of that type.
double nearest(double value, segnas_dtype dtype);
// The distance of neighbours at v, halved.
double half_ulp_narrow(double v, segnas_dtype dtype);

// Those of the functions that take activations of 16 bits, in half precision on the even rows of their cases and in bfloat16 on the odd ones.
std::vector<Function> narrowed(const std::vector<Function> &functions);

}  // namespace segnas::check
