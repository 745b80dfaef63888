// What every function must refuse: broken tensors, sizes that do not fit, scalars out of range. A refusal has a status and a text, and
// leaves the outputs alone.
#pragma once
#include "places.h"
#include "problem.h"
#include "report.h"

namespace segnas::check {

// Breaks row 0 of the function's case table in every way. Counts in the group "refusals".
void check_refusals(Places &places, const std::string &place, const Function &function, uint64_t seed, Report &report);

}  // namespace segnas::check
