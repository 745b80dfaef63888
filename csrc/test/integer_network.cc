#include <algorithm>
#include <cmath>

#include "../ops/conv3x3/ref.h"
#include "../ops/dwconv/ref.h"
#include "../ops/pwconv/ref.h"
#include "integers.h"
#include "sum.h"

namespace segnas::check {
namespace {

// Adds layers one by one, with what flows through them in double, so that steps can be chosen that fit.
class Builder {
 public:
  Builder(Random &random, Network *network) : random_(random), network_(*network) {
    Value picture = {network->h, network->w, network->c, {}};
    for (float v : network->input) picture.at.push_back(v);
    values_.push_back(std::move(picture));
  }

  int64_t channels(int32_t value) const { return of(value).c; }

  int32_t stem(int32_t channels, int32_t stride) {
    const Value &x = of(0);
    segnas_layer &l = add(SEGNAS_LAYER_CONV3X3, 0, -1, 1, channels);
    l.stride = stride;
    float_weights(l, 9 * x.c, channels);
    ref::Conv3x3Shape s{network_.n, x.h, x.w, x.c, channels, stride};
    return finish(l, s.ho(), s.wo(), channels, [&](const double *in, const double *w, ref::Sum *y) { ref::conv3x3_forward(s, in, w, y); });
  }
  // bits 0: in float32.
  int32_t depthwise(int32_t input, int32_t kernel, int32_t stride, int32_t bits) {
    const Value &x = of(input);
    segnas_layer &l = add(SEGNAS_LAYER_DWCONV, input, -1, int32_t(random_.integer(0, 3) > 0), 0);
    l.kernel = kernel, l.stride = stride;
    weights(l, int64_t{kernel} * kernel, x.c, bits);
    ref::DwconvShape s{network_.n, x.h, x.w, x.c, kernel, stride};
    return finish(l, s.ho(), s.wo(), x.c, [&](const double *in, const double *w, ref::Sum *y) { ref::dwconv_forward(s, in, w, y); });
  }
  int32_t pointwise(int32_t input, int32_t channels, int32_t relu, int32_t residual, int32_t bits) {
    const Value &x = of(input);
    segnas_layer &l = add(SEGNAS_LAYER_PWCONV, input, residual, relu, channels);
    weights(l, x.c, channels, bits);
    ref::PwconvShape s{network_.n * x.h * x.w, x.c, channels};
    return finish(l, x.h, x.w, channels, [&](const double *in, const double *w, ref::Sum *y) { ref::pwconv_forward(s, in, w, nullptr, y); });
  }
  int32_t fuse(int32_t input, int32_t onto, int32_t relu) {
    const Value &x = of(input), &to = of(onto);
    add(SEGNAS_LAYER_NEAREST_ADD, input, onto, relu, 0);
    Value y = {to.h, to.w, to.c, to.at};
    for (size_t i = 0; i < y.at.size(); i++) {
      const int64_t pixel = int64_t(i) / to.c, row = pixel / to.w % to.h, column = pixel % to.w, picture = pixel / (to.w * to.h);
      const int64_t from = ((picture * x.h + (2 * row + 1) * x.h / (2 * to.h)) * x.w + (2 * column + 1) * x.w / (2 * to.w)) * x.c + int64_t(i) % to.c;
      y.at[i] += x.at[size_t(from)];
      if (relu) y.at[i] = std::max(y.at[i], 0.0);
    }
    return push(std::move(y));
  }
  void labels(int32_t input) { add(SEGNAS_LAYER_LABELS, input, -1, 0, 0); }

 private:
  struct Value {
    int64_t h, w, c;
    std::vector<double> at;
  };
  const Value &of(int32_t value) const { return values_[size_t(value)]; }

  std::vector<float> &numbers(int64_t count) {
    network_.parameters.push_back(std::make_unique<std::vector<float>>(size_t(count)));
    return *network_.parameters.back();
  }

