#include "options.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>

namespace segnas::check {
namespace {
template <class Number, class Parse>
Number parse_number(const std::string &name, const std::string &text, Parse parse) {
  size_t used = 0;
  try {
    Number number = static_cast<Number>(parse(text, &used));
    if (used == text.size()) return number;
  } catch (const std::logic_error &) {
    used = 0;
  }
  throw std::invalid_argument(name + " takes a number, not \"" + text + "\"");
}

int64_t whole(const std::string &name, const std::string &text) {
  int64_t number = parse_number<int64_t>(name, text, [](const std::string &t, size_t *used) { return std::stoll(t, used); });
  if (number < 0) throw std::invalid_argument(name + " takes a number from 0, not " + text);
  return number;
}

double seconds(const std::string &name, std::string text) {
  if (!text.empty() && text.back() == 's') text.pop_back();
  double number = parse_number<double>(name, text, [](const std::string &t, size_t *used) { return std::stod(t, used); });
  if (!(number > 0 && std::isfinite(number))) throw std::invalid_argument(name + " takes a time such as 20s, not " + text);
  return number;
}

std::string one_of(const std::string &name, const std::string &text, std::initializer_list<const char *> choices) {
  std::string all;
  for (const char *choice : choices) {
    if (text == choice) return text;
    all += std::string(all.empty() ? "" : ", ") + choice;
  }
  throw std::invalid_argument(name + " takes one of " + all + ", not \"" + text + "\"");
}
}  // namespace

const char kUsage[] =
    "opcheck: every operation of libsegnas against its double-precision reference\n"
    "  --op NAME       an op (dwconv), a function (dwconv_forward) or session\n"
    "  --case N        one row of the case table\n"
    "  --every N       each Nth row alone, where time is short\n"
    "  --jobs N        processes that share the cases (1)\n"
    "  --draw N        one case drawn from that number, as --fuzz does\n"
    "  --isa NAME      scalar, avx2, avx512, neon or wide (the 16-lane tiles in plain C++)\n"
    "  --threads N     1, 2 or 3\n"
    "  --seed N        of inputs and layouts (1)\n"
    "  --fuzz 20s      draw legal cases for that long, from the seed on\n"
    "  --backend NAME  cpu, or a plug-in's device 0: sim, cuda\n"
    "  --plugin-dir D  where the plug-in is (the folder lib beside opcheck's)\n"
    "  --only SECTION  cases, sessions, gradients or refusals\n"
    "  --support FILE  golden support matrix: its cells may not vanish\n"
    "  --write-support write that file\n"
    "  --list          the cases, and nothing run\n";

Options parse_options(int count, char **words) {
  Options options;
  const std::map<std::string, std::function<void(const std::string &, const std::string &)>> valued = {
      {"--op", [&](const std::string &, const std::string &v) { options.op = v; }},
      {"--case", [&](const std::string &n, const std::string &v) { options.row = whole(n, v); }},
      {"--every", [&](const std::string &n, const std::string &v) { options.every = std::max<int64_t>(1, whole(n, v)); }},
      {"--jobs", [&](const std::string &n, const std::string &v) { options.jobs = std::max<int64_t>(1, whole(n, v)); }},
      {"--draw", [&](const std::string &n, const std::string &v) { options.draw = whole(n, v); }},
      {"--isa", [&](const std::string &n, const std::string &v) { options.isa = one_of(n, v, {"scalar", "avx2", "avx512", "neon", "wide"}); }},
      {"--threads", [&](const std::string &n, const std::string &v) { options.threads = std::stoi(one_of(n, v, {"1", "2", "3"})); }},
      {"--seed", [&](const std::string &n, const std::string &v) { options.seed = static_cast<uint64_t>(whole(n, v)); }},
      {"--fuzz", [&](const std::string &n, const std::string &v) { options.fuzz_seconds = seconds(n, v); }},
      {"--backend", [&](const std::string &n, const std::string &v) { options.backend = one_of(n, v, {"cpu", "sim", "cuda"}); }},
      {"--plugin-dir", [&](const std::string &, const std::string &v) { options.plugin_dir = v; }},
      {"--only", [&](const std::string &n, const std::string &v) { options.only = one_of(n, v, {"cases", "sessions", "gradients", "refusals"}); }},
      {"--support", [&](const std::string &, const std::string &v) { options.support = v; }}};
  const std::map<std::string, bool *> switches = {{"--list", &options.list}, {"--write-support", &options.write_support}, {"--help", &options.help}};
  for (int i = 1; i < count; i++) {
    std::string word = words[i], value;
    size_t equals = word.find('=');
    if (equals != std::string::npos) value = word.substr(equals + 1), word = word.substr(0, equals);
    if (switches.count(word) && equals == std::string::npos) {
      *switches.at(word) = true;
      continue;
    }
    if (!valued.count(word)) throw std::invalid_argument("unknown option " + std::string(words[i]) + "; see --help");
    if (equals == std::string::npos && ++i == count) throw std::invalid_argument(word + " needs a value");
    valued.at(word)(word, equals == std::string::npos ? words[i] : value);
  }
  if (options.backend != "cpu" && !options.isa.empty()) throw std::invalid_argument("--isa chooses among the CPU's; --backend " + options.backend + " has none");
  if (options.write_support && options.support.empty()) throw std::invalid_argument("--write-support needs --support FILE");
  return options;
}

}  // namespace segnas::check
