#include "runner.h"

#include <cstring>

#include "../core/context.h"

namespace segnas::check {
namespace {
constexpr size_t kScratchGuard = 4096;
constexpr uint8_t kScratchByte = 0xff;  // a NaN, in floats and in doubles

// "" or where two runs differ.
std::string same(const Problem &problem, const std::vector<std::vector<uint8_t>> &a, const std::vector<std::vector<uint8_t>> &b) {
  size_t output = 0;
  for (const Argument &argument : problem.arguments) {
    if (!is_output(argument)) continue;
    const std::vector<uint8_t> &x = a[output], &y = b[output];
    output++;
    if (x == y) continue;
    std::vector<double> u = decode(x, argument.dtype), v = decode(y, argument.dtype);
    size_t size = segnas_dtype_bytes(argument.dtype), i = 0;
    while (std::memcmp(x.data() + i * size, y.data() + i * size, size) == 0) i++;
    char text[160];
    std::snprintf(text, sizeof text, "%s element %zu: %.9g against %.9g", argument.name, i, u[i], v[i]);
    return text;
  }
  return "";
}

// A stream whose scratch is larger than needed and full of NaN: the contents are unspecified, and the end is a guard.
Stream poisoned_stream(segnas_context *context, size_t scratch_bytes) {
  Stream stream = Places::stream(context);
  size_t all = cache_lines(scratch_bytes) + kScratchGuard;
  std::memset(stream->scratch.reserve(all), kScratchByte, all);
  return stream;
}

bool scratch_guard_intact(segnas_stream *stream, size_t scratch_bytes) {
  const uint8_t *memory = static_cast<const uint8_t *>(stream->scratch.reserve(0));
  for (size_t i = cache_lines(scratch_bytes); i < stream->scratch.bytes(); i++)
    if (memory[i] != kScratchByte) return false;
  return true;
}
}  // namespace

CaseRunner::CaseRunner(Places &places, const Function &function, Problem problem, uint64_t seed)
    : places_(places), function_(function), problem_(std::move(problem)), seed_(seed) {
  for (Data data : problem_.data) {
    Inputs &inputs = inputs_[data];
    inputs.values = draw_values(problem_, data, seed_);
    inputs.expected = problem_.expect(data, inputs.values);
  }
}

CaseRunner::Verdict CaseRunner::run(const std::string &place, int threads) {
  Verdict verdict;
  for (Data data : problem_.data) {
    verdict = run_data(place, threads, data);
    if (!verdict.supported) return verdict;
    if (verdict.failure.empty()) continue;
    verdict.failure = std::string(data_name(data)) + " inputs: " + verdict.failure;
    return verdict;
  }
  return verdict;
}

CaseRunner::Verdict CaseRunner::run_data(const std::string &place, int threads, Data data) {
  segnas_context *context = places_.context(place, threads);
  Stream stream = Places::stream(context);
  Outcome first = run_once(stream.get(), context, problem_, inputs_[data].values, View::kDense, seed_);
  if (first.status == SEGNAS_NO_KERNEL) return {false, ""};
  std::string failure = check_first(place, threads, data, first);
  if (failure.empty()) failure = check_against_baselines(place, threads, data, first.outputs);
  if (failure.empty()) failure = check_views(place, threads, data, first.outputs);
  if (failure.empty()) failure = check_repeat(place, threads, data, first.outputs, std::move(stream));
  return {true, failure};
}

std::string CaseRunner::check_first(const std::string &place, int threads, Data data, const Outcome &outcome) {
  if (outcome.status != SEGNAS_OK) return "status " + std::string(segnas_status_name(outcome.status)) + ": " + outcome.text;
  if (!outcome.damage.empty()) return outcome.damage;
  if (threads == kThreadCounts[0]) baselines_[{place, data}] = outcome.outputs;
  size_t output = 0;
  for (const Argument &argument : problem_.arguments) {
    if (!is_output(argument)) continue;
    std::string wrong = compare(argument, inputs_[data].expected[output], data, decode(outcome.outputs[output], argument.dtype));
    if (!wrong.empty()) return wrong;
    output++;
  }
  return "";
}

const CaseRunner::Outputs &CaseRunner::baseline(const std::string &place, Data data) {
  auto found = baselines_.find({place, data});
  if (found != baselines_.end()) return found->second;
  segnas_context *context = places_.context(place, kThreadCounts[0]);
  Stream stream = Places::stream(context);
  return baselines_[{place, data}] = run_once(stream.get(), context, problem_, inputs_[data].values, View::kDense, seed_).outputs;
}

bool CaseRunner::same_bits_on(const std::string &place) {
  if (function_.same_bits == SameBits::kOnInstructionSets) return !places_.context(place, kThreadCounts[0])->backend;
  return function_.same_bits == SameBits::kOnEveryBackend;
}

std::string CaseRunner::check_against_baselines(const std::string &place, int threads, Data data, const Outputs &outputs) {
  if (threads != kThreadCounts[0]) {
    std::string differs = same(problem_, outputs, baseline(place, data));
    if (!differs.empty()) return "differs from the run with one thread: " + differs;
  } else if (place != Places::kReference && same_bits_on(place)) {
    std::string differs = same(problem_, outputs, baseline(Places::kReference, data));
    if (!differs.empty()) return std::string("differs from ") + Places::kReference + ": " + differs;
  }
  return "";
}

std::string CaseRunner::check_views(const std::string &place, int threads, Data data, const Outputs &outputs) {
  segnas_context *context = places_.context(place, threads);
  for (View view : {View::kStrided, View::kTight}) {
    Stream stream = Places::stream(context);
    Outcome outcome = run_once(stream.get(), context, problem_, inputs_[data].values, view, seed_);
    std::string where = std::string(view_name(view)) + " view: ";
    if (outcome.status != SEGNAS_OK) return where + "status " + segnas_status_name(outcome.status) + ": " + outcome.text;
    if (!outcome.damage.empty()) return where + outcome.damage;
    std::string differs = same(problem_, outputs, outcome.outputs);
    if (!differs.empty()) return where + "differs from the dense one: " + differs;
  }
  return "";
}

// On the CPU with a stream whose scratch is full of NaN and guarded; a plug-in's is its own affair (sim poisons it on every use), so there the
// stream that has run before runs again.
std::string CaseRunner::check_repeat(const std::string &place, int threads, Data data, const Outputs &outputs, Stream stream) {
  segnas_context *context = places_.context(place, threads);
  const bool on_host = !context->backend;
  const size_t scratch_bytes = on_host ? stream->scratch.bytes() : 0;
  const std::string second = on_host ? "second run, scratch full of NaN" : "second run";
  if (on_host) stream = poisoned_stream(context, scratch_bytes);
  Outcome outcome = run_once(stream.get(), context, problem_, inputs_[data].values, View::kDense, seed_);
  if (outcome.status != SEGNAS_OK) return second + ": status " + segnas_status_name(outcome.status) + ": " + outcome.text;
  if (!outcome.damage.empty()) return second + ": " + outcome.damage;
  std::string differs = same(problem_, outputs, outcome.outputs);
  if (!differs.empty()) return second + ", differs: " + differs;
  if (on_host && !scratch_guard_intact(stream.get(), scratch_bytes)) return "wrote beyond its scratch";
  return "";
}

}  // namespace segnas::check
