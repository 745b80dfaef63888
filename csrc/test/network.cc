#include "network.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../ops/conv3x3/ref.h"
#include "../ops/dwconv/ref.h"
#include "../ops/pwconv/ref.h"
#include "../ops/upsample/ref.h"
#include "problem.h"
#include "sixteen.h"

namespace segnas::check {
namespace {
// Adds layers one by one and knows every value's sizes.
class Builder {
 public:
  Builder(Random &random, Network *network) : random_(random), network_(network) { sizes_.push_back({network->h, network->w, network->c}); }

  int32_t conv3x3(int32_t input, int32_t channels, int32_t stride, int32_t relu) {
    segnas_layer layer = start(SEGNAS_LAYER_CONV3X3, input, -1, relu);
    layer.channels = channels;
    layer.stride = stride;
    Size in = sizes_[size_t(input)];
    return finish(layer, {ref::strided_size(in.h, stride), ref::strided_size(in.w, stride), channels}, 9 * in.c);
  }
  int32_t depthwise(int32_t input, int32_t kernel, int32_t stride, int32_t relu) {
    segnas_layer layer = start(SEGNAS_LAYER_DWCONV, input, -1, relu);
    layer.kernel = kernel;
    layer.stride = stride;
    Size in = sizes_[size_t(input)];
    return finish(layer, {ref::strided_size(in.h, stride), ref::strided_size(in.w, stride), in.c}, int64_t{kernel} * kernel);
  }
  int32_t pointwise(int32_t input, int32_t channels, int32_t relu, int32_t residual = -1) {
    segnas_layer layer = start(SEGNAS_LAYER_PWCONV, input, residual, relu);
    layer.channels = channels;
    Size in = sizes_[size_t(input)];
    return finish(layer, {in.h, in.w, channels}, in.c);
  }
  int32_t fuse(int32_t input, int32_t onto, int32_t relu) {
    return finish(start(SEGNAS_LAYER_UPSAMPLE_ADD, input, onto, relu), sizes_[size_t(onto)], 0);
  }
  // Every tap `dilation` pixels from the next.
  int32_t dilated(int32_t input, int32_t kernel, int32_t dilation, int32_t relu) {
    int32_t value = depthwise(input, kernel, 1, relu);
    network_->layers.back().dilation = dilation;
    return value;
  }
  int32_t pool(int32_t input, int32_t bins, int32_t relu) {
    segnas_layer layer = start(SEGNAS_LAYER_AVG_POOL, input, -1, relu);
    layer.kernel = bins;
    Size in = sizes_[size_t(input)];
    return finish(layer, {std::min<int64_t>(bins, in.h), std::min<int64_t>(bins, in.w), in.c}, 0);
  }
  int32_t upsample(int32_t input, int32_t like, int32_t relu) {
    Size to = sizes_[size_t(like)];
    return finish(start(SEGNAS_LAYER_UPSAMPLE, input, like, relu), {to.h, to.w, channels(input)}, 0);
  }
  int32_t labels(int32_t input) { return finish(start(SEGNAS_LAYER_LABELS, input, -1, 0), {network_->h, network_->w, 1}, 0); }
  int64_t channels(int32_t value) const { return sizes_[size_t(value)].c; }

  // An inverted block: expand, depthwise, project; with the identity where it fits.
  int32_t block(int32_t input, int32_t expand, int32_t kernel, int32_t stride, int32_t out) {
    int32_t wide = pointwise(input, int32_t(channels(input)) * expand, 1);
    int32_t filtered = depthwise(wide, kernel, stride, 1);
    bool identity = stride == 1 && channels(input) == out;
    return pointwise(filtered, out, 0, identity ? input : -1);
  }

