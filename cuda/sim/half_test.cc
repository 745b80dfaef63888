// Half and Bfloat16 (../arch/half.h) on the CPU, over all 65536 values of each: what they are worth, that they come back from float32 as they
// were, and that whatever lies between two of them goes to the nearer one, and from the middle to the even one.
#include <cmath>
#include <cstdio>
#include <limits>

#include "../arch/half.h"

namespace segnas::gpu {
namespace {

int failures = 0;

void expect(bool holds, const char *type, const char *property, long long failed_at) {
  std::printf("%s %s: %s", holds ? "ok  " : "FAIL", type, property);
  if (!holds) std::printf(", not for %#llx", failed_at);
  std::printf("\n");
  failures += !holds;
}

// A sixteen-bit format, in double, from its definition.
struct Format {
  const char *name;
  int mantissa_bits, bias, most_exponent;
};
constexpr Format kHalf = {"half", 10, 15, 31}, kBfloat16 = {"bfloat16", 7, 127, 255};

double value_of(const Format &f, uint16_t bits) {
  const int exponent = bits >> f.mantissa_bits & f.most_exponent, mantissa = bits & ((1 << f.mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == f.most_exponent) return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - f.bias - f.mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << f.mantissa_bits), exponent - f.bias - f.mantissa_bits);
}

bool is_nan(const Format &f, uint16_t bits) { return std::isnan(value_of(f, bits)); }

template <class Storage>
uint16_t rounded(double v) {
  return from_float<Storage>(static_cast<float>(v)).bits;
}

template <class Storage, class Holds>
void over_all(const Format &f, const char *property, Holds holds) {
  for (int bits = 0; bits <= 0xffff; bits++)
    if (!holds(static_cast<uint16_t>(bits))) return expect(false, f.name, property, bits);
  expect(true, f.name, property, 0);
}

template <class Storage>
void check(const Format &f) {
  over_all<Storage>(f, "to_float is the value, sign of zero and NaN included", [&](uint16_t bits) {
    const double exact = value_of(f, bits), got = to_float(Storage{bits});
    return is_nan(f, bits) ? std::isnan(got) : exact == got && std::signbit(exact) == std::signbit(got);
  });
  over_all<Storage>(f, "from_float brings it back, a NaN as 0x7fff",
                    [&](uint16_t bits) { return from_float<Storage>(to_float(Storage{bits})).bits == (is_nan(f, bits) ? 0x7fff : bits); });
  // Of each number and the next one away from zero, infinity standing for the power of two that would follow.
  const uint16_t infinity = static_cast<uint16_t>(f.most_exponent << f.mantissa_bits);
  over_all<Storage>(f, "the middle goes to the even one, what is off it to the nearer one", [&](uint16_t bits) {
    const uint16_t sign = bits & 0x8000, size = bits & 0x7fff, next = static_cast<uint16_t>(bits + 1);
    if (size >= infinity) return true;
    const double step = value_of(f, size == infinity - 1 ? size : static_cast<uint16_t>(size + 1)) -
                        value_of(f, size == infinity - 1 ? static_cast<uint16_t>(size - 1) : size);
    const float middle = static_cast<float>(value_of(f, bits) + (sign ? -step / 2 : step / 2));
    const float less = std::nextafter(middle, 0.0f), more = std::nextafter(middle, sign ? -HUGE_VALF : HUGE_VALF);
    return from_float<Storage>(middle).bits == (bits & 1 ? next : bits) && from_float<Storage>(less).bits == bits && from_float<Storage>(more).bits == next;
  });
  const float greatest = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  expect(rounded<Storage>(greatest) == infinity && rounded<Storage>(-greatest) == (infinity | 0x8000), f.name, "beyond the largest is infinity", infinity);
  expect(rounded<Storage>(least) == 0 && rounded<Storage>(-least) == 0x8000, f.name, "far below the least is zero of its sign", 0);
}
}  // namespace
}  // namespace segnas::gpu

int main() {
  segnas::gpu::check<segnas::gpu::Half>(segnas::gpu::kHalf);
  segnas::gpu::check<segnas::gpu::Bfloat16>(segnas::gpu::kBfloat16);
  std::printf("%d failed\n", segnas::gpu::failures);
  return segnas::gpu::failures > 0;
}
