#include "integers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "../ops/upsample/ref.h"

namespace segnas::check {
namespace {

struct SessionDestroy {
  void operator()(segnas_session *session) const { segnas_session_destroy(session); }
};
using Session = std::unique_ptr<segnas_session, SessionDestroy>;

// Runs the first `count` layers and returns their last value's bytes.
std::string run_layers(segnas_context *context, const Network &network, size_t count, const Variant &variant, int32_t fusion, std::vector<uint8_t> *output) {
  segnas_session_options options = network.options(variant);
  options.fusion = fusion;
  segnas_session *made = nullptr;
  segnas_error err;
  segnas_status status = segnas_session_create(context, network.layers.data(), int32_t(count), network.n, network.h, network.w, network.c, &options, &made, &err);
  Session session(made);
  if (status != SEGNAS_OK) return std::string("create: ") + err.text;
  output->resize(segnas_session_output_bytes(made));
  if (segnas_session_run(made, network.input_of(variant), output->data(), nullptr, &err) != SEGNAS_OK) return std::string("run: ") + err.text;
  return "";
}

constexpr Variant kFloats = {"f32", SEGNAS_PRECISION_F32, false}, kIntegers = {"int8", SEGNAS_PRECISION_INT8, false}, kOfBytes = {"int8 of bytes", SEGNAS_PRECISION_INT8, true};

// A value in integers where it is read so, else in float32.
struct Value {
  int64_t h = 0, w = 0, c = 0;
  const segnas_layer *reader = nullptr;  // in integers
  std::vector<float> floats;
  std::vector<int64_t> levels;

  size_t size() const { return std::max(floats.size(), levels.size()); }
  double step() const { return reader ? double(reader->input_step) : 1; }
};

// segnas.h's formulas in plain loops. Layers in float32 are asked of a float32 session of the same place: they are not what is looked at here.
class Formulas {
 public:
  Formulas(segnas_context *context, const Network &network) : context_(context), network_(network) {
    Value picture;
    picture.h = network.h, picture.w = network.w, picture.c = network.c, picture.floats = network.input;
    values_.push_back(std::move(picture));
  }

  // "" or why a layer could not be computed.
  std::string add(size_t index) {
    const segnas_layer &l = network_.layers[index];
    const Value &x = values_[size_t(l.input)];
    Value y;
    y.h = x.h, y.w = x.w, y.c = l.kind == SEGNAS_LAYER_DWCONV || l.kind == SEGNAS_LAYER_NEAREST_ADD ? x.c : l.channels;
    for (const segnas_layer &reader : network_.layers)
      if (reader.input == int32_t(index) + 1 && reader.weight_bits) y.reader = &reader;
    if (l.kind == SEGNAS_LAYER_NEAREST_ADD) {
      nearest(l, &y);
    } else if (l.weight_bits) {
      convolution(l, &y);
    } else {
      std::vector<uint8_t> bytes;
      std::string failure = run_layers(context_, network_, index + 1, kFloats, SEGNAS_FUSION_AUTO, &bytes);
      if (!failure.empty()) return "float32 layers: " + failure;
      std::vector<float> floats(bytes.size() / sizeof(float));
      std::memcpy(floats.data(), bytes.data(), bytes.size());
      if (l.kind != SEGNAS_LAYER_PWCONV) y.h = (x.h - 1) / l.stride + 1, y.w = (x.w - 1) / l.stride + 1;
      for (float f : floats) keep(l, f * inverse(y), &y);
    }
    values_.push_back(std::move(y));
    return "";
  }
  const Value &last() const { return values_.back(); }

 private:
  static float inverse(const Value &y) { return y.reader ? float(1.0 / y.step()) : 1.0f; }

  static void keep(const segnas_layer &l, float f, Value *y) {
    if (!y->reader) return y->floats.push_back(l.relu ? std::fmax(f, 0.0f) : f);
    const float high = float((1 << (y->reader->input_bits - y->reader->input_signed)) - 1);
    const float low = l.relu || !y->reader->input_signed ? 0.0f : -high;
    y->levels.push_back(int64_t(std::nearbyint(std::fmin(std::fmax(f, low), high))));
  }

  int64_t weight(const segnas_layer &l, int64_t tap, int64_t channels, int64_t c) const {
    return int64_t(std::nearbyint(double(l.weights[tap * channels + c]) / double(l.weight_steps[c])));
  }