 private:
  struct Size {
    int64_t h, w, c;
  };
  segnas_layer start(segnas_layer_kind kind, int32_t input, int32_t input2, int32_t relu) {
    segnas_layer layer = {};
    layer.size = sizeof layer;
    layer.kind = kind;
    layer.input = input;
    layer.input2 = input2;
    layer.relu = relu;
    if (random_.one_in(4) && !network_->layers.empty()) group_++;
    layer.group = group_;
    return layer;
  }
  // Weights with sum |w| near 1 per output, so that errors do not grow from layer to layer.
  const float *parameters(int64_t count, double range) {
    network_->parameters.push_back(std::make_unique<std::vector<float>>());
    for (int64_t i = 0; i < count; i++) network_->parameters.back()->push_back(float(random_.uniform(-range, range)));
    return network_->parameters.back()->data();
  }
  int32_t finish(segnas_layer layer, Size out, int64_t taps) {
    if (taps) {
      layer.weights = parameters(taps * out.c, 2.0 / double(taps));
      layer.bias = parameters(out.c, 0.5);
    }
    network_->layers.push_back(layer);
    sizes_.push_back(out);
    return int32_t(sizes_.size()) - 1;
  }

  Random &random_;
  Network *network_;
  std::vector<Size> sizes_;
  int32_t group_ = 0;
};

// One layer's double value, and its bound from those of its inputs.
class Evaluation {
 public:
  Evaluation(const Network &network, const Variant &variant) : network_(network), variant_(variant) {
    NetworkValue input{network.n, network.h, network.w, network.c, {}, {}, 0, 0, 0};
    for (size_t i = 0; i < network.input.size(); i++) {
      double value = network.input[i], bound = 0;
      if (variant.bytes) {
        double product = double(network.bytes[i]) * network.scale[i % size_t(network.c)];
        value = product + network.shift[i % size_t(network.c)];
        bound = 0x1p-24 * (std::fabs(product) + std::fabs(value));
      }
      input.value.push_back(value);
      input.bound.push_back(bound);
    }
    narrow(&input);
    values_.push_back(std::move(input));
  }

  void add(const segnas_layer &layer) {
    const NetworkValue &x = values_[size_t(layer.input)];
    switch (layer.kind) {
      case SEGNAS_LAYER_CONV3X3: {
        ref::Conv3x3Shape s{x.n, x.h, x.w, x.c, layer.channels, layer.stride};
        linear(layer, {x.n, s.ho(), s.wo(), s.cout, {}, {}, 0, 0}, 9 * s.cin * s.cout,
               [&](const double *in, const double *w, ref::Sum *y) { ref::conv3x3_forward(s, in, w, y); });
        break;
      }
      case SEGNAS_LAYER_DWCONV: {
        ref::DwconvShape s{x.n, x.h, x.w, x.c, layer.kernel, layer.stride};
        if (layer.dilation > 1) {
          linear(layer, {x.n, x.h, x.w, x.c, {}, {}, 0, 0}, s.k * s.k * s.c,
                 [&](const double *in, const double *w, ref::Sum *y) { dilated(s, layer.dilation, in, w, y); });
          break;
        }
        linear(layer, {x.n, s.ho(), s.wo(), s.c, {}, {}, 0, 0}, s.k * s.k * s.c,
               [&](const double *in, const double *w, ref::Sum *y) { ref::dwconv_forward(s, in, w, y); });
        break;
      }
      case SEGNAS_LAYER_PWCONV: {
        ref::PwconvShape s{x.n * x.h * x.w, x.c, layer.channels};
        linear(layer, {x.n, x.h, x.w, s.cout, {}, {}, 0, 0}, s.cin * s.cout,
               [&](const double *in, const double *w, ref::Sum *y) { ref::pwconv_forward(s, in, w, nullptr, y); });
        break;
      }
      case SEGNAS_LAYER_UPSAMPLE:
      case SEGNAS_LAYER_UPSAMPLE_ADD: resize(layer, values_[size_t(layer.input2)].h, values_[size_t(layer.input2)].w); break;
      case SEGNAS_LAYER_AVG_POOL: average(layer); break;
      case SEGNAS_LAYER_LABELS: resize(layer, network_.h, network_.w); break;
    }
  }
  NetworkValue take_last() { return std::move(values_.back()); }
  // The last value as it leaves the session: in float32.
  void last(const segnas_layer &layer) {
    final_ = true;
    add(layer);
  }

