// The built plug-in on a machine without a device: it loads, says why it has none, and refuses a host of another interface in words.
//
//   load_test PLUGIN [LIBSEGNAS]
//
// With LIBSEGNAS the library's own words are tested too: for the plug-in, and for a copy of it whose interface hash is another one.
// Devices are hidden from the driver, so that the outcome is the same where there are some. Last line: "N passed, N failed".
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../../csrc/include/segnas/backend.h"
#include "../../gobind/stamp.h"

namespace {

int passed = 0;
int failed = 0;

void expect(bool holds, const std::string &property, const std::string &seen) {
  (holds ? passed : failed)++;
  if (!holds) std::printf("load_test: %s; seen: %s\n", property.c_str(), seen.c_str());
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

segnas_host host() {
  segnas_host h = {};
  h.size = sizeof h;
  h.version = SEGNAS_BACKEND_VERSION;
  h.interface_hash = SEGNAS_INTERFACE_HASH;
  h.log = [](const char *) {};
  h.allocate = [](size_t bytes) { return std::calloc(1, bytes); };
  h.release = [](void *memory, size_t) { std::free(memory); };
  h.parallel_for = [](void *, int64_t pieces, void (*body)(void *, int64_t), void *argument) {
    for (int64_t i = 0; i < pieces; i++) body(argument, i);
  };
  return h;
}

void other_hosts_are_refused(segnas_backend_open_function open) {
  segnas_host version = host(), size = host(), hash = host();
  version.version++;
  size.size -= 8;
  hash.interface_hash ^= 1;
  const struct {
    const segnas_host *host;
    const char *words;
  } faults[] = {{&version, "interface version"}, {&size, "the host's table has"}, {&hash, "the host was built with interface"}, {nullptr, "lends nothing"}};
  for (const auto &fault : faults) {
    char text[400] = "";
    const segnas_backend *backend = open(fault.host, text, sizeof text);
    expect(!backend && contains(text, fault.words), std::string("a host should be refused with \"") + fault.words + "\"", text);
  }
  char cut[12];
  open(&version, cut, sizeof cut);
  expect(std::strlen(cut) == sizeof cut - 1, "a refusal should be cut where the host's text ends", cut);
}

void a_table_without_devices(segnas_backend_open_function open) {
  segnas_host own = host();
  char text[400] = "";
  const segnas_backend *backend = open(&own, text, sizeof text);
  expect(backend != nullptr, "a host of the same interface should get the table", text);
  if (!backend) return;
  expect(backend->size == sizeof *backend && backend->ops.size == sizeof backend->ops && backend->interface_hash == SEGNAS_INTERFACE_HASH,
         "the table should carry sizes and hash", "others");
  expect(std::string(backend->name) == "cuda", "the backend should be called cuda", backend->name);
  expect(backend->device_count(text, sizeof text) == 0 && contains(text, "CUDA"), "no device: in the driver's words", text);
  std::printf("device_count: 0: %s\n", text);
  void *device = nullptr;
  segnas_error err = {};
  expect(backend->device_open(0, nullptr, &device, &err) != SEGNAS_OK && !device && err.text[0], "a device that is not there should not open", err.text);
  backend->device_describe(0, text, sizeof text);
  expect(text[0] != 0, "a device that is not there should be described by the error", text);
}

std::string described(void *libsegnas, const std::string &folder) {
  auto describe = reinterpret_cast<void (*)(const char *, char *, size_t)>(dlsym(libsegnas, "segnas_describe_backends"));
  char text[2048] = "no segnas_describe_backends";
  if (describe) describe(folder.c_str(), text, sizeof text);
  return text;
}

// The plug-in as a build of another interface would be: its hash is another one wherever it stands.
bool write_with_other_hash(const std::string &plugin, const std::string &copy) {
  std::ifstream in(plugin, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const uint64_t hash = SEGNAS_INTERFACE_HASH, other = hash ^ 1;
  const std::string from(reinterpret_cast<const char *>(&hash), sizeof hash), to(reinterpret_cast<const char *>(&other), sizeof other);
  int replaced = 0;
  for (size_t at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at)) {
    bytes.replace(at, from.size(), to);
    replaced++;
  }
  std::ofstream out(copy, std::ios::binary);
  out << bytes;
  return replaced > 0 && out.flush();
}

void the_library_says_it(const std::string &plugin, const char *path) {
  void *libsegnas = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  expect(libsegnas != nullptr, "libsegnas should open", libsegnas ? "" : dlerror());
  if (!libsegnas) return;
  std::string seen = described(libsegnas, plugin.substr(0, plugin.rfind('/')));
  expect(contains(seen, "cuda: no device: ") && contains(seen, "CUDA"), "the library should say why there is no device", seen);
  std::printf("%s", seen.c_str());

  std::string folder = std::filesystem::temp_directory_path().string() + "/segnas_load_test_" + std::string(6, 'X');
  expect(mkdtemp(folder.data()) != nullptr, "a folder for the other build", folder);
  const std::string copy = folder + "/libsegnas_cuda.so";
  expect(write_with_other_hash(plugin, copy), "the plug-in should hold its interface's hash", copy);
  seen = described(libsegnas, folder);
  expect(contains(seen, "cuda: refused " + copy) && contains(seen, "built with interface"), "a plug-in of another interface should be refused in words", seen);
  std::printf("%s", seen.c_str());
  std::filesystem::remove_all(folder);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 2 || argv[1][0] != '/') {
    std::fprintf(stderr, "usage: load_test PLUGIN [LIBSEGNAS] (absolute paths)\n");
    return 2;
  }
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  expect(plugin != nullptr, "the plug-in should open without a driver", plugin ? "" : dlerror());
  auto open = plugin ? reinterpret_cast<segnas_backend_open_function>(dlsym(plugin, SEGNAS_BACKEND_ENTRY)) : nullptr;
  expect(open != nullptr, "the plug-in should have its entry", "none");
  if (open) {
    other_hosts_are_refused(open);
    a_table_without_devices(open);
  }
  if (argc > 2) the_library_says_it(argv[1], argv[2]);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
