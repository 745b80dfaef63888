// Finding, opening and checking plug-ins (segnas/backend.h).
//
// A plug-in libsegnas_NAME.so is looked for in the caller's plugin_dir, SEGNAS_PLUGIN_DIR, the folder of the library or program that holds
// this code, and build/lib of the source tree where the build knows it (SEGNAS_SEARCH_SOURCE_TREE); never in the working directory, so
// relative folders are passed over and named. The first file found decides: when it does not fit, no other one is used in its place.
// An opened plug-in stays open for the process's life. Any thread may call, at any time.
#pragma once
#include <cstddef>

#include "../include/segnas/backend.h"

namespace segnas {

// The table of backend `name` (lower-case letters, digits, underscores), or nullptr with one line in text that says where it was looked for
// or why it was refused. A backend may have no devices: its device_count says why. Does not throw.
const segnas_backend *load_backend(const char *name, const char *plugin_dir, char *text, size_t text_bytes);

// Writes what became of every place where backend `name` was looked for, and its devices, in lines that end with '\n'. Always
// terminated when text_bytes > 0.
void describe_backend(const char *name, const char *plugin_dir, char *text, size_t text_bytes);

}  // namespace segnas
