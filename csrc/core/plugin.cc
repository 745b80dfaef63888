#include "plugin.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <link.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "../../gobind/stamp.h"
#include "context.h"
#include "memory.h"

namespace segnas {
namespace {

// ---------------------------------------------------------------- what the host lends

void host_parallel_for(void *host_context, int64_t pieces, void (*body)(void *argument, int64_t i), void *argument) {
  static_cast<segnas_context *>(host_context)->pool->run(pieces, [&](int64_t piece, int) { body(argument, piece); });
}

constexpr segnas_host plugin_host = {
    sizeof(segnas_host),   SEGNAS_BACKEND_VERSION,
    SEGNAS_INTERFACE_HASH, [](const char *) {},  // segnas.h has no way to listen, and the library prints nothing by itself
    allocate_zeroed,       release,
    host_parallel_for,
};

// ---------------------------------------------------------------- where to look

struct PluginPlace {
  std::string folder;       // empty: there is nothing to look into
  std::string source;       // where the folder's name comes from, for the user
  std::string passed_over;  // why the folder is not looked into; empty: it is
};

std::string folder_of(const std::string &path) { return path.substr(0, path.rfind('/')); }

#if defined(__linux__)
// The file that holds this very function. The program itself is asked of the kernel: its name in the loader's list is argv[0], which
// may be relative and is whatever the caller made it.
std::string holding_file() {
  struct Search {
    ElfW(Addr) address;
    int visited;
    std::string path;
  } search = {reinterpret_cast<ElfW(Addr)>(&holding_file), 0, ""};
  dl_iterate_phdr(
      [](dl_phdr_info *object, size_t, void *argument) {
        Search &s = *static_cast<Search *>(argument);
        bool is_program = s.visited++ == 0;
        for (int i = 0; i < object->dlpi_phnum; i++) {
          const auto &segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || s.address - (object->dlpi_addr + segment.p_vaddr) >= segment.p_memsz) continue;
          s.path = is_program ? "/proc/self/exe" : object->dlpi_name;
          return 1;
        }
        return 0;
      },
      &search);
  if (search.path != "/proc/self/exe") return search.path;
  char program[4096];
  ssize_t length = readlink(search.path.c_str(), program, sizeof program);
  return length > 0 && length < static_cast<ssize_t>(sizeof program) ? std::string(program, static_cast<size_t>(length)) : "";
}
#else
std::string holding_file() {
  Dl_info info;
  return dladdr(reinterpret_cast<const void *>(&holding_file), &info) && info.dli_fname ? info.dli_fname : "";
}
#endif

PluginPlace named_place(const char *folder, const char *source) {
  if (!folder || !*folder) return {"", source, "not set"};
  if (folder[0] != '/') return {folder, source, "not searched: should be an absolute path"};
  return {folder, source, ""};
}

std::vector<PluginPlace> plugin_places(const char *plugin_dir) {
  std::vector<PluginPlace> places = {named_place(plugin_dir, "plugin_dir"), named_place(getenv("SEGNAS_PLUGIN_DIR"), "SEGNAS_PLUGIN_DIR")};
  std::string file = holding_file();
  // A library that was opened by a relative path: where that led is no longer known.
  if (!file.empty() && file[0] == '/') places.push_back({folder_of(file), "beside " + file.substr(file.rfind('/') + 1), ""});
#if defined(SEGNAS_SEARCH_SOURCE_TREE)
  // This file as the compiler was given it: .../csrc/core/plugin.cc. Where there is no such tree, the program has been moved away from it.
  std::string here = __FILE__;
  char *tree = here[0] == '/' ? realpath(folder_of(folder_of(folder_of(here))).c_str(), nullptr) : nullptr;
  if (tree) places.push_back({std::string(tree) + "/build/lib", "build folder", ""});
  free(tree);
#endif
  return places;
}

bool is_backend_name(const char *name) { return name && *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name); }

bool is_file(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// ---------------------------------------------------------------- opening and checking

struct OpenedPlugin {
  const segnas_backend *backend = nullptr;
  std::string refusal;  // why not, when backend is nullptr
};

std::string hexadecimal(uint64_t value) {
  char digits[17];
  snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

// What does not fit between this library and a plug-in's table; empty: nothing. Version first: what lies behind it in the table means
// something only when that agrees.
std::string misfit(const segnas_backend &b, const std::string &name) {
  if (b.version != SEGNAS_BACKEND_VERSION)
    return "it speaks interface version " + std::to_string(b.version) + ", this libsegnas version " + std::to_string(SEGNAS_BACKEND_VERSION);
  if (b.size != sizeof(segnas_backend))
    return "its table has " + std::to_string(b.size) + " bytes, should be " + std::to_string(sizeof(segnas_backend));
  if (b.interface_hash != SEGNAS_INTERFACE_HASH)
    return "it was built with interface " + hexadecimal(b.interface_hash) + ", this libsegnas with " + hexadecimal(SEGNAS_INTERFACE_HASH) +
           "; build both from one version";
  if (b.ops.size != sizeof(segnas_backend_ops))
    return "its table of operations has " + std::to_string(b.ops.size) + " bytes, should be " + std::to_string(sizeof(segnas_backend_ops));
  if (!b.name || name != b.name) return std::string("it calls itself \"") + (b.name ? b.name : "") + "\"";
  if (!b.device_count || !b.device_describe || !b.device_open || !b.device_close || !b.stream_create || !b.stream_destroy || !b.stream_synchronize ||
      !b.stream_scratch_bytes || !b.buffer_create || !b.buffer_destroy || !b.buffer_write || !b.buffer_read)
    return "its table lacks a device, stream or buffer function";
  const bool sessions = b.session_create != nullptr;
  if (sessions != !!b.device_precision || sessions != !!b.session_destroy || sessions != !!b.session_run) return "its table lacks a session function";
  return "";
}

OpenedPlugin open_plugin(const std::string &path, const std::string &name) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    return {nullptr, why ? why : "it cannot be opened"};
  }
  auto entry = reinterpret_cast<segnas_backend_open_function>(dlsym(library, SEGNAS_BACKEND_ENTRY));
  if (!entry) return {nullptr, "it has no function " SEGNAS_BACKEND_ENTRY};
  char text[400] = "";
  const segnas_backend *backend = entry(&plugin_host, text, sizeof text);
  text[sizeof text - 1] = 0;
  if (!backend) return {nullptr, text[0] ? text : "it refused without a word"};
  std::string refusal = misfit(*backend, name);
  return refusal.empty() ? OpenedPlugin{backend, ""} : OpenedPlugin{nullptr, refusal};
}

