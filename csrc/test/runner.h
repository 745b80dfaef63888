// Holds one case of one function to its reference and to itself: on every place, with every thread count and view.
#pragma once
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "placement.h"
#include "places.h"
#include "problem.h"

namespace segnas::check {

class CaseRunner {
 public:
  // seed decides inputs and layouts.
  CaseRunner(Places &places, const Function &function, Problem problem, uint64_t seed);

  struct Verdict {
    bool supported = true;
    std::string failure;  // one line; "" when it passed
  };
  Verdict run(const std::string &place, int threads);

 private:
  using Outputs = std::vector<std::vector<uint8_t>>;
  struct Inputs {
    Values values;
    std::vector<Expected> expected;
  };
  Verdict run_data(const std::string &place, int threads, Data data);
  std::string check_first(const std::string &place, int threads, Data data, const Outcome &outcome);
  std::string check_against_baselines(const std::string &place, int threads, Data data, const Outputs &outputs);
  std::string check_views(const std::string &place, int threads, Data data, const Outputs &outputs);
  std::string check_repeat(const std::string &place, int threads, Data data, const Outputs &outputs, Stream stream);
  // Whether this function must give the bits of Places::kReference there.
  bool same_bits_on(const std::string &place);
  const Outputs &baseline(const std::string &place, Data data);

  Places &places_;
  const Function &function_;
  const Problem problem_;
  const uint64_t seed_;
  std::map<Data, Inputs> inputs_;
  std::map<std::pair<std::string, Data>, Outputs> baselines_;  // one thread, dense
};

}  // namespace segnas::check
