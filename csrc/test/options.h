// opcheck's command line.
#pragma once
#include <cstdint>
#include <string>

namespace segnas::check {

struct Options {
  std::string op;     // a folder of csrc/ops, a function without its prefix, or "session"; "": all
  int64_t row = -1;   // of the case table; -1: all
  int64_t every = 1;  // of all rows, each so manieth
  int64_t jobs = 1;   // processes
  int64_t draw = -1;  // the number of a drawn case; -1: the table's
  std::string isa;    // "": all
  int threads = 0;    // 0: 1, 2 and 3
  uint64_t seed = 1;
  double fuzz_seconds = 0;
  std::string backend = "cpu";  // or a plug-in's name
  std::string plugin_dir;       // where to look for it; "": the lib folder beside the program's
  std::string only;     // a section: "cases", "sessions", "gradients", "refusals"; "": all
  std::string support;  // the golden file of the support matrix
  bool write_support = false;
  bool list = false;
  bool help = false;

  // Whether everything runs: then the support matrix is complete.
  bool unfiltered() const { return op.empty() && row < 0 && draw < 0 && isa.empty() && threads == 0 && only.empty() && every == 1; }
  bool wants(const std::string &section) const { return only.empty() || only == section; }
};

// Throws std::invalid_argument with one line that says what is wrong.
Options parse_options(int count, char **words);
extern const char kUsage[];

}  // namespace segnas::check
