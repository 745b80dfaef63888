#include "sessions.h"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>

#include "../core/context.h"
#include "../core/memory.h"

namespace segnas::check {
namespace {
constexpr size_t kGuardBytes = 256;
constexpr uint8_t kGuardByte = 0xa5;

struct SessionDestroy {
  void operator()(segnas_session *session) const { segnas_session_destroy(session); }
};
using Session = std::unique_ptr<segnas_session, SessionDestroy>;

segnas_status create(segnas_context *context, const Network &network, const segnas_session_options *options, Session *session, segnas_error *err) {
  segnas_session *made = nullptr;
  segnas_status status = segnas_session_create(context, network.layers.data(), int32_t(network.layers.size()), network.n, network.h, network.w, network.c,
                                               options, &made, err);
  session->reset(made);
  return status;
}

// The layers as a caller compiled with the first version's header passes them: shorter structs, one behind the other. Empty where they cannot say it.
std::vector<char> first_version(const Network &network) {
  const uint32_t size = offsetof(segnas_layer, dilation);
  std::vector<char> bytes;
  for (const segnas_layer &layer : network.layers) {
    if (layer.dilation > 1) return {};
    const char *at = reinterpret_cast<const char *>(&layer);
    bytes.insert(bytes.end(), at, at + size);
    std::memcpy(bytes.data() + bytes.size() - size, &size, sizeof size);
  }
  return bytes;
}

std::string describe(const char *format, size_t element, double got, double value, double bound) {
  char text[200];
  std::snprintf(text, sizeof text, format, element, got, value, bound);
  return text;
}

// One run between guards; nothing may be allocated in it.
std::string run_guarded(segnas_session *session, const Network &network, const Variant &variant, std::vector<uint8_t> *output) {
  const size_t bytes = segnas_session_output_bytes(session);
  std::vector<uint8_t> memory(bytes + 2 * kGuardBytes, kGuardByte);
  std::vector<int64_t> nanoseconds(size_t(network.groups()) + 1, -7);
  std::vector<float> input = network.input;
  std::vector<uint8_t> picture = network.bytes;
  const void *from = variant.bytes ? static_cast<const void *>(picture.data()) : input.data();
  segnas_error err;
  fail_allocation(1);
  segnas_status status = segnas_session_run(session, from, memory.data() + kGuardBytes, nanoseconds.data(), &err);
  fail_allocation(0);
  if (status != SEGNAS_OK) return std::string("run: ") + err.text;
  if (std::memcmp(input.data(), network.input.data(), input.size() * sizeof(float)) != 0 || picture != network.bytes)
    return "the input was changed";
  for (size_t i = 0; i < kGuardBytes; i++)
    if (memory[i] != kGuardByte || memory[kGuardBytes + bytes + i] != kGuardByte) return "memory outside the output was written";
  for (size_t g = 0; g < nanoseconds.size(); g++)
    if (g + 1 < nanoseconds.size() ? nanoseconds[g] < 0 : nanoseconds[g] != -7)
      return "group_ns[" + std::to_string(g) + "] is " + std::to_string(nanoseconds[g]);
  output->assign(memory.begin() + kGuardBytes, memory.begin() + kGuardBytes + long(bytes));
  return "";
}
}  // namespace

SessionRunner::SessionRunner(Places &places, int64_t network, const Variant &variant, uint64_t seed) : places_(places), variant_(variant) {
  Random random(mix(mix(seed, "session"), uint64_t(network)));
  network_ = draw_network(random);
}

std::string SessionRunner::missing(const std::string &place) {
  segnas_context *context = places_.context(place, kThreadCounts[0]);
  if (segnas_context_precision(context, SEGNAS_PRECISION_F32)) return "";
  Session session;
  segnas_error err;
  segnas_session_options options = network_.options(variant_);
  create(context, network_, &options, &session, &err);
  return err.text[0] ? err.text : "refused without a word";
}

SessionRunner::Output SessionRunner::execute(const std::string &place, int threads) {
  Output output;
  Session session;
  segnas_error err;
  segnas_session_options options = network_.options(variant_);
  if (create(places_.context(place, threads), network_, &options, &session, &err) != SEGNAS_OK) return {std::string("create: ") + err.text, {}};
  size_t wanted = network_.labels() ? size_t(network_.n) * size_t(network_.h) * size_t(network_.w) : expected_.value.size() * sizeof(float);
  if (segnas_session_output_bytes(session.get()) != wanted)
    return {"output_bytes is " + std::to_string(segnas_session_output_bytes(session.get())), {}};
  output.failure = check_measured(places_.context(place, threads), session.get());
  if (output.failure.empty()) output.failure = run_guarded(session.get(), network_, variant_, &output.bytes);
  if (!output.failure.empty()) return output;
  std::vector<uint8_t> again;
  output.failure = run_guarded(session.get(), network_, variant_, &again);
  if (output.failure.empty() && again != output.bytes) output.failure = "the second run differs from the first";
  for (int32_t fusion : {SEGNAS_FUSION_AUTO, SEGNAS_FUSION_NEVER}) {
    if (!output.failure.empty()) break;
    options.fusion = fusion;
    if (create(places_.context(place, threads), network_, &options, &session, &err) != SEGNAS_OK) return {std::string("create: ") + err.text, {}};
    output.failure = run_guarded(session.get(), network_, variant_, &again);
    if (output.failure.empty() && again != output.bytes) output.failure = "the fused run differs from that with fusion " + std::to_string(fusion);
  }
  if (output.failure.empty()) output.failure = check_first_version(places_.context(place, threads), output.bytes);
  return output;
}

std::string SessionRunner::check_first_version(segnas_context *context, const std::vector<uint8_t> &expected) const {
  const std::vector<char> layers = first_version(network_);
  if (layers.empty()) return "";
  segnas_session *made = nullptr;
  segnas_error err;
  segnas_session_options options = network_.options(variant_);
  segnas_status status = segnas_session_create(context, reinterpret_cast<const segnas_layer *>(layers.data()), int32_t(network_.layers.size()), network_.n,
                                               network_.h, network_.w, network_.c, &options, &made, &err);
  Session session(made);
  if (status != SEGNAS_OK) return std::string("create from the first version's layers: ") + err.text;
  std::vector<uint8_t> output;
  std::string failure = run_guarded(made, network_, variant_, &output);
  return failure.empty() && output != expected ? "the first version's layers give another output" : failure;
}

// The figures of a session that is not made are those of the one that is.
std::string SessionRunner::check_measured(segnas_context *context, const segnas_session *session) const {
  size_t activations = 0, weights = 0;
  segnas_error err;
  segnas_session_options options = network_.options(variant_);
  if (segnas_session_measure(context, network_.layers.data(), int32_t(network_.layers.size()), network_.n, network_.h, network_.w, network_.c, &options,
                             &activations, &weights, &err) != SEGNAS_OK)
    return std::string("measure: ") + err.text;
  if (activations == segnas_session_activation_bytes(session) && weights == segnas_session_weight_bytes(session)) return "";
  return "measured " + std::to_string(activations) + " and " + std::to_string(weights) + " bytes, the session has others";
}

std::string SessionRunner::check_refused(const std::string &place, int threads) {
  Session session;
  segnas_error err;
  segnas_session_options options = network_.options(variant_);
  segnas_status status = create(places_.context(place, threads), network_, &options, &session, &err);
  return status == SEGNAS_NO_KERNEL && err.text[0] && !session ? "" : std::string("should have no kernel, but: ") + segnas_status_name(status);
}

std::string SessionRunner::run(const std::string &place, int threads) {
  if (!supported(place, threads)) return check_refused(place, threads);
  if (expected_.value.empty()) expected_ = evaluate(network_, variant_);
  Output output = execute(place, threads);
  if (!output.failure.empty()) return output.failure;
  std::string wrong = compare(output.bytes);
  if (!wrong.empty() || threads == kThreadCounts[0]) return wrong;
  Output single = execute(place, kThreadCounts[0]);
  return single.bytes == output.bytes ? "" : "differs from the run with one thread";
}

std::string SessionRunner::compare(const std::vector<uint8_t> &output) const {
  return network_.labels() ? compare_labels(output) : compare_values(output);
}

std::string SessionRunner::compare_labels(const std::vector<uint8_t> &output) const {
  const size_t classes = size_t(expected_.c);
  for (size_t p = 0; p < output.size(); p++) {
    const double *value = expected_.value.data() + p * classes, *bound = expected_.bound.data() + p * classes;
    size_t best = 0, got = output[p];
    for (size_t k = 1; k < classes; k++)
      if (value[k] > value[best]) best = k;
    if (got >= classes || value[got] + bound[got] < value[best] - bound[best])
      return describe("label %zu is %g, best is %g (+- %g)", p, double(got), double(best), bound[best]);
  }
  return "";
}

std::string SessionRunner::compare_values(const std::vector<uint8_t> &output) const {
  double errors = 0;
  for (size_t i = 0; i < expected_.value.size(); i++) {
    float got;
    std::memcpy(&got, output.data() + i * sizeof got, sizeof got);
    double value = expected_.value[i], error = got - value;
    if (std::isnan(value) && std::isnan(got)) continue;
    if (!(std::fabs(error) <= expected_.bound[i])) return describe("element %zu is %.9g, should be %.9g +- %.3g", i, got, value, expected_.bound[i]);
    errors += error * error;
  }
  double rms = expected_.energy > 0 ? std::sqrt(errors / expected_.energy) : 0, allowed = 4 * (std::sqrt(double(expected_.roundings)) * 0x1p-24 + std::sqrt(double(expected_.narrowings)) * narrowing(variant_));
  if (rms > allowed)
    return describe("RMS error over %zu elements is %.3g of the tensor's (%.3g), allowed %.3g", expected_.value.size(), rms,
                    std::sqrt(expected_.energy), allowed);
  return "";
}

void check_session_refusals(Places &places, const std::string &place, uint64_t seed, Report &report) {
  using Break = std::function<void(Network &)>;
  // A network with every kind of layer is drawn; layer 0 is the stem, the last one labels, the one before the classifier.
  uint64_t number = 0;
  auto has = [](const Network &network, int32_t kind) {
    for (const segnas_layer &layer : network.layers)
      if (layer.kind == kind) return true;
    return false;
  };
  Network good;
  do {
    Random random(mix(mix(seed, "refused session"), number++));
    good = draw_network(random);
  } while (!good.labels() || good.layers[0].kind != SEGNAS_LAYER_CONV3X3 || !has(good, SEGNAS_LAYER_DWCONV) || !has(good, SEGNAS_LAYER_UPSAMPLE_ADD));
  size_t depthwise = 0, fuse = 0;  // of which an average and an upsampling are made
  while (good.layers[depthwise].kind != SEGNAS_LAYER_DWCONV) depthwise++;
  while (good.layers[fuse].kind != SEGNAS_LAYER_UPSAMPLE_ADD) fuse++;
  const size_t last = good.layers.size() - 1;
  const std::vector<std::pair<const char *, Break>> breaks = {
      {"no layers", [](Network &n) { n.layers.clear(); }},
      {"a layer of another size", [](Network &n) { n.layers[0].size = 4; }},
      {"an unknown kind", [](Network &n) { n.layers[0].kind = 77; }},
      {"an input that comes later", [](Network &n) { n.layers[0].input = 1; }},
      {"a negative input", [](Network &n) { n.layers[0].input = -1; }},
      {"no channels", [](Network &n) { n.layers[0].channels = 0; }},
      {"stride 3", [](Network &n) { n.layers[0].stride = 3; }},
      {"no weights", [](Network &n) { n.layers[0].weights = nullptr; }},
      {"no bias", [](Network &n) { n.layers[0].bias = nullptr; }},
      {"kernel 4", [=](Network &n) { n.layers[depthwise].kernel = 4; }},
      {"depthwise stride 0", [=](Network &n) { n.layers[depthwise].stride = 0; }},
      {"a fuse with nothing", [=](Network &n) { n.layers[fuse].input2 = -1; }},
      {"a residual of another size", [=](Network &n) { n.layers[last - 1].input2 = 0; }},
      {"labels before the last layer", [=](Network &n) { n.layers.push_back(n.layers[last]); }},
      {"a falling group", [](Network &n) { n.layers[0].group = n.groups() + 5; }},
      {"a negative group", [](Network &n) { n.layers[0].group = -1; }},
      {"a dilation below 0", [=](Network &n) { n.layers[depthwise].dilation = -2; }},
      {"a dilation of 65", [=](Network &n) { n.layers[depthwise].stride = 1, n.layers[depthwise].dilation = 65; }},
      {"a dilated stride", [=](Network &n) { n.layers[depthwise].stride = 2, n.layers[depthwise].dilation = 2; }},
      {"a dilated fuse", [=](Network &n) { n.layers[fuse].dilation = 2; }},
      {"an average over no bins", [=](Network &n) { n.layers[fuse].kind = SEGNAS_LAYER_AVG_POOL, n.layers[fuse].input2 = -1; }},
      {"an average over 65 bins", [=](Network &n) { n.layers[fuse].kind = SEGNAS_LAYER_AVG_POOL, n.layers[fuse].input2 = -1, n.layers[fuse].kernel = 65; }},
      {"an average of two values", [=](Network &n) { n.layers[fuse].kind = SEGNAS_LAYER_AVG_POOL, n.layers[fuse].kernel = 2; }},
      {"an upsampling to no size", [=](Network &n) { n.layers[fuse].kind = SEGNAS_LAYER_UPSAMPLE, n.layers[fuse].input2 = -1; }},
      {"a value that nobody reads",
       [](Network &n) {
         n.layers.insert(n.layers.begin(), n.layers[0]);
         for (size_t i = 1; i < n.layers.size(); i++) n.layers[i].input += n.layers[i].input > 0, n.layers[i].input2 += n.layers[i].input2 > 0;
       }},
      {"layers of two sizes", [](Network &n) { n.layers.back().size = offsetof(segnas_layer, dilation); }},
      {"no pictures", [](Network &n) { n.n = 0; }},
      {"a negative height", [](Network &n) { n.h = -3; }},
      {"no width", [](Network &n) { n.w = 0; }},
      {"too many channels for the stem", [](Network &n) { n.c = 17; }}};
  for (const auto &[what, apply] : breaks) {
    Random random(mix(mix(seed, "refused session"), number - 1));
    Network network = draw_network(random);
    apply(network);
    Session session;
    segnas_error err = {SEGNAS_OK, ""};
    segnas_status status = create(places.context(place, 1), network, nullptr, &session, &err);
    if (status == SEGNAS_INVALID_ARGUMENT && err.status == status && err.text[0] && !session) {
      report.pass("refusals");
    } else {
      report.fail("refusals", std::string("session with ") + what + ": status is " + segnas_status_name(status),
                  "opcheck --only refusals --op session " + place_option(place));
    }
  }
}

}  // namespace segnas::check
