#include "sixteen.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace segnas::check {
namespace {

// Bits of the fraction, and the least exponent of a normal number.
struct Format {
  int fraction, least, bias;
};
Format format_of(segnas_dtype dtype) { return dtype == SEGNAS_F16 ? Format{10, -14, 15} : Format{7, -126, 127}; }

double place_of(double v, const Format &f) {
  const int exponent = v == 0 ? f.least : std::max(std::ilogb(v), f.least);
  return std::ldexp(1, exponent - f.fraction);
}

// Which arguments are activations. The picture that a dense layer reads stays float32.
bool is_activation(const Function &function, const Argument &argument) {
  if (argument.dtype != SEGNAS_F32) return false;
  if (function.op == "elementwise") return true;
  const bool picture = function.name.rfind("conv3x3", 0) == 0 && std::strcmp(argument.name, "x") == 0;
  return argument.kind == Kind::kPixels && !picture;
}

bool takes_narrow(const std::string &name) {
  static const char *const kNames[] = {
      "dwconv_forward", "dwconv_backward_input", "dwconv_backward_weight", "dwconv_norm_forward", "dwconv_norm_backward", "pwconv_forward",
      "pwconv_backward_input", "pwconv_backward_weight", "pwconv_backward_bias", "pwconv_norm_forward", "pwconv_norm_backward", "conv3x3_norm_forward",
      "conv3x3_norm_backward_weight", "norm_forward", "norm_sums", "norm_gradient", "upsample_forward", "upsample_add_forward", "upsample_backward", "avg_pool_forward", "avg_pool_backward",
      "fakequant_forward", "fakequant_backward", "relu_forward", "relu_backward", "add_forward", "fill", "copy", "axpy"};
  return std::any_of(std::begin(kNames), std::end(kNames), [&](const char *known) { return name == known; });
}

// What a factor moves by at most when it is rounded, as a share of it.
double rounding(segnas_dtype dtype) { return dtype == SEGNAS_F16 ? 0x1p-11 : 0x1p-8; }

// Products of pointwise layers run on tensor cores: what is multiplied is rounded before. A weight is so in the reference too; of what a norm makes of an
// activation or of a gradient the bounds know.
void widen(std::vector<Expected> &all, segnas_dtype dtype) {
  for (Expected &expected : all) {
    if (expected.exact || expected.magnitude.empty()) continue;
    for (size_t i = 0; i < expected.bound.size(); i++) expected.bound[i] += 2.01 * rounding(dtype) * expected.magnitude[i];
    if (expected.rms_limit > 0) expected.rms_limit += 2.01 * rounding(dtype);
  }
}

// Moments [2,C] of a result [P,C] whose elements may be off by its bounds.
void widen_moments(const Expected &y, Expected &moments) {
  const size_t channels = moments.value.size() / 2;
  for (size_t c = 0; c < channels; c++) {
    double off = 0, farthest = 0;
    for (size_t i = c; i < y.value.size(); i += channels) {
      off = std::max(off, y.bound[i]);
      if (std::isfinite(y.value[i])) farthest = std::max(farthest, std::fabs(y.value[i] - moments.value[c]));
    }
    moments.bound[c] += off;
    moments.bound[channels + c] += 2 * farthest * off + off * off;
  }
}

Problem narrow(const Function &function, Problem problem, segnas_dtype dtype) {
  for (Argument &argument : problem.arguments)
    if (is_activation(function, argument)) argument.dtype = dtype;
  if (function.name.rfind("pwconv", 0) == 0 && function.name != "pwconv_backward_bias")
    problem.expect = [dtype, arguments = problem.arguments, expect = problem.expect, forward = function.name == "pwconv_norm_forward"](Data data, Values values) {
      for (size_t a = 0; a < values.size(); a++)
        if (std::strcmp(arguments[a].name, "w") == 0)
          for (double &w : values[a]) w = nearest(w, dtype);
      std::vector<Expected> all = expect(data, values);
      widen(all, dtype);
      if (forward && all.size() == 2) widen_moments(all[0], all[1]);
      return all;
    };
  problem.text += dtype == SEGNAS_F16 ? " f16" : " bf16";
  return problem;
}

}  // namespace

uint16_t encode_narrow(double value, segnas_dtype dtype) {
  const Format f = format_of(dtype);
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0, infinity = static_cast<uint16_t>((2 * f.bias + 1) << f.fraction);
  if (std::isnan(value)) return static_cast<uint16_t>(infinity | 1 << (f.fraction - 1));
  const double size = std::fabs(value), rounded = std::isinf(size) ? size : std::nearbyint(size / place_of(size, f)) * place_of(size, f);
  if (rounded >= std::ldexp(1, f.bias + 1)) return sign | infinity;
  const int exponent = rounded == 0 ? f.least - 1 : std::ilogb(rounded);
  const int64_t count = static_cast<int64_t>(rounded / place_of(rounded, f));  // of last places
  if (exponent < f.least) return static_cast<uint16_t>(sign | count);
  return static_cast<uint16_t>(sign | (exponent + f.bias) << f.fraction | (count - (int64_t{1} << f.fraction)));
}

double decode_narrow(uint16_t bits, segnas_dtype dtype) {
  const Format f = format_of(dtype);
  const int exponent = (bits & 0x7fff) >> f.fraction, fraction = bits & ((1 << f.fraction) - 1);
  double size = exponent == 2 * f.bias + 1 ? (fraction ? std::nan("") : INFINITY)
                : exponent == 0            ? std::ldexp(fraction, f.least - f.fraction)
                                           : std::ldexp((1 << f.fraction) + fraction, exponent - f.bias - f.fraction);
  return bits & 0x8000 ? -size : size;
}

double nearest(double value, segnas_dtype dtype) { return decode_narrow(encode_narrow(value, dtype), dtype); }

double half_ulp_narrow(double v, segnas_dtype dtype) { return std::isfinite(v) ? place_of(std::fabs(v), format_of(dtype)) / 2 : 0; }

std::vector<Function> narrowed(const std::vector<Function> &functions) {
  std::vector<Function> narrow_ones;
  for (const Function &function : functions) {
    if (!takes_narrow(function.name)) continue;
    for (segnas_dtype dtype : {SEGNAS_F16, SEGNAS_BF16}) {
      const int64_t first = dtype == SEGNAS_F16 ? 0 : 1;
      Function made;
      made.op = function.op;
      made.name = function.name + (dtype == SEGNAS_F16 ? "_f16" : "_bf16");
      made.narrow = true;
      made.cases = (function.cases - first + 1) / 2;
      made.problem = [=](int64_t row) { return narrow(function, function.problem(2 * row + first), dtype); };
      made.draw = [=](Random &random) { return narrow(function, function.draw(random), dtype); };
      if (made.cases > 0) narrow_ones.push_back(std::move(made));
    }
  }
  return narrow_ones;
}

}  // namespace segnas::check