  segnas_layer &add(segnas_layer_kind kind, int32_t input, int32_t input2, int32_t relu, int32_t channels) {
    if (random_.one_in(3)) group_++;
    segnas_layer l = {};
    l.size = sizeof l, l.kind = kind, l.input = input, l.input2 = input2, l.relu = relu, l.channels = channels, l.group = group_;
    network_.layers.push_back(l);
    return network_.layers.back();
  }

  void float_weights(segnas_layer &l, int64_t each, int64_t channels) {
    std::vector<float> &w = numbers(each * channels), &b = numbers(channels);
    for (float &v : w) v = float(random_.uniform(-1, 1) / std::sqrt(double(each)));
    for (float &v : b) v = float(random_.uniform(-0.3, 0.3));
    l.weights = w.data(), l.bias = b.data();
  }

  void weights(segnas_layer &l, int64_t each, int64_t channels, int32_t bits) {
    float_weights(l, each, channels);
    if (!bits) return;
    const int32_t most = (1 << (bits - 1)) - 1;
    std::vector<float> &steps = numbers(channels), &w = *network_.parameters[network_.parameters.size() - 3];
    for (float &v : steps) v = float(random_.uniform(0.7, 1.8) / (std::sqrt(double(each)) * most));
    const bool ends = random_.one_in(4);  // the largest weights alone: as near to an overflow as it gets
    const bool few = random_.one_in(2);   // but a few are at most half as large, as training leaves them
    const int64_t rare = 64 << random_.integer(0, 2);
    for (size_t i = 0; i < w.size(); i++) {
      const bool one = few && random_.one_in(rare);
      const int32_t largest = few && !one ? (most + 1) / 2 : most;
      const int64_t level = ends || one ? (random_.one_in(2) ? largest : -largest) : random_.integer(-largest, largest);
      w[i] = float(level) * steps[i % size_t(channels)];
    }
    l.weight_bits = bits, l.weight_steps = steps.data();
    ask(l);
  }

  // The form of a layer's input: what an earlier reader asked for, or one that fits it.
  void ask(segnas_layer &l) {
    for (const segnas_layer &other : network_.layers)
      if (&other != &l && other.input == l.input && other.weight_bits) {
        l.input_bits = other.input_bits, l.input_signed = other.input_signed, l.input_step = other.input_step;
        return;
      }
    double most = 1e-3, least = 0;
    for (double v : of(l.input).at) most = std::max(most, std::fabs(v)), least = std::min(least, v);
    l.input_bits = int32_t(random_.one_in(2) ? 8 : random_.integer(2, 7));
    l.input_signed = least < 0 || random_.one_in(8);
    l.input_step = float(most / ((1 << (l.input_bits - l.input_signed)) - 1) * random_.uniform(0.3, 1.2));
  }

  template <class Forward>
  int32_t finish(const segnas_layer &l, int64_t h, int64_t w, int64_t c, Forward forward) {
    std::vector<double> weights(l.weights, l.weights + weight_count(l));
    std::vector<ref::Sum> sums(size_t(network_.n * h * w * c));
    forward(of(l.input).at.data(), weights.data(), sums.data());
    Value y = {h, w, c, {}};
    for (size_t i = 0; i < sums.size(); i++) {
      double v = sums[i].value + double(l.bias[i % size_t(c)]);
      if (l.input2 >= 0) v += of(l.input2).at[i];
      y.at.push_back(l.relu ? std::max(v, 0.0) : v);
    }
    return push(std::move(y));
  }
  int64_t weight_count(const segnas_layer &l) const {
    const int64_t in = of(l.input).c;
    return l.kind == SEGNAS_LAYER_CONV3X3 ? 9 * in * l.channels : l.kind == SEGNAS_LAYER_DWCONV ? int64_t{l.kernel} * l.kernel * in : in * l.channels;
  }
  int32_t push(Value v) {
    values_.push_back(std::move(v));
    return int32_t(values_.size()) - 1;
  }

