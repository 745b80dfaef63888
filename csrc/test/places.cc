#include "places.h"

#include <algorithm>

#include "../core/context.h"
#include "wide.h"

namespace segnas::check {
namespace {
constexpr const char *kOnCpu[] = {Places::kReference, "avx2", "avx512", "neon", "wide"};

bool on_cpu(const std::string &place) { return std::find(std::begin(kOnCpu), std::end(kOnCpu), place) != std::end(kOnCpu); }

// wide is the scalar context with another table.
std::string isa_of(const std::string &place) { return on_cpu(place) && place != "wide" ? place : Places::kReference; }
}  // namespace

std::string place_option(const std::string &place) { return (on_cpu(place) ? "--isa " : "--backend ") + place; }

segnas_context *Places::make_context(const std::string &place, int threads) const {
  segnas_context_options options = {};
  std::string isa = isa_of(place), device = on_cpu(place) ? "cpu" : place + ":0";
  options.size = sizeof options;
  options.threads = static_cast<uint32_t>(threads);
  options.device = device.c_str();
  options.isa = isa.c_str();
  options.plugin_dir = plugin_dir_.c_str();
  segnas_context *context = nullptr;
  segnas_error err;
  if (segnas_context_create(&options, &context, &err) != SEGNAS_OK) throw LibraryError("context_create", err);
  if (place == "wide") context->kernels = &wide::table;
  return context;
}

Places::Places(const std::string &backend, const std::string &plugin_dir) : plugin_dir_(plugin_dir) {
  if (backend != "cpu") {
    context(backend, 1);
    places_.push_back({backend, ""});
    return;
  }
  for (const char *name : kOnCpu) {
    Place place{name, ""};
    try {
      context(name, 1);
    } catch (const LibraryError &error) {
      place.missing = error.what();
    }
    places_.push_back(place);
  }
}

std::vector<int> Places::thread_counts() const {
  if (!on_cpu(places_.front().name)) return {kThreadCounts[0]};
  return std::vector<int>(std::begin(kThreadCounts), std::end(kThreadCounts));
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
