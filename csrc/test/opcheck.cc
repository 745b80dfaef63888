// opcheck: every operation of libsegnas, on every instruction set that this machine runs and with 1, 2 and 3 threads, or on a plug-in, against the
// double-precision reference beside it (csrc/ops/X/ref.h), on the cases beside it (csrc/ops/X/cases.inc).
//
// To add a case: a line in the op's cases.inc. To add a function: its Problem in check_X.cc. To add an op: ref.h, cases.inc, check_X.cc and
// two lines in functions.h. What one check does is in runner.cc, what must be refused in refusals.cc, which layouts there are in
// placement.cc, which bounds in problem.cc.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "functions.h"
#include "integers.h"
#include "options.h"
#include "refusals.h"
#include "runner.h"
#include "sessions.h"
#include "shares.h"
#include "sixteen.h"
#include "support.h"

namespace segnas::check {
namespace {

// Where the build puts libraries: bin/opcheck and lib.
std::string library_folder() {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
  std::string path(program, length > 0 ? static_cast<size_t>(length) : 0);
  for (int up = 0; up < 2; up++) path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  return path.empty() ? "" : path + "/lib";
}

constexpr char kMatrix[] = "matrix:\n";  // between a report and a support matrix

class Opcheck {
 public:
  explicit Opcheck(const Options &options) : options_(options), places_(options.backend, options.plugin_dir.empty() ? library_folder() : options.plugin_dir), report_(isatty(STDERR_FILENO)) {
    std::vector<Function> all = all_functions(), narrow = narrowed(all);
    all.insert(all.end(), std::make_move_iterator(narrow.begin()), std::make_move_iterator(narrow.end()));
    for (Function &function : all)
      if (options.op.empty() || options.op == function.op || options.op == function.name) functions_.push_back(std::move(function));
    if (functions_.empty() && options.op != "session" && options.op != "integers") throw std::invalid_argument("no op or function " + options.op + "; see --list");
  }

  void list() {
    for (const Function &function : functions_)
      for (int64_t row = 0; row < function.cases; row++)
        std::printf("--op %s --case %lld: %s\n", function.name.c_str(), static_cast<long long>(row), function.problem(row).text.c_str());
    for (int64_t row = 0; wants_op("session") && row < kSessionCases; row++) {
      Random random(mix(mix(options_.seed, "session"), static_cast<uint64_t>(row)));
      std::printf("--op session --case %lld: %s\n", static_cast<long long>(row), draw_network(random).text.c_str());
    }
    for (int64_t row = 0; wants_op("integers") && row < kIntegerCases; row++)
      std::printf("--op integers --case %lld: %s\n", static_cast<long long>(row), IntegerRunner(places_, row, options_.seed).text().c_str());
  }

  // The part of the checks that is this share's, of as many as there are.
  void run(const Share &share) {
    share_ = share;
    if (options_.fuzz_seconds > 0) return fuzz();
    // The references' own proof, which no backend has a part in.
    if (options_.backend == "cpu" && options_.wants("gradients") && options_.op.empty() && options_.row < 0 && mine()) {
      GradientProof proof(report_, options_.seed);
      prove_all(proof);
    }
    if (options_.wants("refusals") && options_.row < 0 && options_.draw < 0) check_all_refusals();
    if (options_.wants("cases")) check_cases();
    if (options_.wants("sessions") && wants_op("session")) check_sessions();
    if (options_.wants("sessions") && wants_op("integers")) check_all_integers();
  }

  std::string found() const { return report_.text() + kMatrix + support_.text(); }

  void add(const std::string &found) {
    const size_t end = found.find(kMatrix);
    report_.add(found.substr(0, end));
    support_.add(found.substr(end + std::string(kMatrix).size()));
  }

  void lost(const std::string &what) { report_.fail("shares", what, "opcheck with the same options and --jobs 1"); }

  int finish() {
    if (!options_.support.empty()) check_support();
    return report_.finish();
  }

 private:
  // Asked for each piece of work in turn, which are the same in every share.
  bool mine() { return piece_++ % share_.of == share_.number; }