 private:
  bool narrows() const { return variant_.precision != SEGNAS_PRECISION_F32; }
  // A value that is kept in 16 bits: half of its last place, and what denormals lose: bfloat16's become zero, a half's are multiples of 2^-24.
  void narrow(NetworkValue *v) const {
    if (!narrows()) return;
    const double least = variant_.precision == SEGNAS_PRECISION_BF16 ? 0x1p-126 : 0x1p-25;
    for (size_t i = 0; i < v->value.size(); i++) v->bound[i] += narrowing(variant_) * (std::fabs(v->value[i]) + v->bound[i]) + least;
    v->narrowings++;
  }

  // errors: how far the inputs' own errors can move each output.
  void finish(const segnas_layer &layer, NetworkValue out, const std::vector<ref::Sum> &sums, const std::vector<ref::Sum> &errors) {
    int64_t deepest = 0;
    double values = 0, terms = 0;
    for (size_t i = 0; i < sums.size(); i++) {
      double value = sums[i].value;
      if (!std::isnan(value)) values += value * value, terms += sums[i].squares;
      int64_t depth = summation_depth(sums[i].terms);
      deepest = std::max(deepest, depth);
      out.value.push_back(layer.relu && value < 0 ? 0 : value);
      // The last summand: half an ulp of the output.
      out.bound.push_back(errors[i].value + 0x1p-24 * (double(depth + 2) * (sums[i].magnitude + errors[i].value) + std::fabs(value)));
    }
    out.energy = std::max(values, terms);
    out.roundings = deepest + values_[size_t(layer.input)].roundings;
    out.narrowings = values_[size_t(layer.input)].narrowings;
    if (layer.input2 >= 0) {
      out.roundings = std::max(out.roundings, values_[size_t(layer.input2)].roundings);
      out.narrowings = std::max(out.narrowings, values_[size_t(layer.input2)].narrowings);
    }
    // The logits that labels are made from are float32, and so is what leaves the session.
    if (!final_ && !(layer.kind == SEGNAS_LAYER_PWCONV && values_.size() + 1 == network_.layers.size() && network_.labels())) narrow(&out);
    if (final_ && layer.kind != SEGNAS_LAYER_PWCONV && layer.kind != SEGNAS_LAYER_LABELS) narrow(&out);
    values_.push_back(std::move(out));
  }

  template <class Forward>
  void linear(const segnas_layer &layer, NetworkValue out, int64_t weight_count, Forward forward) {
    const NetworkValue &x = values_[size_t(layer.input)];
    std::vector<double> w(layer.weights, layer.weights + weight_count), w_size;
    if (narrows() && layer.kind != SEGNAS_LAYER_DWCONV)
      for (double &v : w) v = nearest(float(v), variant_.precision == SEGNAS_PRECISION_BF16 ? SEGNAS_BF16 : SEGNAS_F16);
    for (double v : w) w_size.push_back(std::fabs(v));
    std::vector<ref::Sum> sums(size_t(out.n * out.h * out.w * out.c)), errors(sums.size());
    forward(x.value.data(), w.data(), sums.data());
    forward(x.bound.data(), w_size.data(), errors.data());
    for (size_t i = 0; i < sums.size(); i++) {
      sums[i].add(layer.bias[i % size_t(out.c)]);
      if (layer.input2 < 0) continue;
      sums[i].add(values_[size_t(layer.input2)].value[i]);
      errors[i].add(values_[size_t(layer.input2)].bound[i]);
    }
    finish(layer, std::move(out), sums, errors);
  }

  void resize(const segnas_layer &layer, int64_t h, int64_t w) {
    const NetworkValue &x = values_[size_t(layer.input)];
    const NetworkValue *onto = layer.kind == SEGNAS_LAYER_UPSAMPLE_ADD ? &values_[size_t(layer.input2)] : nullptr;
    ref::UpsampleShape s{x.n, x.h, x.w, h, w, x.c};
    NetworkValue out{x.n, h, w, x.c, {}, {}, 0, 0};
    std::vector<ref::Sum> sums(size_t(x.n * h * w * x.c)), errors(sums.size());
    ref::upsample_forward(s, x.value.data(), onto ? onto->value.data() : nullptr, false, sums.data());
    ref::upsample_forward(s, x.bound.data(), onto ? onto->bound.data() : nullptr, false, errors.data());
    finish(layer, std::move(out), sums, errors);
  }

