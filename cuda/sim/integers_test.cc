// The integer steps of sessions (../session/integers.h) on sizes that opcheck's small networks do not have: every tile of the product, whole and in part, with few
// and many channels, signed and unsigned, with and without a residual, to bytes and to floats; depthwise layers from one pixel on. Against the formulas of segnas.h
// in plain loops, to the bit.
#include "../session/integers.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace segnas::gpu {
namespace {

int failures = 0;

void expect(bool holds, const std::string &what, const std::string &detail) {
  std::printf("%s %s%s%s\n", holds ? "ok  " : "FAIL", what.c_str(), detail.empty() ? "" : ": ", detail.c_str());
  failures += !holds;
}

// Numbers that are the same on every run.
struct Random {
  uint64_t state = 1;
  uint64_t next() { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; }
  int between(int low, int high) { return low + static_cast<int>(next() % static_cast<uint64_t>(high - low + 1)); }
};

Form form(int bits, bool is_signed, float step) { return {bits, is_signed, step}; }

// Stored pixels of whole numbers; the fill is any byte.
struct Value {
  Form kept;
  int64_t pixels, channels;
  std::vector<uint8_t> bytes;

  Value(Random &random, const Form &f, int64_t p, int64_t c) : kept(f), pixels(p), channels(c) {
    const int most = static_cast<int>(f.most());
    for (int64_t i = 0; i < pixels * stored_bytes(channels); i++) {
      const bool fill = i % stored_bytes(channels) >= channels;
      bytes.push_back(static_cast<uint8_t>(fill ? random.next() : static_cast<uint64_t>(f.zero() + random.between(f.is_signed ? -most : 0, most))));
    }
  }
  int64_t at(int64_t pixel, int64_t c) const { return int64_t{bytes[static_cast<size_t>(pixel * stored_bytes(channels) + c)]} - kept.zero(); }
};

struct Layer {
  segnas_layer l = {};
  Form in, out;
  int64_t cin, channels;
  std::vector<int> levels;
  std::vector<float> weights, bias, steps;
  std::vector<char> piece;

  Layer(Random &random, int32_t kind, int64_t from, int64_t to, int kernel, int stride, const Form &reads, const Form &makes)
      : in(reads), out(makes), cin(from), channels(to) {
    const int64_t taps = kind == SEGNAS_LAYER_DWCONV ? int64_t{kernel} * kernel : cin;
    for (int64_t c = 0; c < channels; c++) {
      steps.push_back(static_cast<float>(random.between(500, 2000)) / (1000.0f * 127.0f * std::sqrt(static_cast<float>(taps))));
      bias.push_back(static_cast<float>(random.between(-300, 300)) / 1000.0f);
    }
    for (int64_t i = 0; i < taps * channels; i++) {
      levels.push_back(random.between(-127, 127));
      weights.push_back(static_cast<float>(levels.back()) * steps[static_cast<size_t>(i % channels)]);
    }
    l.size = sizeof l, l.kind = kind, l.kernel = kernel, l.stride = stride, l.channels = static_cast<int32_t>(to), l.weight_bits = 8;
    l.relu = random.between(0, 1), l.weights = weights.data(), l.bias = bias.data(), l.weight_steps = steps.data();
    piece = pack_integers(l, cin, channels, in, out);
  }
  // What the kernels get.
  IntegerConvolution convolution() const {
    const IntegerParts at = integer_parts(l, cin, channels);
    const char *p = piece.data();
    auto floats = [&](int64_t offset) { return reinterpret_cast<const float *>(p + offset); };
    return {p, reinterpret_cast<const int32_t *>(p + at.start), floats(at.m), floats(at.b), cin, channels, l.kernel, l.stride, in.zero(), kept_as(out, l.relu)};
  }
  // f of a sum, and what is kept of it.
  float scaled(int64_t sum, int64_t c) const {
    const size_t i = static_cast<size_t>(c);
    const double step = out.bits ? static_cast<double>(out.step) : 1;
    const double m = static_cast<double>(in.step) * static_cast<double>(steps[i]) / step, b = static_cast<double>(bias[i]) / step;
    return std::fmaf(static_cast<float>(sum), static_cast<float>(m), static_cast<float>(b));
  }
  float kept(float f) const {
    if (!out.bits) return l.relu ? std::fmax(f, 0.0f) : f;
    const float high = static_cast<float>((1 << (out.bits - out.is_signed)) - 1);
    return std::nearbyint(std::fmin(std::fmax(f, l.relu || !out.is_signed ? 0.0f : -high), high));
  }
};

// "" or the first output that is not what it should be.
template <class Wanted>
std::string compare(const Layer &layer, const std::vector<uint8_t> &y, int64_t pixels, const Wanted &wanted) {
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t c = 0; c < layer.channels; c++) {
      float got;
      if (layer.out.bits) {
        got = static_cast<float>(y[static_cast<size_t>(p * stored_bytes(layer.channels) + c)] - layer.out.zero());
      } else {
        std::memcpy(&got, y.data() + 4 * (p * layer.channels + c), sizeof got);
      }
      const float value = wanted(p, c);
      if (got != value) return "pixel " + std::to_string(p) + ", channel " + std::to_string(c) + " is " + std::to_string(got) + ", should be " + std::to_string(value);
    }
  return "";
}

constexpr uint8_t kGuard = 0x5a;
constexpr size_t kGuardBytes = 64;

