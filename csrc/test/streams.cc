// Streams and threads: a stream in use refuses a second user, two streams work side by side, and whatever threads do to one stream or
// session, a call gives the right bits or SEGNAS_BUSY. Run under the thread sanitizer too.
#include <atomic>
#include <cstring>
#include <thread>

#include "../core/context.h"
#include "functions.h"
#include "network.h"
#include "placement.h"

namespace segnas::check {
namespace {
constexpr int kRounds = 40;

void verdict(Report &report, const std::string &what, const std::string &failure) {
  if (failure.empty()) return report.pass("streams");
  report.fail("streams", what + ": " + failure, "streams");
}

// Every function on a stream that is held by another: BUSY, a text, nothing written.
void check_busy(Places &places, const Function &function, Report &report) {
  segnas_context *context = places.context("scalar", 1);
  Stream stream = Places::stream(context);
  Problem problem = function.problem(0);
  Placement placement(stream.get(), context, problem, draw_values(problem, Data::kUniform, 1), View::kDense, 1);
  segnas_error err = {SEGNAS_OK, ""};
  segnas_status status;
  {
    StreamUse held(stream.get());
    status = problem.call(stream.get(), placement.tensors(), &err);
  }
  Outcome outcome;
  placement.inspect(&outcome, true);
  std::string failure = outcome.damage;
  if (status != SEGNAS_BUSY || err.status != SEGNAS_BUSY) failure = std::string("status ") + segnas_status_name(status);
  if (err.text[0] == 0) failure = "no text";
  if (failure.empty() && problem.call(stream.get(), placement.tensors(), &err) != SEGNAS_OK)
    failure = std::string("after the other user left: ") + err.text;
  verdict(report, function.name + " on a stream in use", failure);
}

using Outputs = std::vector<std::vector<uint8_t>>;

std::vector<Outputs> run_all(segnas_context *context, segnas_stream *stream, const std::vector<Problem> &problems) {
  std::vector<Outputs> all;
  for (const Problem &problem : problems)
    all.push_back(run_once(stream, context, problem, draw_values(problem, Data::kUniform, 1), View::kDense, 1).outputs);
  return all;
}

// Two threads, a stream each, on one context: both get what one alone gets.
void check_two_streams(Places &places, const std::vector<Problem> &problems, Report &report) {
  segnas_context *context = places.context("scalar", 3);
  Stream first = Places::stream(context), second = Places::stream(context);
  const std::vector<Outputs> alone = run_all(context, first.get(), problems);
  std::vector<Outputs> results[2];
  std::thread threads[2];
  for (int t = 0; t < 2; t++) threads[t] = std::thread([&, t] { results[t] = run_all(context, t ? second.get() : first.get(), problems); });
  for (std::thread &thread : threads) thread.join();
  for (const std::vector<Outputs> &result : results)
    verdict(report, "two streams of one context, a thread each", result == alone ? "" : "other bits than alone");
}

// Two threads on one stream: each call is right or refused.
void check_shared_stream(Places &places, const Problem &problem, Report &report) {
  segnas_context *context = places.context("scalar", 2);
  Stream stream = Places::stream(context);
  const Values values = draw_values(problem, Data::kUniform, 1);
  const Outputs alone = run_once(stream.get(), context, problem, values, View::kDense, 1).outputs;
  Placement placements[2] = {{stream.get(), context, problem, values, View::kDense, 1}, {stream.get(), context, problem, values, View::kDense, 1}};
  std::atomic<int> done{0}, wrong{0};
  std::thread threads[2];
  for (int t = 0; t < 2; t++)
    threads[t] = std::thread([&, t] {
      for (int round = 0; round < kRounds; round++) {
        segnas_error err;
        segnas_status status = problem.call(stream.get(), placements[t].tensors(), &err);
        if (status == SEGNAS_OK) done++;
        if (status != SEGNAS_OK && status != SEGNAS_BUSY) wrong++;
      }
    });
  for (std::thread &thread : threads) thread.join();
  verdict(report, "two threads on one stream", wrong ? "a status other than ok and busy" : done ? "" : "no call went through");
  for (Placement &placement : placements) {
    segnas_error err;
    Outcome outcome;
    problem.call(stream.get(), placement.tensors(), &err);
    placement.inspect(&outcome);
    verdict(report, "two threads on one stream, then one", outcome.outputs == alone ? outcome.damage : "other bits than alone");
  }
}

void check_shared_session(Places &places, Report &report) {
  Random random(3);
  Network network = draw_network(random);
  segnas_session *session = nullptr;
  segnas_error err;
  if (segnas_session_create(places.context("scalar", 2), network.layers.data(), int32_t(network.layers.size()), network.n, network.h, network.w,
                            network.c, nullptr, &session, &err) != SEGNAS_OK)
    return verdict(report, "a session", err.text);
  std::vector<uint8_t> alone(segnas_session_output_bytes(session));
  segnas_session_run(session, network.input.data(), alone.data(), nullptr, &err);
  std::atomic<int> done{0}, wrong{0};
  std::thread threads[2];
  for (std::thread &thread : threads)
    thread = std::thread([&] {
      for (int round = 0; round < kRounds; round++) {
        std::vector<uint8_t> output(alone.size());
        segnas_error mine;
        segnas_status status = segnas_session_run(session, network.input.data(), output.data(), nullptr, &mine);
        if (status == SEGNAS_OK) done++;
        if (status == SEGNAS_OK ? output != alone : status != SEGNAS_BUSY) wrong++;
      }
    });
  for (std::thread &thread : threads) thread.join();
  verdict(report, "two threads on one session",
          wrong  ? "another status than ok and busy, or other bits than alone"
          : done ? ""
                 : "no run went through");
  segnas_session_destroy(session);
}

int run() {
  Report report(false);
  Places places("cpu");
  std::vector<Problem> problems;
  for (const Function &function : all_functions()) {
    if (!function.composed) check_busy(places, function, report);
    for (int64_t row : {int64_t{0}, function.cases / 2, function.cases - 1}) problems.push_back(function.problem(row));
  }
  check_two_streams(places, problems, report);
  for (const Function &function : all_functions())
    if (function.name == "pwconv_forward" || function.name == "cross_entropy")
      check_shared_stream(places, function.problem(function.cases - 1), report);
  check_shared_session(places, report);
  return report.finish();
}
}  // namespace
}  // namespace segnas::check

int main() { return segnas::check::run(); }
