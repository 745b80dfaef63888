// Where a problem can run: the CPU's instruction sets, each with contexts of 1, 2 and 3 threads, or the first device of a plug-in.
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
  std::string name;     // "scalar", "avx2", "avx512", "neon", "wide"; or the plug-in's, "sim", "cuda"
  std::string missing;  // why it cannot run here; "" when it can
};

constexpr int kThreadCounts[] = {1, 2, 3};

// How a command line of opcheck names a place: "--isa avx2", "--backend sim".
std::string place_option(const std::string &place);

class Places {
 public:
  // backend: "cpu", or the name of a plug-in, looked for in plugin_dir first. Throws LibraryError when it has no device here.
  explicit Places(const std::string &backend, const std::string &plugin_dir = "");
  ~Places();
  Places(const Places &) = delete;
  Places &operator=(const Places &) = delete;

  const std::vector<Place> &all() const { return places_; }
  // The place that functions with the same bits everywhere are compared with: on the CPU, whatever the backend.
  static constexpr const char *kReference = "scalar";
  // How many threads the contexts are worth having: on a device they have no part in the work.
  std::vector<int> thread_counts() const;
  // Made at the first use, kept. Throws LibraryError.
  segnas_context *context(const std::string &place, int threads);
  static Stream stream(segnas_context *context);

 private:
  segnas_context *make_context(const std::string &place, int threads) const;

  const std::string plugin_dir_;
  std::vector<Place> places_;
  std::map<std::pair<std::string, int>, segnas_context *> contexts_;
};

}  // namespace segnas::check
