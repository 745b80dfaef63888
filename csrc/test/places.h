// Where a problem can run: the instruction sets of a backend, each with contexts of 1, 2 and 3 threads.
#pragma once
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../include/segnas/segnas.h"

namespace segnas::check {

// A call that the harness itself needed has failed.
struct LibraryError : std::runtime_error {
  LibraryError(const char *what, const segnas_error &err) : std::runtime_error(std::string(what) + ": " + err.text), status(err.status) {}
  segnas_status status;
};

struct StreamDestroy {
  void operator()(segnas_stream *stream) const { segnas_stream_destroy(stream); }
};
using Stream = std::unique_ptr<segnas_stream, StreamDestroy>;

struct Place {
  std::string name;     // "scalar", "avx2", "avx512", "wide"
  std::string missing;  // why it cannot run here; "" when it can
};

constexpr int kThreadCounts[] = {1, 2, 3};

class Places {
 public:
  // Throws std::runtime_error for a backend that opcheck does not know.
  explicit Places(const std::string &backend);
  ~Places();
  Places(const Places &) = delete;
  Places &operator=(const Places &) = delete;

  const std::vector<Place> &all() const { return places_; }
  // Made at the first use, kept. Throws LibraryError.
  segnas_context *context(const std::string &place, int threads);
  static Stream stream(segnas_context *context);

 private:
  std::vector<Place> places_;
  std::map<std::pair<std::string, int>, segnas_context *> contexts_;
};

}  // namespace segnas::check