  void convolution(const segnas_layer &l, Value *y) const {
    const Value &x = values_[size_t(l.input)];
    const bool depthwise = l.kind == SEGNAS_LAYER_DWCONV;
    if (depthwise) y->h = (x.h - 1) / l.stride + 1, y->w = (x.w - 1) / l.stride + 1;
    for (int64_t p = 0; p < network_.n * y->h * y->w; p++)
      for (int64_t c = 0; c < y->c; c++) {
        const int64_t sum = depthwise ? taps(l, x, *y, p, c) : product(l, x, y->c, p, c);
        const float m = float(double(l.input_step) * double(l.weight_steps[c]) / y->step()), b = float(double(l.bias[c]) / y->step());
        float f = std::fmaf(float(sum), m, b);
        if (l.input2 >= 0) {
          const Value &more = values_[size_t(l.input2)];
          f = std::fmaf(float(more.levels[size_t(p * y->c + c)]), float(more.step() / y->step()), f);
        }
        keep(l, f, y);
      }
  }

  int64_t product(const segnas_layer &l, const Value &x, int64_t channels, int64_t pixel, int64_t c) const {
    int64_t sum = 0;
    for (int64_t k = 0; k < x.c; k++) sum += x.levels[size_t(pixel * x.c + k)] * weight(l, k, channels, c);
    return sum;
  }

  int64_t taps(const segnas_layer &l, const Value &x, const Value &y, int64_t pixel, int64_t c) const {
    const int64_t row = pixel / y.w % y.h, column = pixel % y.w, picture = pixel / (y.w * y.h);
    int64_t sum = 0;
    for (int64_t tap = 0; tap < l.kernel * l.kernel; tap++) {
      const int64_t i = row * l.stride + tap / l.kernel - l.kernel / 2, j = column * l.stride + tap % l.kernel - l.kernel / 2;
      if (i >= 0 && i < x.h && j >= 0 && j < x.w) sum += x.levels[size_t(((picture * x.h + i) * x.w + j) * x.c + c)] * weight(l, tap, x.c, c);
    }
    return sum;
  }

  void nearest(const segnas_layer &l, Value *y) const {
    const Value &x = values_[size_t(l.input)], &onto = values_[size_t(l.input2)];
    y->h = onto.h, y->w = onto.w;
    for (size_t i = 0; i < onto.size(); i++) {
      const int64_t pixel = int64_t(i) / y->c, row = pixel / y->w % y->h, column = pixel % y->w, picture = pixel / (y->w * y->h);
      const int64_t from = ((picture * x.h + (2 * row + 1) * x.h / (2 * y->h)) * x.w + (2 * column + 1) * x.w / (2 * y->w)) * x.c + int64_t(i) % y->c;
      const float sum = onto.floats[i] + x.floats[size_t(from)];
      keep(l, sum * inverse(*y), y);
    }
  }