  Random &random_;
  Network &network_;
  std::vector<Value> values_;
  int32_t group_ = 0;
};

int32_t draw_bits(Random &random) {
  static const int32_t kBits[] = {8, 8, 6, 4, 2, 3, 5, 7};
  return random.pick(kBits);
}

// Inverted blocks; a residual where it fits.
int32_t blocks(Builder &b, Random &random, int32_t value, int64_t most_channels) {
  static const int32_t kExpands[] = {1, 3, 4, 6}, kKernels[] = {3, 5, 7};
  for (int64_t count = random.integer(0, 3); count > 0; count--) {
    const int32_t stride = random.one_in(3) ? 2 : 1, bits = draw_bits(random), in = int32_t(b.channels(value));
    const int32_t out = random.one_in(2) ? in : int32_t(random.integer(most_channels / 2, most_channels));
    const int32_t wide = b.pointwise(value, in * random.pick(kExpands), 1, -1, bits);
    const int32_t filtered = b.depthwise(wide, random.pick(kKernels), stride, bits);
    value = b.pointwise(filtered, out, int32_t(random.one_in(4)), stride == 1 && in == out ? value : -1, draw_bits(random));
  }
  return value;
}

}  // namespace

Network draw_integer_network(Random &random) {
  static const int32_t kSizes[] = {1, 2, 7, 13, 23, 30, 45}, kFew[] = {3, 5, 8}, kMany[] = {97, 160, 222};
  Network network;
  const bool wide = random.one_in(4);
  network.n = int32_t(random.integer(1, 2));
  network.h = wide ? random.pick(kFew) : random.pick(kSizes);
  network.w = wide ? random.pick(kMany) : random.pick(kSizes);
  network.c = int32_t(random.integer(1, 4));
  for (int32_t c = 0; c < network.c; c++) network.scale.push_back(float(random.uniform(1, 2) / 255)), network.shift.push_back(float(random.uniform(-1, 0)));
  for (int64_t i = 0; i < int64_t{network.n} * network.h * network.w * network.c; i++) {
    const size_t c = size_t(i % network.c);
    network.bytes.push_back(uint8_t(random.integer(0, 255)));
    const float product = float(network.bytes.back()) * network.scale[c];
    network.input.push_back(product + network.shift[c]);
  }
  Builder b(random, &network);
  int32_t value = b.stem(int32_t(random.integer(1, 40)), int32_t(random.integer(1, 2)));
  if (random.one_in(2)) value = b.pointwise(b.depthwise(value, 3, 1, 0), int32_t(random.integer(1, 40)), 1, -1, 0);
  const int32_t bits = draw_bits(random);
  const int32_t filtered = b.depthwise(value, 3, int32_t(random.integer(1, 2)), bits);
  const int32_t stem = b.pointwise(filtered, int32_t(random.integer(1, 40)), 1, -1, bits);
  value = blocks(b, random, stem, wide ? 56 : 30);
  if (random.one_in(2)) {
    value = b.pointwise(b.depthwise(value, 3, int32_t(random.integer(1, 2)), draw_bits(random)), int32_t(random.integer(1, 40)), 0, -1, draw_bits(random));
    // Readers that need not agree get a value each.
    const int32_t again = b.pointwise(filtered, int32_t(random.integer(1, 40)), 1, -1, bits);
    const int32_t detail = b.pointwise(b.depthwise(again, 3, 1, draw_bits(random)), int32_t(b.channels(value)), 1, -1, draw_bits(random));
    value = b.fuse(value, detail, int32_t(random.integer(0, 1)));
  }
  if (random.one_in(2)) value = b.pointwise(b.depthwise(value, 3, 1, draw_bits(random)), int32_t(random.integer(1, 40)), 1, -1, draw_bits(random));
  const bool labels = random.one_in(4);
  value = b.pointwise(value, int32_t(random.integer(2, 20)), labels ? 0 : int32_t(random.integer(0, 1)), -1, draw_bits(random));
  if (labels) b.labels(value);
  network.text = std::to_string(network.n) + "x" + std::to_string(network.h) + "x" + std::to_string(network.w) + "x" + std::to_string(network.c) + ", " +
                 std::to_string(network.layers.size()) + " layers" + (labels ? ", labels" : "") + ", integers";
  return network;
}

}  // namespace segnas::check
