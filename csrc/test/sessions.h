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
  SessionRunner(Places &places, int64_t network, uint64_t seed);

  const std::string &text() const { return network_.text; }
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

  Places &places_;
  Network network_;
  NetworkValue expected_;
};

// Networks that must be refused. Counts in the group "refusals".
void check_session_refusals(Places &places, const std::string &place, uint64_t seed, Report &report);

}  // namespace segnas::check