  // Tap by tap, with nothing of how a kernel goes about it.
  static void dilated(const ref::DwconvShape &s, int64_t dilation, const double *x, const double *w, ref::Sum *y) {
    for (int64_t p = 0; p < s.n * s.h * s.w; p++) {
      const int64_t i = p / s.w % s.h, j = p % s.w, picture = p / (s.w * s.h) * s.h * s.w;
      for (int64_t tap = 0; tap < s.k * s.k; tap++) {
        const int64_t row = i + (tap / s.k - s.k / 2) * dilation, column = j + (tap % s.k - s.k / 2) * dilation;
        if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
        for (int64_t c = 0; c < s.c; c++) y[p * s.c + c].add(x[(picture + row * s.w + column) * s.c + c] * w[tap * s.c + c]);
      }
    }
  }

  void average(const segnas_layer &layer) {
    const NetworkValue &x = values_[size_t(layer.input)];
    const int64_t high = std::min<int64_t>(layer.kernel, x.h), wide = std::min<int64_t>(layer.kernel, x.w);
    NetworkValue out{x.n, high, wide, x.c, {}, {}, 0, 0};
    std::vector<ref::Sum> sums(size_t(x.n * high * wide * x.c)), errors(sums.size());
    for (int64_t p = 0; p < x.n * high * wide; p++) {
      const int64_t i = p / wide % high, j = p % wide;
      const int64_t top = i * x.h / high, bottom = ((i + 1) * x.h + high - 1) / high, left = j * x.w / wide, right = ((j + 1) * x.w + wide - 1) / wide;
      const double share = 1 / double((bottom - top) * (right - left));
      for (int64_t row = top; row < bottom; row++)
        for (int64_t at = 0; at < (right - left) * x.c; at++) {
          const size_t from = size_t(((p / (high * wide) * x.h + row) * x.w + left) * x.c + at), to = size_t(p * x.c + at % x.c);
          sums[to].add(x.value[from] * share);
          errors[to].add(x.bound[from] * share);
        }
    }
    finish(layer, std::move(out), sums, errors);
  }

