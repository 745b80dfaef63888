// What the host makes of a layer in integers: its levels as the kernels read them, and the factors behind its sums, in double and then rounded to float.
#include "integers.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace segnas::gpu {
namespace {

constexpr int64_t kAlignment = 256;
int64_t aligned(int64_t bytes) { return ceil_div(bytes, kAlignment) * kAlignment; }

bool is_depthwise(const segnas_layer &l) { return l.kind == SEGNAS_LAYER_DWCONV; }

int64_t levels_bytes(const segnas_layer &l, int64_t cin, int64_t channels) {
  if (!is_depthwise(l)) return channels * stored_bytes(cin);
  return integer_rows(l.kernel, l.stride) * ceil_div(l.kernel, 4) * l.kernel * 4 * stored_bytes(channels);
}

// Where the level of a tap, or input channel, and an output channel lies; in the taps of a thread's `row`-th row of depthwise outputs.
int64_t place_of(const segnas_layer &l, int64_t cin, int64_t channels, int row, int64_t tap, int64_t channel) {
  if (!is_depthwise(l)) return channel * stored_bytes(cin) + tap;
  const int64_t in = row * l.stride + tap / l.kernel, groups = ceil_div(l.kernel, 4);
  return (((row * groups + in / 4) * l.kernel + tap % l.kernel) * stored_bytes(channels) + channel) * 4 + in % 4;
}

}  // namespace

Kept kept_as(const Form &form, int32_t relu) {
  const float most = form.bits ? form.most() : 0.0f;
  const float least = !form.bits ? -std::numeric_limits<float>::infinity() : form.is_signed ? -most : 0.0f;
  return {form.bits == 0, relu ? 0.0f : least, most, form.zero()};
}

IntegerParts integer_parts(const segnas_layer &l, int64_t cin, int64_t channels) {
  const int64_t start = aligned(levels_bytes(l, cin, channels)), each = aligned(4 * stored_bytes(channels));
  return {start, start + each, start + 2 * each, start + 3 * each};
}

std::vector<char> pack_integers(const segnas_layer &l, int64_t cin, int64_t channels, const Form &in, const Form &out) {
  const IntegerParts at = integer_parts(l, cin, channels);
  std::vector<char> piece(static_cast<size_t>(at.bytes));
  std::vector<int32_t> starts(static_cast<size_t>(channels));
  std::vector<float> m(static_cast<size_t>(channels)), b(static_cast<size_t>(channels));
  const double step = out.bits ? out.step : 1.0;
  const int64_t taps = is_depthwise(l) ? int64_t{l.kernel} * l.kernel : cin;
  const int rows = is_depthwise(l) ? integer_rows(l.kernel, l.stride) : 1;
  for (int64_t c = 0; c < channels; c++) {
    const size_t i = static_cast<size_t>(c);
    for (int64_t tap = 0; tap < taps; tap++) {
      const int level = static_cast<int>(std::nearbyint(static_cast<double>(l.weights[tap * channels + c]) / static_cast<double>(l.weight_steps[c])));
      for (int row = 0; row < rows; row++) piece[static_cast<size_t>(place_of(l, cin, channels, row, tap, c))] = static_cast<char>(level);
      starts[i] -= in.zero() * level;
    }
    m[i] = static_cast<float>(static_cast<double>(in.step) * static_cast<double>(l.weight_steps[c]) / step);
    b[i] = static_cast<float>(static_cast<double>(l.bias[c]) / step);
  }
  const size_t bytes = 4 * static_cast<size_t>(channels);
  std::memcpy(piece.data() + at.start, starts.data(), bytes);
  std::memcpy(piece.data() + at.m, m.data(), bytes);
  std::memcpy(piece.data() + at.b, b.data(), bytes);
  return piece;
}

float residual_factor(const Form &residual, const Form &out) {
  return static_cast<float>(static_cast<double>(residual.step) / (out.bits ? static_cast<double>(out.step) : 1.0));
}

}  // namespace segnas::gpu
