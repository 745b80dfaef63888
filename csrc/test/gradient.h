// Proof of the references' backward passes by central differences in double.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "random.h"
#include "report.h"

namespace segnas::check {

class GradientProof {
 public:
  GradientProof(Report &report, uint64_t seed) : report_(report), seed_(seed) {}

  // gradient must be d loss / d at, element by element. step: of the differences; the error is O(step^2) where loss is curved.
  void check(const std::string &name, const std::function<double(const std::vector<double> &)> &loss, std::vector<double> at,
             const std::vector<double> &gradient, double step = 1e-4);
  // Elements for a proof, in [low, high).
  std::vector<double> draw(int64_t count, double low = -1, double high = 1);

 private:
  Report &report_;
  uint64_t seed_;
  uint64_t draws_ = 0;
};

// sum_i a_i b_i
double dot(const std::vector<double> &a, const std::vector<double> &b);

}  // namespace segnas::check
