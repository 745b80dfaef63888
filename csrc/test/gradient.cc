#include "gradient.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace segnas::check {
namespace {
constexpr double kTolerance = 1e-6;  // of the gradient's largest element
}

double dot(const std::vector<double> &a, const std::vector<double> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

std::vector<double> GradientProof::draw(int64_t count, double low, double high) {
  Random random(mix(mix(seed_, "gradient"), draws_++));
  std::vector<double> values(static_cast<size_t>(count));
  for (double &v : values) v = random.uniform(low, high);
  return values;
}

void GradientProof::check(const std::string &name, const std::function<double(const std::vector<double> &)> &loss, std::vector<double> at,
                          const std::vector<double> &gradient, double step) {
  double largest = 1e-3;
  for (double g : gradient) largest = std::max(largest, std::fabs(g));
  bool wrong = gradient.size() != at.size();
  char text[200] = "the gradient has another size";
  for (size_t i = 0; i < at.size() && !wrong; i++) {
    double middle = at[i];
    at[i] = middle + step;
    double above = loss(at);
    at[i] = middle - step;
    double below = loss(at);
    at[i] = middle;
    double difference = (above - below) / (2 * step);
    wrong = !(std::fabs(difference - gradient[i]) <= kTolerance * largest);
    std::snprintf(text, sizeof text, "element %zu is %.9g, central difference %.9g", i, gradient[i], difference);
  }
  if (wrong) {
    report_.fail("gradients", "reference of " + name + ": " + text, "opcheck --only gradients --seed " + std::to_string(seed_));
  } else {
    report_.pass("gradients");
  }
}

}  // namespace segnas::check
