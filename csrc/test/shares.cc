#include "shares.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace segnas::check {

Shares::Shares(int64_t count, const std::function<std::string(const Share &)> &work) {
  std::fflush(nullptr);
  for (int64_t number = 1; number < count; number++) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe for another process");
    const pid_t process = fork();
    if (process < 0) throw std::runtime_error("no process beside this one; --jobs 1 needs none");
    if (process > 0) {
      close(ends[1]);
      others_.push_back({process, ends[0]});
      continue;
    }
    close(ends[0]);
    int status = 1;
    try {
      const std::string answer = work({number, count});
      size_t done = 0;
      for (ssize_t n = 0; done < answer.size() && n >= 0; done += n > 0 ? static_cast<size_t>(n) : 0) n = write(ends[1], answer.data() + done, answer.size() - done);
      status = done == answer.size() ? 0 : 1;
    } catch (const std::exception &error) {
      std::fprintf(stderr, "opcheck: %s\n", error.what());
    }
    std::fflush(nullptr);
    std::exit(status);
  }
}

void Shares::collect(const std::function<void(const std::string &)> &found, const std::function<void(const std::string &)> &lost) const {
  for (const Other &other : others_) {
    std::string answer;
    char piece[4096];
    ssize_t n = 0;
    while ((n = read(other.answer, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
      if (n > 0) answer.append(piece, static_cast<size_t>(n));
    close(other.answer);
    int status = 0;
    waitpid(other.process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) found(answer);
    else if (WIFSIGNALED(status)) lost("process " + std::to_string(other.process) + " ended by signal " + std::to_string(WTERMSIG(status)));
    else lost("process " + std::to_string(other.process) + " ended with status " + std::to_string(WEXITSTATUS(status)));
  }
}

}  // namespace segnas::check
