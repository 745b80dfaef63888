// Sessions against the references of their layers, and against themselves with other threads.
#pragma once
#include "network.h"
#include "places.h"
#include "report.h"

namespace segnas::check {

constexpr int64_t kSessionCases = 40;

class SessionRunner {
 public:
  // Network number `network` of the seed.
  SessionRunner(Places &places, int64_t network, const Variant &variant, uint64_t seed);

  std::string text() const { return network_.text + ", " + variant_.name; }
  // Whether there is anything to run: some networks take no bytes.
  bool applies() const { return !variant_.bytes || network_.takes_bytes(); }
  // Whether a place should have kernels for it; where not, a session must be refused as having none.
  bool supported(const std::string &place, int threads) { return segnas_context_precision(places_.context(place, threads), variant_.precision); }
  // Why a plug-in has no sessions at all, in its own words; "" when it has, and for the CPU.
  std::string missing(const std::string &place);
  // "" or what is wrong.
  std::string run(const std::string &place, int threads);

 private:
  struct Output {
    std::string failure;
    std::vector<uint8_t> bytes;
  };
  Output execute(const std::string &place, int threads);
  std::string compare(const std::vector<uint8_t> &output) const;
  std::string compare_labels(const std::vector<uint8_t> &output) const;
  std::string compare_values(const std::vector<uint8_t> &output) const;

  std::string check_refused(const std::string &place, int threads);
  std::string check_first_version(segnas_context *context, const std::vector<uint8_t> &expected) const;
  std::string check_measured(segnas_context *context, const segnas_session *session) const;

  Places &places_;
  const Variant &variant_;
  Network network_;
  NetworkValue expected_;  // empty until a session runs: where there are none nobody needs it
};

// Networks that must be refused. Counts in the group "refusals".
void check_session_refusals(Places &places, const std::string &place, uint64_t seed, Report &report);

}  // namespace segnas::check
