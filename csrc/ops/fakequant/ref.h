// Fake quantisation of one element, as segnas.h words it. T is float for the contract itself, whose every operation is one rounding, and double for the
// proof of the gradients.
#pragma once
#include <cmath>
#include <cstdint>

namespace segnas::ref {

template <class T>
struct QuantiserLevels {
  T count, low, high, r, s;  // count: L

  QuantiserLevels(int32_t bits, bool is_signed, T clip) {
    count = T((1 << (is_signed ? bits - 1 : bits)) - 1);
    high = clip >= T(0x1p-20) ? clip : T(0x1p-20);
    low = is_signed ? -high : T(0);
    r = count / high;
    s = high / count;
  }
};

template <class T>
T fakequant_forward(const QuantiserLevels<T> &q, T x) {
  const T clipped = x < q.low ? q.low : x > q.high ? q.high : x;
  return std::nearbyint(clipped * q.r) * q.s;
}

struct FakequantGradient {
  double dx, dclip;
};

// step: of learned step sizes. The rounding's error is T's own, what is made of it double.
template <class T>
FakequantGradient fakequant_backward(const QuantiserLevels<T> &q, bool step, T x, double dy) {
  if (x >= q.high) return {0, dy};
  if (q.low < 0 && x <= q.low) return {0, -dy};
  if (!(x > q.low)) return {0, 0};
  const T level = x * q.r;
  return {dy, step ? dy * static_cast<double>(std::nearbyint(level) - level) / static_cast<double>(q.count) : 0};
}

}  // namespace segnas::ref
