#include "places.h"

#include "../core/context.h"
#include "wide.h"

namespace segnas::check {
namespace {
// wide is the scalar context with another table.
std::string isa_of(const std::string &place) { return place == "wide" ? "scalar" : place; }

segnas_context *make_context(const std::string &place, int threads) {
  segnas_context_options options = {};
  std::string isa = isa_of(place);
  options.size = sizeof options;
  options.threads = static_cast<uint32_t>(threads);
  options.device = "cpu";
  options.isa = isa.c_str();
  segnas_context *context = nullptr;
  segnas_error err;
  if (segnas_context_create(&options, &context, &err) != SEGNAS_OK) throw LibraryError("context_create", err);
  if (place == "wide") context->kernels = &wide::table;
  return context;
}
}  // namespace

Places::Places(const std::string &backend) {
  if (backend != "cpu") throw std::runtime_error("no backend " + backend + "; there is: cpu");
  for (const char *name : {"scalar", "avx2", "avx512", "wide"}) {
    Place place{name, ""};
    try {
      context(name, 1);
    } catch (const LibraryError &error) {
      place.missing = error.what();
    }
    places_.push_back(place);
  }
}

Places::~Places() {
  for (auto &[key, context] : contexts_) segnas_context_destroy(context);
}

segnas_context *Places::context(const std::string &place, int threads) {
  segnas_context *&context = contexts_[{place, threads}];
  if (!context) context = make_context(place, threads);
  return context;
}

Stream Places::stream(segnas_context *context) {
  segnas_stream *stream = nullptr;
  segnas_error err;
  if (segnas_stream_create(context, &stream, &err) != SEGNAS_OK) throw LibraryError("stream_create", err);
  return Stream(stream);
}

}  // namespace segnas::check
