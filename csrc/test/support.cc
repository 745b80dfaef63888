#include "support.h"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "places.h"

namespace segnas::check {

void SupportMatrix::record(const std::string &function, const std::string &place, bool supported) {
  ran_[function].insert(place);
  if (supported) supported_[function].insert(place);
}

std::string SupportMatrix::text() const {
  std::ostringstream text;
  for (const auto &[function, places] : ran_)
    for (const std::string &place : places) {
      auto works = supported_.find(function);
      text << function << ' ' << place << ' ' << (works != supported_.end() && works->second.count(place)) << '\n';
    }
  return text.str();
}

void SupportMatrix::add(const std::string &text) {
  std::istringstream words(text);
  std::string function, place;
  for (bool supported; words >> function >> place >> supported;) record(function, place, supported);
}

SupportMatrix::Cells SupportMatrix::read(const std::string &golden_file) {
  Cells cells;
  std::ifstream file(golden_file);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string function, place;
    words >> function;
    while (words >> place) cells[function].insert(place);
  }
  return cells;
}

void SupportMatrix::compare(const std::string &golden_file, Report &report) const {
  Cells golden = read(golden_file);
  if (golden.empty()) return report.fail("support", golden_file + " is not there or empty", "opcheck --support FILE --write-support");
  std::set<std::string> ran_here;
  for (const auto &[function, places] : ran_) ran_here.insert(places.begin(), places.end());
  for (const auto &[function, places] : golden)
    for (const std::string &place : places) {
      if (!ran_here.count(place)) continue;
      auto works = supported_.find(function);
      if (works != supported_.end() && works->second.count(place)) {
        report.pass("support");
      } else {
        report.fail("support", function + " no longer runs on " + place, "opcheck --op " + function + " " + place_option(place));
      }
    }
  for (const auto &[function, places] : supported_)
    for (const std::string &place : places)
      if (!golden[function].count(place))
        std::printf("new in the support matrix: %s on %s (add it with --write-support)\n", function.c_str(), place.c_str());
}

void SupportMatrix::write(const std::string &golden_file) const {
  Cells cells = read(golden_file);
  for (const auto &[function, places] : ran_)
    for (const std::string &place : places) cells[function].erase(place);
  for (const auto &[function, places] : supported_) cells[function].insert(places.begin(), places.end());
  std::ofstream file(golden_file);
  for (const auto &[function, places] : cells) {
    if (places.empty()) continue;
    file << function;
    for (const std::string &place : places) file << ' ' << place;
    file << '\n';
  }
  if (!file.flush()) throw std::runtime_error("cannot write " + golden_file);
}

}  // namespace segnas::check
