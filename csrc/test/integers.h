// Sessions in integer arithmetic, on every instruction set and number of threads or on a plug-in, against segnas.h's formulas and the plain C++ ones: bit for bit.
#pragma once
#include "network.h"
#include "places.h"
#include "report.h"

namespace segnas::check {

constexpr int64_t kIntegerCases = 60;

// A small network as searched ones are: a stem in float32, behind it blocks, a detail branch, a fuse and a head in integers. Bit widths, kernels, strides and
// sizes from random; the steps of values fit what flows through it, some of them cut. The picture as bytes is the input itself, to the bit.
Network draw_integer_network(Random &random);

class IntegerRunner {
 public:
  IntegerRunner(Places &places, int64_t number, uint64_t seed);

  const std::string &text() const { return network_.text; }
  // "" or what is wrong.
  std::string run(const std::string &place, int threads);

 private:
  Places &places_;
  Network network_;
  std::vector<uint8_t> reference_;  // what Places::kReference makes of it
};

// Layers that integer arithmetic must refuse. Counts in the group "refusals".
void check_integer_refusals(Places &places, const std::string &place, uint64_t seed, Report &report);

}  // namespace segnas::check