  const Network &network_;
  const Variant &variant_;
  bool final_ = false;
  std::vector<NetworkValue> values_;
};

int32_t context_branch(Builder &builder, Random &random, int32_t value, int64_t most_channels) {
  static const int32_t kExpands[] = {1, 3, 4, 6}, kKernels[] = {3, 5, 7};
  for (int64_t blocks = random.integer(0, 4); blocks > 0; blocks--) {
    int32_t stride = random.one_in(3) ? 2 : 1;
    int32_t out = random.one_in(2) ? int32_t(builder.channels(value)) : int32_t(random.integer(most_channels / 2, most_channels));
    value = builder.block(value, random.pick(kExpands), random.pick(kKernels), stride, out);
  }
  return value;
}

// What other designs have between their blocks: a pyramid of averages, each thinned and added at full size; taps far apart.
int32_t known_parts(Builder &builder, Random &random, int32_t value) {
  static const int32_t kBins[] = {1, 2, 3, 6}, kKernels[] = {3, 5, 7};
  if (random.one_in(2)) {
    const int32_t channels = int32_t(random.integer(1, 40));
    int32_t sum = builder.pointwise(value, channels, 0);
    for (int64_t levels = random.integer(1, 3); levels > 0; levels--)
      sum = builder.fuse(builder.pointwise(builder.pool(value, random.pick(kBins), int32_t(random.integer(0, 1))), channels, 0), sum, levels == 1);
    value = sum;
  }
  if (random.one_in(2)) value = builder.dilated(value, random.pick(kKernels), int32_t(random.integer(2, 5)), int32_t(random.integer(0, 1)));
  if (random.one_in(2)) value = builder.pointwise(value, int32_t(random.integer(1, 40)), int32_t(random.integer(0, 1)));
  return value;
}

// Uniform numbers; one NaN where it can be followed to the output, which shows what each output element was made from.
void draw_input(Random &random, Network *network) {
  int64_t count = int64_t{network->n} * network->h * network->w * network->c;
  for (int64_t i = 0; i < count; i++) network->input.push_back(float(random.uniform(-1, 1)));
  for (int64_t i = 0; i < count; i++) network->bytes.push_back(uint8_t(random.integer(0, 255)));
  for (int32_t c = 0; c < network->c; c++) {
    network->scale.push_back(float(random.uniform(0.5, 2) / 128));
    network->shift.push_back(float(random.uniform(-2, 0)));
  }
  if (!network->labels() && random.one_in(2)) network->input[size_t(random.integer(0, count - 1))] = std::nanf("");
}
}  // namespace

Network draw_network(Random &random) {
  static const int32_t kSizes[] = {1, 2, 7, 13, 23, 30, 45}, kFew[] = {3, 5, 8}, kMany[] = {97, 160, 222};
  Network network;
  // Some are wide in columns and channels: a fused block's rows then leave the cache, and it works in column tiles.
  const bool wide = random.one_in(4);
  const int64_t most_channels = wide ? 56 : 24;
  network.n = int32_t(random.integer(1, 2));
  network.h = wide ? random.pick(kFew) : random.pick(kSizes);
  network.w = wide ? random.pick(kMany) : random.pick(kSizes);
  network.c = random.one_in(2) ? 3 : int32_t(random.integer(1, 16));
  Builder builder(random, &network);
  int32_t stem = random.one_in(8) ? 0 : builder.conv3x3(0, int32_t(random.integer(1, 20)), int32_t(random.integer(1, 2)), 1);
  if (random.one_in(2)) stem = builder.pointwise(builder.depthwise(stem, 3, 2, 1), int32_t(random.integer(1, 24)), 1);
  int32_t value = context_branch(builder, random, stem, most_channels);
  const bool known = random.one_in(2);
  if (known) value = known_parts(builder, random, value);
  if (random.one_in(2)) {
    int32_t detail = builder.pointwise(builder.depthwise(stem, 3, 1, 1), int32_t(builder.channels(value)), 1);
    value = builder.fuse(value, detail, int32_t(random.integer(0, 1)));
  } else if (known) {
    value = builder.upsample(value, stem, int32_t(random.integer(0, 1)));
  }
  if (random.one_in(2)) value = builder.pointwise(builder.depthwise(value, 3, 1, 1), int32_t(random.integer(1, 32)), 1);
  bool labels = random.one_in(2);
  if (!labels && random.one_in(4)) {
    value = builder.depthwise(value, 3, 1, 1);
    if (random.one_in(2)) builder.fuse(value, value, 1);
  } else {
    value = builder.pointwise(value, int32_t(random.integer(1, 20)), labels ? 0 : int32_t(random.integer(0, 1)));
    if (labels) builder.labels(value);
  }
  draw_input(random, &network);
  network.text = std::to_string(network.n) + "x" + std::to_string(network.h) + "x" + std::to_string(network.w) + "x" + std::to_string(network.c) +
                 ", " + std::to_string(network.layers.size()) + " layers" + (labels ? ", labels" : "");
  return network;
}

bool Network::takes_bytes() const {
  for (const segnas_layer &layer : layers)
    if ((layer.input == 0 && layer.kind != SEGNAS_LAYER_CONV3X3) || (layer.input2 == 0 && layer.kind != SEGNAS_LAYER_UPSAMPLE)) return false;
  return true;
}

NetworkValue evaluate(const Network &network, const Variant &variant) {
  Evaluation evaluation(network, variant);
  for (size_t i = 0; i + 1 < network.layers.size(); i++) evaluation.add(network.layers[i]);
  evaluation.last(network.layers.back());
  return evaluation.take_last();
}

}  // namespace segnas::check
