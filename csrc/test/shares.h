// A run in several processes at once: this one has a share of the work, and so has each of the others.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace segnas::check {

struct Share {
  int64_t number = 0, of = 1;
};

class Shares {
 public:
  // Starts the others, in which work's answer is all that comes back, beside what it prints. To be called while there is one thread.
  Shares(int64_t count, const std::function<std::string(const Share &)> &work);

  Share own() const { return {0, static_cast<int64_t>(others_.size()) + 1}; }
  // Waits for each of the others: found(its answer), or lost(a line) where it came to no end.
  void collect(const std::function<void(const std::string &)> &found, const std::function<void(const std::string &)> &lost) const;

 private:
  struct Other {
    pid_t process;
    int answer;  // the reading end of a pipe
  };
  std::vector<Other> others_;
};

}  // namespace segnas::check