// Every file is opened at most once in the process's life; the list is never destroyed, because code of a plug-in may run to the end.
const OpenedPlugin &opened_plugin(const std::string &path, const std::string &name) {
  static std::mutex mutex;
  static auto *opened = new std::map<std::string, OpenedPlugin>;
  std::lock_guard<std::mutex> lock(mutex);
  auto found = opened->find(path);
  if (found == opened->end()) found = opened->emplace(path, open_plugin(path, name)).first;
  return found->second;
}

// ---------------------------------------------------------------- what the caller gets

// Copies what fits; a text that was cut ends with "...".
void write_text(const std::string &from, char *text, size_t text_bytes) {
  if (text_bytes == 0) return;
  size_t length = from.size() < text_bytes ? from.size() : text_bytes - 1;
  memcpy(text, from.data(), length);
  text[length] = 0;
  if (length < from.size() && length >= 3) memcpy(text + length - 3, "...", 3);
}

std::string first_plugin(const std::vector<PluginPlace> &places, const std::string &name) {
  for (const PluginPlace &place : places) {
    std::string path = place.folder + "/libsegnas_" + name + ".so";
    if (place.passed_over.empty() && is_file(path)) return path;
  }
  return "";
}

std::string not_found(const std::vector<PluginPlace> &places, const std::string &name) {
  std::string text = name + ": no libsegnas_" + name + ".so in";
  const char *separator = " ";
  for (const PluginPlace &place : places) {
    if (place.folder.empty()) continue;
    text += separator + place.folder + " (" + place.source + (place.passed_over.empty() ? "" : ", " + place.passed_over) + ")";
    separator = ", ";
  }
  return separator[0] == ' ' ? text + " any folder; SEGNAS_PLUGIN_DIR may name one" : text;
}

std::string describe_places(const std::vector<PluginPlace> &places, const std::string &name, const std::string &found) {
  std::string text;
  bool decided = false;
  for (const PluginPlace &place : places) {
    std::string path = place.folder + "/libsegnas_" + name + ".so";
    std::string outcome = place.passed_over.empty() ? (path == found ? "found" : "no libsegnas_" + name + ".so") : place.passed_over;
    if (decided && place.passed_over.empty()) outcome = "not needed";
    decided = decided || path == found;
    text += "  " + place.source + ": " + place.folder + (place.folder.empty() ? "" : ": ") + outcome + "\n";
  }
  return text;
}

std::string describe_devices(const segnas_backend &backend, const std::string &name) {
  char words[400] = "";
  int32_t count = backend.device_count(words, sizeof words);
  if (count < 1) return name + ": no device: " + words + "\n";
  std::string text = name + ": " + std::to_string(count) + (count == 1 ? " device\n" : " devices\n");
  for (int32_t i = 0; i < count; i++) {
    words[0] = 0;
    backend.device_describe(i, words, sizeof words);
    text += "  " + name + ":" + std::to_string(i) + " " + words + "\n";
  }
  return text;
}

std::string describe(const std::string &name, const char *plugin_dir) {
  std::vector<PluginPlace> places = plugin_places(plugin_dir);
  std::string path = first_plugin(places, name);
  if (path.empty()) return name + ": no plug-in\n" + describe_places(places, name, path);
  const OpenedPlugin &plugin = opened_plugin(path, name);
  std::string text = plugin.backend ? describe_devices(*plugin.backend, name) : name + ": refused " + path + ": " + plugin.refusal + "\n";
  return text + describe_places(places, name, path);
}

}  // namespace

const segnas_backend *load_backend(const char *name, const char *plugin_dir, char *text, size_t text_bytes) {
  try {
    if (!is_backend_name(name)) {
      write_text("a backend's name should be lower-case letters, digits and underscores, such as cuda", text, text_bytes);
      return nullptr;
    }
    std::vector<PluginPlace> places = plugin_places(plugin_dir);
    std::string path = first_plugin(places, name);
    if (path.empty()) {
      write_text(not_found(places, name), text, text_bytes);
      return nullptr;
    }
    const OpenedPlugin &plugin = opened_plugin(path, name);
    write_text(plugin.backend ? "" : std::string(name) + ": " + path + ": " + plugin.refusal, text, text_bytes);
    return plugin.backend;
  } catch (const std::bad_alloc &) {
    if (text_bytes > 0) snprintf(text, text_bytes, "no memory to open a plug-in");
    return nullptr;
  }
}

void describe_backend(const char *name, const char *plugin_dir, char *text, size_t text_bytes) {
  try {
    write_text(describe(name, plugin_dir), text, text_bytes);
  } catch (const std::bad_alloc &) {
    if (text_bytes > 0) snprintf(text, text_bytes, "no memory to look for a plug-in\n");
  }
}

}  // namespace segnas
