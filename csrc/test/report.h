// Counts and failure lines of an opcheck run.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace segnas::check {

class Report {
 public:
  explicit Report(bool progress) : progress_(progress) {}

  void pass(const std::string &group) { at(group).passed++; }
  // Prints what failed and the command that repeats it, in one line on stdout.
  void fail(const std::string &group, const std::string &what, const std::string &repeat);
  void skip(const std::string &group, const std::string &reason) {
    at(group).skipped++;
    at(group).reason = reason;
  }
  // One line on stderr when it is a terminal.
  void progress(const std::string &text);
  // Counts as text, a line a group, and their addition to these: how shares of a run come together.
  std::string text() const;
  void add(const std::string &text);
  // Counts per group, then "N passed, N failed, N skipped". Returns the exit status.
  int finish();

 private:
  struct Count {
    long passed = 0, failed = 0, skipped = 0;
    std::string reason;
  };
  Count &at(const std::string &group);

  bool progress_;
  std::vector<std::string> order_;
  std::map<std::string, Count> counts_;
};

}  // namespace segnas::check
