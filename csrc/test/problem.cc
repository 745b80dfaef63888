#include "problem.h"

#include "sixteen.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <limits>

namespace segnas::check {
namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-24;  // half an ulp of 1 in float32

// Half a unit in the last place of the type at v.
double half_ulp(double v, segnas_dtype dtype) {
  if (dtype == SEGNAS_I64 || dtype == SEGNAS_U8 || !std::isfinite(v)) return 0;
  if (is_narrow(dtype)) return half_ulp_narrow(v, dtype);
  int exponent = v == 0 ? -1000 : std::ilogb(v);
  if (dtype == SEGNAS_F64) return std::ldexp(1, std::max(exponent, -1022) - 53);
  return std::ldexp(1, std::max(exponent, -126) - 24);
}

double edge_element(Random &random) {
  static const double kEdges[] = {0.0, -0.0, 1e-40f, -3e-42f, 0x1p-149, 0x1p-126, -1e-38f, 1e-20f};
  return random.one_in(8) ? random.pick(kEdges) : random.uniform(-1, 1);
}

double draw_element(const Argument &argument, Data data, Random &random) {
  if (argument.element) return argument.element(random);
  switch (data) {
    case Data::kInteger:
      return static_cast<double>(random.integer(argument.low < 0 ? -3 : 1, 3));
    case Data::kUniform:
      return random.uniform(argument.low, argument.high);
    case Data::kEdge:
      return argument.low < 0 ? edge_element(random) : random.uniform(argument.low, argument.high);
  }
  return 0;
}

// A few elements only: an infinity in every sum would leave nothing else to check.
void sprinkle_non_finite(Special special, std::vector<double> &values, Random &random) {
  static const double kSpecials[] = {std::nan(""), kInfinity, -kInfinity};
  const int64_t most = special == Special::kAll ? 2 : 0, last = static_cast<int64_t>(values.size()) - 1;
  for (int i = 0; i < 3; i++) values[static_cast<size_t>(random.integer(0, last))] = kSpecials[random.integer(0, most)];
}

std::string line(const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string place_of(const Argument &argument, size_t element) {
  std::string text;
  int64_t rest = static_cast<int64_t>(element);
  for (size_t d = argument.shape.size(); d-- > 0; rest /= argument.shape[d])
    text = std::to_string(rest % argument.shape[d]) + (text.empty() ? "" : ",") + text;
  return std::string(argument.name) + "[" + text + "]";
}

// NaN equals NaN, zeros of either sign are equal, infinities must agree.
bool agrees(double got, double value, double allowed) {
  if (std::isnan(value)) return std::isnan(got);
  if (std::isinf(value)) return got == value;
  return std::fabs(got - value) <= allowed;
}

std::string compare_rms(const Argument &argument, const Expected &expected, const std::vector<double> &got) {
  double squares = 0;
  for (size_t i = 0; i < got.size(); i++) squares += (got[i] - expected.value[i]) * (got[i] - expected.value[i]);
  double rms = std::sqrt(squares / static_cast<double>(got.size()));
  const double limit = expected.rms_limit + (argument.dtype == SEGNAS_BF16 ? 0x1p-8 : argument.dtype == SEGNAS_F16 ? 0x1p-11 : 0);
  if (rms <= limit * expected.rms_scale) return "";
  return line("RMS error of %s is %.3g, allowed %.3g (%.3g of the tensor's)", argument.name, rms, limit * expected.rms_scale, limit);
}

// As the type keeps it.
double rounded(double value, segnas_dtype dtype) {
  return dtype == SEGNAS_F32 ? static_cast<double>(static_cast<float>(value)) : is_narrow(dtype) ? nearest(value, dtype) : value;
}
}  // namespace

const char *data_name(Data data) {
  switch (data) {
    case Data::kInteger:
      return "integer";
    case Data::kUniform:
      return "uniform";
    case Data::kEdge:
      return "edge";
  }
  return "unknown";
}

int64_t elements(const std::vector<int64_t> &shape) {
  int64_t n = 1;
  for (int64_t size : shape) n *= size;
  return n;
}

std::string sizes_text(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t size : shape) {
    if (!text.empty()) text += 'x';
    text += std::to_string(size);
  }
  return text;
}

bool is_output(const Argument &argument) { return argument.role != Role::kIn && !argument.null; }
bool is_input(const Argument &argument) { return argument.role != Role::kOut && !argument.null; }

