#include "report.h"

#include <cstdio>
#include <sstream>

namespace segnas::check {

Report::Count &Report::at(const std::string &group) {
  if (!counts_.count(group)) order_.push_back(group);
  return counts_[group];
}

void Report::fail(const std::string &group, const std::string &what, const std::string &repeat) {
  at(group).failed++;
  progress("");
  std::printf("FAIL %s | %s\n", what.c_str(), repeat.c_str());
  std::fflush(stdout);
}

void Report::progress(const std::string &text) {
  if (progress_) std::fprintf(stderr, "\r\033[K%s", text.c_str());
}

std::string Report::text() const {
  std::ostringstream text;
  for (const std::string &group : order_) {
    const Count &count = counts_.at(group);
    text << group << ' ' << count.passed << ' ' << count.failed << ' ' << count.skipped << ' ' << count.reason << '\n';
  }
  return text.str();
}

void Report::add(const std::string &text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string group;
    Count more;
    words >> group >> more.passed >> more.failed >> more.skipped >> std::ws;
    std::getline(words, more.reason);
    Count &count = at(group);
    count.passed += more.passed;
    count.failed += more.failed;
    count.skipped += more.skipped;
    if (more.skipped) count.reason = more.reason;
  }
}

int Report::finish() {
  progress("");
  Count all;
  for (const std::string &group : order_) {
    const Count &count = counts_[group];
    std::printf("%-10s %6ld passed, %ld failed, %ld skipped%s%s\n", group.c_str(), count.passed, count.failed, count.skipped,
                count.skipped ? ": " : "", count.skipped ? count.reason.c_str() : "");
    all.passed += count.passed;
    all.failed += count.failed;
    all.skipped += count.skipped;
  }
  std::printf("%ld passed, %ld failed, %ld skipped\n", all.passed, all.failed, all.skipped);
  return all.failed ? 1 : 0;
}

}  // namespace segnas::check
