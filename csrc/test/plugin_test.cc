// The plug-in loader against plug-ins that are missing, faulty or good, in words and places.
//
//   plugin_test PLUGINS EMPTY
//
// PLUGINS holds the builds of plugin_fake.c, one a fault; EMPTY is an empty folder; a good one, "beside", lies beside this program. The
// working directory is PLUGINS, where nothing may be found. Last line: "N passed, N failed".
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../core/plugin.h"

namespace {

int passed = 0;
int failed = 0;

void expect(bool holds, const std::string &property, const std::string &seen) {
  (holds ? passed : failed)++;
  if (!holds) std::printf("plugin_test: %s; seen: %s\n", property.c_str(), seen.c_str());
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

std::string refusal(const char *name, const char *folder) {
  char text[512];
  return segnas::load_backend(name, folder, text, sizeof text) ? "loaded" : text;
}

std::string description(const char *name, const char *folder) {
  char text[2048];
  segnas::describe_backend(name, folder, text, sizeof text);
  return text;
}

void faults_are_refused_in_words(const std::string &plugins) {
  const struct {
    const char *name;
    const char *words;
  } faults[] = {
      {"version", "interface version"}, {"size", "its table has"},       {"ops_size", "table of operations has"},
      {"hash", "built with interface"}, {"named_other", "calls itself"}, {"refuses", "the fake driver is too old"},
      {"lacks_open", "lacks a device"}, {"no_entry", "has no function"}, {"not_a_library", "libsegnas_not_a_library.so"},
      {"../evil", "a backend's name"},  {"", "a backend's name"},        {"Fake", "a backend's name"},
  };
  for (const auto &fault : faults) {
    std::string seen = refusal(fault.name, plugins.c_str());
    expect(contains(seen, fault.words), std::string("plug-in \"") + fault.name + "\" should be refused with \"" + fault.words + "\"", seen);
  }
}

void the_places_are_searched_in_order(const std::string &plugins, const std::string &empty) {
  std::string seen = refusal("good", empty.c_str());
  expect(contains(seen, "no libsegnas_good.so in " + empty + " (plugin_dir)"), "a missing plug-in should name the folders", seen);
  expect(contains(seen, "(beside plugin_test)"), "the program's folder should be among them", seen);
  seen = refusal("good", ".");
  expect(contains(seen, "absolute"), "the working directory should not be searched by plugin_dir", seen);
  seen = refusal("good", nullptr);
  expect(contains(seen, "no libsegnas_good.so"), "the working directory should not be searched unasked", seen);
  setenv("SEGNAS_PLUGIN_DIR", ".", 1);
  seen = refusal("good", nullptr);
  expect(contains(seen, "absolute"), "the working directory should not be searched by SEGNAS_PLUGIN_DIR", seen);
  setenv("SEGNAS_PLUGIN_DIR", plugins.c_str(), 1);
  seen = refusal("good", empty.c_str());
  expect(seen == "loaded", "SEGNAS_PLUGIN_DIR should be searched after plugin_dir", seen);
  unsetenv("SEGNAS_PLUGIN_DIR");
  seen = refusal("beside", nullptr);
  expect(seen == "loaded", "the program's folder should be searched", seen);
}

void a_backend_is_described(const std::string &plugins, const std::string &empty) {
  std::string seen = description("good", plugins.c_str());
  expect(contains(seen, "good: 1 device\n  good:0 Fake 0\n"), "a good plug-in's devices should be listed", seen);
  expect(contains(seen, "plugin_dir: " + plugins + ": found\n"), "its place should be named", seen);
  seen = description("none", plugins.c_str());
  expect(contains(seen, "none: no device: the fake driver sleeps\n"), "no device: the plug-in's own words", seen);
  seen = description("version", plugins.c_str());
  expect(contains(seen, "version: refused " + plugins), "a refused plug-in should be named with its file", seen);
  seen = description("good", empty.c_str());
  expect(contains(seen, "good: no plug-in\n"), "a missing plug-in should be described", seen);
  char cut[40];
  segnas::describe_backend("good", plugins.c_str(), cut, sizeof cut);
  expect(std::strlen(cut) == sizeof cut - 1 && contains(cut, "..."), "a text that does not fit should end with ...", cut);
}

void a_plugin_is_opened_once(const std::string &plugins) {
  std::vector<const segnas_backend *> seen(8);
  std::vector<std::thread> threads;
  for (auto &backend : seen) {
    threads.emplace_back([&] {
      char text[256];
      backend = segnas::load_backend("threads", plugins.c_str(), text, sizeof text);
    });
  }
  for (auto &thread : threads) thread.join();
  bool same = seen[0] != nullptr;
  for (const segnas_backend *backend : seen) same = same && backend == seen[0];
  expect(same, "8 threads should get one and the same table", seen[0] ? "different tables" : "none");
}

void a_context_runs_on_a_plugin(const std::string &plugins) {
  segnas_context_options options = {sizeof options, 2, "good:0", nullptr, plugins.c_str()};
  segnas_context *context = nullptr;
  segnas_stream *stream = nullptr;
  segnas_buffer *buffer = nullptr;
  segnas_error err = {};
  segnas_context_create(&options, &context, &err);
  expect(context != nullptr, "a context should open on a plug-in's device", err.text);
  if (!context) return;
  expect(std::string(segnas_context_device(context)) == "Fake 0", "the device should have the plug-in's name", segnas_context_device(context));
  float seen[12];
  bool made = segnas_stream_create(context, &stream, &err) == SEGNAS_OK && segnas_buffer_create(context, sizeof seen, &buffer, &err) == SEGNAS_OK;
  segnas_tensor x = {buffer, 1, SEGNAS_F32, 2, {3, 2}, {4, 1}};
  made = made && segnas_fill(stream, &x, 2.5f, &err) == SEGNAS_OK && segnas_buffer_read(stream, buffer, 0, seen, sizeof seen, &err) == SEGNAS_OK;
  expect(made, "buffers and operations should work on a plug-in", err.text);
  bool right = made;
  for (int i = 0; made && i < 12; i++) right = right && seen[i] == (i % 4 == 1 || i % 4 == 2 ? 2.5f : 0.0f);
  expect(right, "a plug-in's operation should write its view and nothing else", "other values");
  if (made) {
    expect(segnas_buffer_host(buffer) == nullptr, "a plug-in's memory has no host address", "an address");
    segnas_status status = segnas_relu_forward(stream, &x, &x, &err);
    expect(status == SEGNAS_NO_KERNEL, "an operation that a plug-in lacks should be refused by a status of its own", err.text);
  }
  segnas_buffer_destroy(buffer);
  segnas_stream_destroy(stream);
  segnas_context_destroy(context);
}

void missing_devices_are_refused(const std::string &plugins) {
  const struct {
    const char *device;
    segnas_status status;
    const char *words;
  } cases[] = {
      {"good:1", SEGNAS_BACKEND_MISSING, "good:1"},     {"none:0", SEGNAS_BACKEND_MISSING, "the fake driver sleeps"},
      {"version:0", SEGNAS_BACKEND_MISSING, "version"}, {"absent:0", SEGNAS_BACKEND_MISSING, "no libsegnas_absent.so"},
      {"good:x", SEGNAS_INVALID_ARGUMENT, "good:x"},    {":", SEGNAS_INVALID_ARGUMENT, "NAME:NUMBER"},
  };
  for (const auto &c : cases) {
    segnas_context_options options = {sizeof options, 1, c.device, nullptr, plugins.c_str()};
    segnas_context *context = nullptr;
    segnas_error err = {};
    segnas_status status = segnas_context_create(&options, &context, &err);
    expect(status == c.status && !context && contains(err.text, c.words), std::string("device ") + c.device + " should be refused", err.text);
    segnas_context_destroy(context);
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3 || chdir(argv[1]) != 0) {
    std::fprintf(stderr, "usage: plugin_test PLUGINS EMPTY (absolute folders)\n");
    return 2;
  }
  unsetenv("SEGNAS_PLUGIN_DIR");
  faults_are_refused_in_words(argv[1]);
  the_places_are_searched_in_order(argv[1], argv[2]);
  a_backend_is_described(argv[1], argv[2]);
  a_plugin_is_opened_once(argv[1]);
  a_context_runs_on_a_plugin(argv[1]);
  missing_devices_are_refused(argv[1]);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