Values draw_values(const Problem &problem, Data data, uint64_t seed) {
  Values values(problem.arguments.size());
  for (size_t a = 0; a < values.size(); a++) {
    const Argument &argument = problem.arguments[a];
    if (!is_input(argument)) continue;
    Random random(mix(mix(seed, a), static_cast<uint64_t>(data)));
    values[a].resize(static_cast<size_t>(elements(argument.shape)));
    for (double &v : values[a]) v = draw_element(argument, data, random);
    bool plain_f32 = (argument.dtype == SEGNAS_F32 || is_narrow(argument.dtype)) && !argument.element && argument.low < 0;
    if (data == Data::kEdge && plain_f32 && argument.special != Special::kNone) sprinkle_non_finite(argument.special, values[a], random);
  }
  if (problem.adjust) problem.adjust(values);
  for (size_t a = 0; a < values.size(); a++)
    if (is_narrow(problem.arguments[a].dtype))
      for (double &v : values[a]) v = nearest(v, problem.arguments[a].dtype);
  return values;
}

int64_t summation_depth(int64_t terms) {
  if (terms <= kSumBlock) return terms;
  int64_t blocks = (terms + kSumBlock - 1) / kSumBlock, levels = 0;
  for (int64_t reach = 1; reach < blocks; reach *= 2) levels++;
  return kSumBlock + levels;
}

Expected expected_sums(const std::vector<ref::Sum> &sums, int64_t extra) {
  Expected expected;
  int64_t deepest = 0;
  double values = 0, squares = 0;
  for (const ref::Sum &sum : sums) {
    int64_t depth = summation_depth(sum.terms) + extra;
    deepest = std::max(deepest, depth);
    expected.value.push_back(sum.value);
    expected.bound.push_back(static_cast<double>(depth + 2) * kUnit * sum.magnitude);
    expected.magnitude.push_back(sum.magnitude);
    values += sum.value * sum.value;
    squares += sum.squares;
  }
  // The tensor's size: its RMS, or what the RMS of sums of such terms is expected to be, which chance cancellation in a few elements
  // does not shrink.
  expected.rms_scale = std::sqrt(std::max(values, squares) / static_cast<double>(sums.size()));
  expected.rms_limit = 4 * std::sqrt(static_cast<double>(std::max<int64_t>(deepest, 1))) * kUnit;
  return expected;
}

Expected expected_products(Data data, const std::vector<ref::Sum> &sums) {
  Expected expected = expected_sums(sums);
  expected.exact = data == Data::kInteger;
  return expected;
}

Expected expected_exactly(std::vector<double> values) {
  Expected expected;
  expected.exact = true;
  expected.value = std::move(values);
  return expected;
}

Expected expected_within_eightfold(const std::vector<std::vector<float>> &singles, std::vector<double> exact) {
  double distance = 0;
  for (size_t i = 0; i < exact.size(); i++) {
    if (!std::isfinite(exact[i])) continue;
    distance = std::max(distance, half_ulp(exact[i], SEGNAS_F32));
    for (const std::vector<float> &single : singles) distance = std::max(distance, std::fabs(single[i] - exact[i]));
  }
  Expected expected;
  expected.bound.assign(exact.size(), 8 * distance);
  expected.value = std::move(exact);
  return expected;
}

std::vector<ref::Sum> sums_onto(const std::vector<double> &old, int64_t count, bool accumulate) {
  std::vector<ref::Sum> sums(static_cast<size_t>(count));
  if (!accumulate) return sums;
  for (size_t i = 0; i < sums.size(); i++) sums[i].add(old[i]);
  return sums;
}

std::vector<double> values_of(const std::vector<ref::Sum> &sums) {
  std::vector<double> values;
  for (const ref::Sum &sum : sums) values.push_back(sum.value);
  return values;
}

std::string compare(const Argument &argument, const Expected &expected, Data data, const std::vector<double> &got) {
  for (size_t i = 0; i < got.size(); i++) {
    if (expected.accepts) {
      if (!expected.accepts(i, got[i])) return line("%s is %.9g, best is %.9g", place_of(argument, i).c_str(), got[i], expected.value[i]);
      continue;
    }
    double value = expected.exact ? rounded(expected.value[i], argument.dtype) : expected.value[i];
    // What is off by the bound may lie where neighbours are further apart.
    double allowed = expected.exact ? 0 : expected.bound[i] + half_ulp(is_narrow(argument.dtype) ? std::fabs(value) + expected.bound[i] : value, argument.dtype);
    if (!agrees(got[i], value, allowed))
      return line("%s is %.9g, should be %.9g +- %.3g (off by %.3g)", place_of(argument, i).c_str(), got[i], value, allowed,
                  std::fabs(got[i] - value));
  }
  if (data != Data::kUniform || expected.rms_limit == 0) return "";
  return compare_rms(argument, expected, got);
}

}  // namespace segnas::check