  bool wants_op(const char *op) const { return options_.op.empty() || options_.op == op; }

  std::string repeat(const std::string &name, const std::string &which, const std::string &place, int threads) const {
    return "opcheck --op " + name + " " + which + " " + place_option(place) + " --threads " + std::to_string(threads) + " --seed " +
           std::to_string(options_.seed);
  }

  // check(place, threads) for each wanted pair that can run.
  template <class Check>
  void on_every_place(Check check) {
    for (const Place &place : places_.all()) {
      if (!options_.isa.empty() && options_.isa != place.name) continue;
      for (int threads : places_.thread_counts()) {
        if (options_.threads && options_.threads != threads) continue;
        if (place.missing.empty()) {
          check(place.name, threads);
        } else {
          report_.skip(place.name, place.missing);
        }
      }
    }
  }

  void count(const std::string &place, const std::string &failure, const std::string &what, const std::string &again) {
    if (failure.empty()) {
      report_.pass(place);
    } else {
      report_.fail(place, what + ": " + failure, again);
    }
  }

  void check_case(const Function &function, Problem problem, const std::string &which) {
    std::string text = problem.text;
    CaseRunner runner(places_, function, std::move(problem), mix(mix(options_.seed, function.name), which));
    report_.progress(function.name + " " + text);
    on_every_place([&](const std::string &place, int threads) {
      CaseRunner::Verdict verdict = runner.run(place, threads);
      if (!function.composed && !function.narrow) support_.record(function.name, place, verdict.supported);
      if (!verdict.supported) return report_.skip(place, "no kernel for " + function.name);
      count(place, verdict.failure, function.name + " (" + text + ") " + place + ", threads " + std::to_string(threads),
            repeat(function.name, which, place, threads));
    });
  }

  void check_cases() {
    for (const Function &function : functions_) {
      if (function.narrow && options_.backend == "cpu") continue;
      if (options_.draw >= 0) {
        Random random(static_cast<uint64_t>(options_.draw));
        check_case(function, function.draw(random), "--draw " + std::to_string(options_.draw));
        continue;
      }
      if (options_.row >= function.cases) continue;
      int64_t first = options_.row >= 0 ? options_.row : 0, end = options_.row >= 0 ? options_.row + 1 : function.cases;
      for (int64_t row = first; row < end; row += options_.every)
        if (mine()) check_case(function, function.problem(row), "--case " + std::to_string(row));
    }
  }

  void check_session(int64_t row) {
    for (const Variant &variant : kVariants) {
      SessionRunner runner(places_, row, variant, options_.seed);
      if (!runner.applies()) continue;
      report_.progress("session " + runner.text());
      std::string which = "--case " + std::to_string(row);
      on_every_place([&](const std::string &place, int threads) {
        const std::string missing = runner.missing(place);
        if (!missing.empty()) return report_.skip(place, missing);
        // Plain C++ has them everywhere, AVX2 and NEON nowhere, AVX-512 where the processor has.
        if (options_.backend == "cpu" && place != "avx512" && variant.precision == SEGNAS_PRECISION_BF16) support_.record("session_bf16", place, runner.supported(place, threads));
        count(place, runner.run(place, threads), "session (" + runner.text() + ") " + place + ", threads " + std::to_string(threads),
              repeat("session", which, place, threads));
      });
    }
  }

  void check_sessions() {
    if (options_.row >= 0) return check_session(options_.row);
    for (int64_t row = 0; row < kSessionCases; row += options_.every)
      if (mine()) check_session(row);
  }

  void check_integers(int64_t row) {
    IntegerRunner runner(places_, row, options_.seed);
    report_.progress("session " + runner.text());
    on_every_place([&](const std::string &place, int threads) {
      const bool supported = segnas_context_precision(places_.context(place, threads), SEGNAS_PRECISION_INT8);
      if (!supported && !segnas_context_precision(places_.context(place, threads), SEGNAS_PRECISION_F32)) return report_.skip(place, "has no sessions");
      support_.record("session_int8", place, supported);
      count(place, runner.run(place, threads), "session (" + runner.text() + ") " + place + ", threads " + std::to_string(threads),
            repeat("integers", "--case " + std::to_string(row), place, threads));
    });
  }