  segnas_context *context_;
  const Network &network_;
  std::vector<Value> values_;
};

std::string describe(size_t at, double got, double wanted) {
  char text[160];
  std::snprintf(text, sizeof text, "element %zu is %.9g, should be %.9g", at, got, wanted);
  return text;
}

// Labels of logits that are known to the bit: where two classes are nearer than interpolation in float32 can tell, either is right.
std::string compare_labels(const Network &network, const Value &logits, const std::vector<uint8_t> &labels) {
  const ref::UpsampleShape s{network.n, logits.h, logits.w, network.h, network.w, logits.c};
  const std::vector<double> x(logits.floats.begin(), logits.floats.end());
  std::vector<ref::Sum> sums(labels.size() * size_t(logits.c));
  ref::upsample_forward(s, x.data(), nullptr, false, sums.data());
  for (size_t p = 0; p < labels.size(); p++) {
    const ref::Sum *at = sums.data() + p * size_t(logits.c);
    if (labels[p] >= logits.c) return describe(p, labels[p], 0);
    for (int64_t k = 0; k < logits.c; k++)
      if (at[k].value - at[labels[p]].value > 0x1p-21 * (at[k].magnitude + at[labels[p]].magnitude)) return describe(p, labels[p], double(k));
  }
  return "";
}

std::string compare(const Network &network, const Value &expected, const std::vector<uint8_t> &output) {
  if (network.labels()) return compare_labels(network, expected, output);
  if (output.size() != expected.floats.size() * sizeof(float)) return "the output has " + std::to_string(output.size()) + " bytes";
  for (size_t i = 0; i < expected.floats.size(); i++) {
    float got;
    std::memcpy(&got, output.data() + i * sizeof got, sizeof got);
    if (got != expected.floats[i]) return describe(i, got, expected.floats[i]);
  }
  return "";
}

}  // namespace

IntegerRunner::IntegerRunner(Places &places, int64_t number, uint64_t seed) : places_(places) {
  Random random(mix(mix(seed, "integers"), uint64_t(number)));
  network_ = draw_integer_network(random);
}

std::string IntegerRunner::run(const std::string &place, int threads) {
  segnas_context *context = places_.context(place, threads);
  std::vector<uint8_t> output;
  if (!segnas_context_precision(context, SEGNAS_PRECISION_INT8)) {
    const std::string refused = run_layers(context, network_, network_.layers.size(), kIntegers, SEGNAS_FUSION_AUTO, &output);
    return refused.empty() ? "should have no kernel" : "";
  }
  Formulas formulas(context, network_);
  for (size_t i = 0; i < network_.layers.size() - network_.labels(); i++) {
    std::string failure = formulas.add(i);
    if (!failure.empty()) return failure;
  }
  if (reference_.empty()) {
    const std::string failure = run_layers(places_.context(Places::kReference, 1), network_, network_.layers.size(), kIntegers, SEGNAS_FUSION_AUTO, &reference_);
    if (!failure.empty()) return "the reference: " + failure;
  }
  for (int32_t fusion : {SEGNAS_FUSION_ALWAYS, SEGNAS_FUSION_AUTO, SEGNAS_FUSION_NEVER}) {
    std::string failure = run_layers(context, network_, network_.layers.size(), kIntegers, fusion, &output);
    if (failure.empty()) failure = compare(network_, formulas.last(), output);
    if (failure.empty() && output != reference_) failure = std::string("other bits than ") + Places::kReference;
    if (!failure.empty()) return "fusion " + std::to_string(fusion) + ": " + failure;
  }
  const std::string failure = run_layers(context, network_, network_.layers.size(), kOfBytes, SEGNAS_FUSION_AUTO, &output);
  if (!failure.empty()) return "of bytes: " + failure;
  return output == reference_ ? "" : "other bits from a picture of bytes";
}

void check_integer_refusals(Places &places, const std::string &place, uint64_t seed, Report &report) {
  using Break = std::function<void(segnas_layer *layers, size_t first)>;
  const std::vector<std::pair<const char *, Break>> breaks = {
      {"weights of 9 bits", [](segnas_layer *l, size_t at) { l[at].weight_bits = 9; }},
      {"weights of 1 bit", [](segnas_layer *l, size_t at) { l[at].weight_bits = 1; }},
      {"inputs of 0 bits", [](segnas_layer *l, size_t at) { l[at].input_bits = 0; }},
      {"a sign of 2", [](segnas_layer *l, size_t at) { l[at].input_signed = 2; }},
      {"no step", [](segnas_layer *l, size_t at) { l[at].input_step = 0; }},
      {"a step that is no number", [](segnas_layer *l, size_t at) { l[at].input_step = std::nanf(""); }},
      {"no steps of the weights", [](segnas_layer *l, size_t at) { l[at].weight_steps = nullptr; }},
      {"weights between levels", [](segnas_layer *l, size_t at) { l[at].weight_steps = l[at].bias; }},
      {"a dense layer in integers", [](segnas_layer *l, size_t at) { l[0].weight_bits = 8, l[0].input_bits = 8, l[0].input_step = 1, l[0].weight_steps = l[at].weight_steps; }},
      {"a value read in float32, too", [](segnas_layer *l, size_t at) { l[at + 1].weight_bits = 0; }},
      {"depthwise sums in float32", [](segnas_layer *l, size_t at) { l[at + 1].weight_bits = l[at + 2].weight_bits = 0; }}};
  for (const auto &[what, apply] : breaks) {
    Random random(mix(seed, "refused integers"));
    Network network = draw_integer_network(random);
    size_t first = 0;
    while (!network.layers[first].weight_bits) first++;
    apply(network.layers.data(), first);
    segnas_session_options options = {sizeof options, SEGNAS_PRECISION_INT8, SEGNAS_F32, nullptr, nullptr, SEGNAS_FUSION_AUTO};
    segnas_session *made = nullptr;
    segnas_error err = {SEGNAS_OK, ""};
    const segnas_status status = segnas_session_create(places.context(place, 1), network.layers.data(), int32_t(network.layers.size()), network.n, network.h, network.w,
                                                       network.c, &options, &made, &err);
    Session session(made);
    if (status == SEGNAS_INVALID_ARGUMENT && err.text[0] && !made) {
      report.pass("refusals");
    } else {
      report.fail("refusals", std::string("integer session with ") + what + ": status is " + segnas_status_name(status), "opcheck --only refusals --op integers " + place_option(place));
    }
  }
}

}  // namespace segnas::check