std::string guards(const std::vector<uint8_t> &y) {
  for (size_t i = y.size() - kGuardBytes; i < y.size(); i++)
    if (y[i] != kGuard) return "memory behind the output was written";
  return "";
}

void check_pointwise(Random &random, int64_t pixels, int64_t cin, int64_t channels, bool floats, bool residual) {
  const Form reads = form(random.between(2, 8), random.between(0, 1), 0.01f), makes = floats ? Form{} : form(random.between(2, 8), random.between(0, 1), 0.02f);
  const Value x(random, reads, pixels, cin), more(random, form(8, residual && random.between(0, 1), 0.015f), residual ? pixels : 0, channels);
  const Layer layer(random, SEGNAS_LAYER_PWCONV, cin, channels, 0, 1, reads, makes);
  std::vector<uint8_t> y(static_cast<size_t>(pixels * (floats ? 4 * channels : stored_bytes(channels))) + kGuardBytes, kGuard);
  IntegerResidual added;
  if (residual) added = {more.bytes.data(), more.kept.zero(), residual_factor(more.kept, makes)};
  Stream stream = {};
  segnas_error err = {SEGNAS_OK, ""};
  std::string failure;
  if (session_integer_pointwise(&stream, layer.convolution(), x.bytes.data(), pixels, added, y.data(), &err) != SEGNAS_OK) failure = err.text;
  if (failure.empty()) failure = guards(y);
  if (failure.empty())
    failure = compare(layer, y, pixels, [&](int64_t p, int64_t c) {
      int64_t sum = 0;
      for (int64_t k = 0; k < cin; k++) sum += x.at(p, k) * layer.levels[static_cast<size_t>(k * channels + c)];
      float f = layer.scaled(sum, c);
      if (residual) f = std::fmaf(static_cast<float>(more.at(p, c)), added.r, f);
      return layer.kept(f);
    });
  const std::string sizes = std::to_string(pixels) + " pixels, " + std::to_string(cin) + " to " + std::to_string(channels);
  expect(failure.empty(), "pointwise, " + sizes + (floats ? ", floats" : ", bytes") + (residual ? ", residual" : ""), failure);
}

void check_depthwise(Random &random, int64_t n, int64_t h, int64_t w, int64_t channels, int kernel, int stride) {
  const Form reads = form(random.between(2, 8), random.between(0, 1), 0.01f), makes = form(random.between(2, 8), random.between(0, 1), 0.02f);
  const Value x(random, reads, n * h * w, channels);
  const Layer layer(random, SEGNAS_LAYER_DWCONV, channels, channels, kernel, stride, reads, makes);
  const int64_t out_h = (h - 1) / stride + 1, out_w = (w - 1) / stride + 1, pixels = n * out_h * out_w;
  std::vector<uint8_t> y(static_cast<size_t>(pixels * stored_bytes(channels)) + kGuardBytes, kGuard);
  Stream stream = {};
  segnas_error err = {SEGNAS_OK, ""};
  std::string failure;
  const Image in = {const_cast<uint8_t *>(x.bytes.data()), n, h, w, channels}, out = {y.data(), n, out_h, out_w, channels};
  if (session_integer_depthwise(&stream, layer.convolution(), in, out, &err) != SEGNAS_OK) failure = err.text;
  if (failure.empty()) failure = guards(y);
  if (failure.empty())
    failure = compare(layer, y, pixels, [&](int64_t p, int64_t c) {
      const int64_t row = p / out_w % out_h, column = p % out_w, picture = p / (out_h * out_w);
      int64_t sum = 0;
      for (int64_t tap = 0; tap < kernel * kernel; tap++) {
        const int64_t i = row * stride + tap / kernel - kernel / 2, j = column * stride + tap % kernel - kernel / 2;
        if (i >= 0 && i < h && j >= 0 && j < w) sum += x.at((picture * h + i) * w + j, c) * layer.levels[static_cast<size_t>(tap * channels + c)];
      }
      return layer.kept(layer.scaled(sum, c));
    });
  const std::string sizes = std::to_string(n) + "x" + std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(channels);
  expect(failure.empty(), "depthwise " + std::to_string(kernel) + ", stride " + std::to_string(stride) + ", " + sizes, failure);
}

}  // namespace
}  // namespace segnas::gpu

int main() {
  using namespace segnas::gpu;
  Random random;
  // From 132 tiles on: 128 x 32, x 64, x 128; below, 64 x 32.
  const struct {
    int64_t pixels, cin, channels;
  } products[] = {{1, 1, 1},       {65, 70, 33},     {16800, 5, 20},   {16897, 65, 31}, {16800, 24, 64}, {16771, 16, 41},
                  {16800, 16, 128}, {8449, 40, 199}, {6000, 3, 300}, {70, 900, 33},   {17000, 300, 20}};
  for (const auto &p : products)
    for (bool floats : {false, true}) check_pointwise(random, p.pixels, p.cin, p.channels, floats, (p.pixels + floats) % 2 == 0);
  const int64_t sizes[][4] = {{1, 1, 1, 1}, {2, 3, 2, 16}, {1, 9, 17, 33}, {1, 21, 70, 40}};
  for (int kernel : {3, 5, 7})
    for (int stride : {1, 2})
      for (const auto &s : sizes) check_depthwise(random, s[0], s[1], s[2], s[3], kernel, stride);
  std::printf("%d failed\n", failures);
  return failures > 0;
}