  void check_all_integers() {
    if (options_.row >= 0) return check_integers(options_.row);
    for (int64_t row = 0; row < kIntegerCases; row += options_.every)
      if (mine()) check_integers(row);
  }

  void check_all_refusals() {
    std::string place = options_.isa.empty() ? places_.all().front().name : options_.isa;
    for (const Function &function : functions_) {
      if (!mine()) continue;
      report_.progress("refusals of " + function.name);
      if (function.narrow) check_narrow_refused(place, function);
      if (!function.composed && !function.narrow) check_refusals(places_, place, function, options_.seed, report_);
    }
    segnas_context *context = places_.context(place, 1);
    if (wants_op("session") && segnas_context_precision(context, SEGNAS_PRECISION_F32) && mine()) check_session_refusals(places_, place, options_.seed, report_);
    if (wants_op("integers") && segnas_context_precision(context, SEGNAS_PRECISION_INT8) && mine()) check_integer_refusals(places_, place, options_.seed, report_);
  }

  // The CPU keeps activations in float32, and says so.
  void check_narrow_refused(const std::string &place, const Function &function) {
    if (options_.backend != "cpu") return;
    const Problem problem = function.problem(0);
    segnas_context *context = places_.context(place, 1);
    Stream stream = Places::stream(context);
    const Outcome outcome = run_once(stream.get(), context, problem, draw_values(problem, Data::kUniform, options_.seed), View::kDense, options_.seed);
    if (outcome.status == SEGNAS_NO_KERNEL && !outcome.text.empty()) return report_.pass("refusals");
    report_.fail("refusals", function.name + ": should have no kernel, but: " + segnas_status_name(outcome.status), "opcheck --only refusals --op " + function.name);
  }

  void check_support() {
    if (options_.write_support) {
      support_.write(options_.support);
    } else if (options_.unfiltered()) {
      support_.compare(options_.support, report_);
    }
  }

  void fuzz() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.fuzz_seconds);
    for (uint64_t number = mix(options_.seed, "fuzz") >> 32; std::chrono::steady_clock::now() < end; number++) {
      Random random(mix(number, "function"));
      if (options_.op == "session" || (options_.op.empty() && random.one_in(10))) {
        check_session(static_cast<int64_t>(number));
        continue;
      }
      if (options_.op == "integers" || (options_.op.empty() && random.one_in(10))) {
        check_integers(static_cast<int64_t>(number));
        continue;
      }
      const Function &function = functions_[static_cast<size_t>(random.integer(0, static_cast<int64_t>(functions_.size()) - 1))];
      if (function.narrow && options_.backend == "cpu") continue;
      Random draw(number);
      check_case(function, function.draw(draw), "--draw " + std::to_string(number));
    }
  }

  const Options options_;
  Places places_;
  Report report_;
  SupportMatrix support_;
  std::vector<Function> functions_;
  Share share_;
  int64_t piece_ = 0;
};

int run(int count, char **words) {
  try {
    Options options = parse_options(count, words);
    if (options.help) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    // A share has contexts, and their threads, of its own: they begin before there are any.
    const Shares shares(options.list || options.fuzz_seconds > 0 ? 1 : options.jobs, [&](const Share &share) {
      Opcheck opcheck(options);
      opcheck.run(share);
      return opcheck.found();
    });
    Opcheck opcheck(options);
    if (options.list) {
      opcheck.list();
      return 0;
    }
    opcheck.run(shares.own());
    shares.collect([&](const std::string &found) { opcheck.add(found); }, [&](const std::string &what) { opcheck.lost(what); });
    return opcheck.finish();
  } catch (const std::invalid_argument &error) {
    std::fprintf(stderr, "opcheck: %s\n", error.what());
    return 2;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "opcheck: %s\n", error.what());
    return 1;
  }
}
}  // namespace
}  // namespace segnas::check

int main(int count, char **words) { return segnas::check::run(count, words); }
