// Which function runs on which instruction set, held to a golden file: cells may appear, not vanish.
#pragma once
#include <map>
#include <set>
#include <string>

#include "report.h"

namespace segnas::check {

class SupportMatrix {
 public:
  void record(const std::string &function, const std::string &place, bool supported);
  // What was recorded as text, a line a cell, and its addition to this: how shares of a run come together.
  std::string text() const;
  void add(const std::string &text);
  // Counts in the group "support". Cells of places that did not run here are left alone.
  void compare(const std::string &golden_file, Report &report) const;
  // Throws std::runtime_error when the file cannot be written. Cells of places that did not run are taken from the old file.
  void write(const std::string &golden_file) const;

 private:
  using Cells = std::map<std::string, std::set<std::string>>;  // function -> places
  static Cells read(const std::string &golden_file);

  Cells ran_, supported_;
};

}  // namespace segnas::check
