// Every allocation of the library fails once: the nth one of a script, for n = 1, 2, ... until the script runs through. Each failure must be
// a clean SEGNAS_OUT_OF_MEMORY with a text; what was made before it is destroyed, and the address sanitizer sees a leak. Two sources fail:
// core/memory.h, and operator new inside library calls (thread pool, plans).
#include <cstdio>
#include <cstdlib>
#include <new>

#include "../core/memory.h"
#include "functions.h"
#include "network.h"
#include "placement.h"

namespace {
// Only calls that the script marks count: the harness's own vectors must not fail.
bool inside_library = false;
long new_countdown = 0;

void *counted(std::size_t bytes) {
  if (inside_library && new_countdown > 0 && --new_countdown == 0) return nullptr;
  return std::malloc(bytes ? bytes : 1);
}
}  // namespace

void *operator new(std::size_t bytes) {
  if (void *memory = counted(bytes)) return memory;
  throw std::bad_alloc();
}
void *operator new[](std::size_t bytes) { return operator new(bytes); }
void *operator new(std::size_t bytes, const std::nothrow_t &) noexcept { return counted(bytes); }
void *operator new[](std::size_t bytes, const std::nothrow_t &) noexcept { return counted(bytes); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }

namespace segnas::check {
namespace {

struct Result {
  segnas_status status = SEGNAS_OK;
  std::string text;
};

// Which allocations fail.
enum class Source { kMemory, kNew };

void arm(Source source, long nth) {
  if (source == Source::kMemory) {
    fail_allocation(nth);
  } else {
    new_countdown = nth;
  }
}

// Ends the failing; whether the nth allocation was reached.
bool disarm(Source source) {
  bool pending = source == Source::kNew && new_countdown > 0;
  new_countdown = 0;
  if (source == Source::kNew) return !pending;
  for (long tries = 0; tries < 100000 && !pending; tries++) {
    void *memory = allocate_zeroed(1);
    pending = memory == nullptr;
    release(memory, 1);
    if (tries > 1000) break;
  }
  fail_allocation(0);
  return !pending;
}

template <class CallLibrary>
Result call(CallLibrary library) {
  segnas_error err = {SEGNAS_INTERNAL, "the error was not filled"};
  inside_library = true;
  segnas_status status = library(&err);
  inside_library = false;
  if (err.status != status) return {SEGNAS_INTERNAL, "the error's status is not the call's"};
  return {status, err.text};
}

// A context with a stream, both the script's.
struct Library {
  ~Library() {
    segnas_stream_destroy(stream);
    segnas_context_destroy(context);
  }
  Result open() {
    segnas_context_options options = {};
    options.size = sizeof options;
    options.threads = 3;
    Result made = call([&](segnas_error *err) { return segnas_context_create(&options, &context, err); });
    if (made.status != SEGNAS_OK) return made;
    return call([&](segnas_error *err) { return segnas_stream_create(context, &stream, err); });
  }
  segnas_context *context = nullptr;
  segnas_stream *stream = nullptr;
};

Result run_setup() {
  Library library;
  Result result = library.open();
  segnas_buffer *small = nullptr, *huge = nullptr;
  if (result.status == SEGNAS_OK) result = call([&](segnas_error *err) { return segnas_buffer_create(library.context, 100, &small, err); });
  if (result.status == SEGNAS_OK)
    result = call([&](segnas_error *err) { return segnas_buffer_create(library.context, size_t{5} << 20, &huge, err); });
  segnas_buffer_destroy(small);
  segnas_buffer_destroy(huge);
  return result;
}

Result run_function(const Problem &problem, Source source, long nth) {
  Library library;
  Result result = library.open();
  if (result.status != SEGNAS_OK) return result;
  Placement placement(library.stream, library.context, problem, draw_values(problem, Data::kUniform, 1), View::kDense, 1);
  arm(source, nth);
  return call([&](segnas_error *err) { return problem.call(library.stream, placement.tensors(), err); });
}

Result run_session(const Network &network, Source source, long nth) {
  Library library;
  Result result = library.open();
  if (result.status != SEGNAS_OK) return result;
  segnas_session *session = nullptr;
  arm(source, nth);
  result = call([&](segnas_error *err) {
    return segnas_session_create(library.context, network.layers.data(), int32_t(network.layers.size()), network.n, network.h, network.w, network.c,
                                 nullptr, &session, err);
  });
  if (result.status == SEGNAS_OK) {
    std::vector<uint8_t> output(segnas_session_output_bytes(session));
    result = call([&](segnas_error *err) { return segnas_session_run(session, network.input.data(), output.data(), nullptr, err); });
  }
  segnas_session_destroy(session);
  return result;
}

// Runs the script with the 1st, 2nd, ... allocation failing, until none is left to fail.
template <class Script>
void sweep(const std::string &name, Source source, Script script, Report &report) {
  constexpr long kMost = 2000;
  const std::string group = source == Source::kMemory ? "memory" : "new";
  for (long nth = 1; nth <= kMost; nth++) {
    Result result = script(source, nth);
    bool failed = disarm(source);
    std::string where = name + ", " + group + " allocation " + std::to_string(nth);
    if (!failed && result.status == SEGNAS_OK) return report.pass(group);
    if (result.status == SEGNAS_OUT_OF_MEMORY && !result.text.empty()) {
      report.pass(group);
    } else {
      report.fail(group, where + ": status " + segnas_status_name(result.status) + " " + result.text, "oom");
      if (!failed) return;
    }
  }
  report.fail(group, name + " still fails after " + std::to_string(kMost) + " allocations", "oom");
}

int run() {
  Report report(false);
  for (Source source : {Source::kMemory, Source::kNew}) {
    sweep(
        "context, stream and buffers", source,
        [](Source from, long nth) {
          arm(from, nth);
          return run_setup();
        },
        report);
    for (const Function &function : all_functions())
      for (int64_t row : {int64_t{0}, function.cases - 1}) {
        Problem problem = function.problem(row);
        sweep(function.name + " (" + problem.text + ")", source, [&](Source from, long nth) { return run_function(problem, from, nth); }, report);
      }
    for (uint64_t seed = 1; seed <= 4; seed++) {
      Random random(seed);
      Network network = draw_network(random);
      sweep("session (" + network.text + ")", source, [&](Source from, long nth) { return run_session(network, from, nth); }, report);
    }
  }
  return report.finish();
}
}  // namespace
}  // namespace segnas::check

int main() { return segnas::check::run(); }
