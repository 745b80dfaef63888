// The warp's products of ../arch/mma.h in their portable form: what they sum, in which order, who holds what, and which faults of a tile are found.
#include "../arch/mma.h"

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace segnas::gpu {
namespace {

int failures = 0;

void expect(bool holds, const char *type, const char *property, const std::string &detail = "") {
  std::printf("%s %s: %s%s%s\n", holds ? "ok  " : "FAIL", type, property, detail.empty() ? "" : ": ", detail.c_str());
  failures += !holds;
}

// "" or the fault's text, of one warp.
std::string run_warp(size_t shared_bytes, const std::function<void()> &kernel) {
  segnas_error err;
  std::function<void()> body = kernel;
  auto call = [](void *argument) { (*static_cast<std::function<void()> *>(argument))(); };
  return sim::run("mma", 1, 1, 1, kWarp, shared_bytes, call, &body, &err) == SEGNAS_OK ? "" : err.text;
}

constexpr int kRows = 16, kDepth = 16, kColumns = 16;  // two fragments of B side by side

struct Problem {
  float a[kRows][kDepth], b[kDepth][kColumns], c[kRows][kColumns];
};

Problem problem(const std::function<float()> &next) {
  Problem p;
  for (auto &row : p.a)
    for (float &v : row) v = next();
  for (auto &row : p.b)
    for (float &v : row) v = next();
  for (auto &row : p.c)
    for (float &v : row) v = next();
  return p;
}

// Numbers that are the same on every run.
struct Random {
  uint64_t state = 1;
  uint64_t next() { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; }
};

template <class T>
float stored(float v) {
  return to_float(from_float<T>(v));
}

// What the header says that a lane holds.
template <class T>
uint32_t pair_at(float low, float high) {
  return pair_of(from_float<T>(low), from_float<T>(high));
}

// c += a b through shared memory, tiles of the given pitch; both at once or one fragment of B after the other.
template <class T>
std::string multiply(const Problem &p, int pitch, bool both, float (&c)[kRows][kColumns], bool *layout = nullptr) {
  const size_t b_bytes = static_cast<size_t>(kRows * pitch) * 2;
  return run_warp(2 * b_bytes, [&, pitch, both] {
    const Shared<T> a = shared_memory<T>(0), b = shared_memory<T>(b_bytes);
    for (int e = lane(); e < 256; e += kWarp) {
      a[e / 16 * pitch + e % 16] = from_float<T>(p.a[e / 16][e % 16]);
      b[e / 16 * pitch + e % 16] = from_float<T>(p.b[e / 16][e % 16]);
    }
    warp_barrier();
    const FragmentA left = load_a(a, pitch);
    FragmentB right[2];
    if (both) {
      load_b(b, pitch, right[0], right[1]);
    } else {
      right[0] = load_b(b, pitch);
      right[1] = load_b(b + 8, pitch);
    }
    if (layout) {
      const int group = lane() / 4, place = lane() % 4;
      for (int i = 0; i < 4; i++) {
        const int row = group + i % 2 * 8, depth = 2 * place + i / 2 * 8;
        if (left.at[i] != pair_at<T>(p.a[row][depth], p.a[row][depth + 1])) *layout = false;
        const int column = group + i % 2 * 8;
        if (right[i % 2].at[i / 2] != pair_at<T>(p.b[depth][column], p.b[depth + 1][column])) *layout = false;
      }
    }
    for (int n = 0; n < 2; n++) {
      FragmentC sum;
      for (int i = 0; i < 4; i++) sum.at[i] = p.c[fragment_row(i)][8 * n + fragment_column(i)];
      multiply_add<T>(left, right[n], sum);
      for (int i = 0; i < 4; i++) c[fragment_row(i)][8 * n + fragment_column(i)] = sum.at[i];
    }
  });
}

template <class T>
void check(const char *type) {
  Random random;
  const Problem whole = problem([&] { return static_cast<float>(static_cast<int>(random.next() % 17) - 8); });
  for (int pitch : {16, 24, 40}) {
    for (bool both : {false, true}) {
      float c[kRows][kColumns];
      bool layout = true, exact = true;
      const std::string fault = multiply<T>(whole, pitch, both, c, &layout);
      for (int i = 0; i < kRows; i++)
        for (int j = 0; j < kColumns; j++) {
          float sum = whole.c[i][j];
          for (int k = 0; k < kDepth; k++) sum += whole.a[i][k] * whole.b[k][j];
          exact = exact && c[i][j] == sum;
        }
      const std::string where = "pitch " + std::to_string(pitch) + (both ? ", two at once" : ", one by one") + (fault.empty() ? "" : ", " + fault);
      expect(fault.empty() && exact, type, "small integers are summed exactly", where);
      expect(fault.empty() && layout, type, "fragments hold what the header says", where);
    }
  }
  const Problem part = problem([&] { return static_cast<float>(random.next() % 100000) / 50000.0f - 1.0f; });
  float c[kRows][kColumns];
  bool chain = multiply<T>(part, 24, true, c).empty();
  for (int i = 0; i < kRows; i++)
    for (int j = 0; j < kColumns; j++) {
      float sum = part.c[i][j];
      for (int k = 0; k < kDepth; k++) sum = std::fma(stored<T>(part.a[i][k]), stored<T>(part.b[k][j]), sum);
      chain = chain && c[i][j] == sum;
    }
  expect(chain, type, "one chain of FMAs over ascending depth, from the sum that was there");
  Problem edge = whole;
  edge.a[3][5] = HUGE_VALF;
  edge.b[5][2] = 1;
  edge.b[5][9] = 0;
  const bool ran = multiply<T>(edge, 24, true, c).empty();
  expect(ran && c[3][2] == HUGE_VALF && std::isnan(c[3][9]) && std::isfinite(c[4][2]), type, "infinities reach their row, and no other");
  const std::string fault = multiply<T>(whole, 20, false, c);
  expect(fault.find("bytes") != std::string::npos, type, "a row that is not on 16 bytes is a fault", fault);
  const std::string race = run_warp(1024, [] {
    const Shared<T> tile = shared_memory<T>(0);
    for (int e = lane(); e < 256; e += kWarp) tile[e] = from_float<T>(1);
    static_cast<void>(load_a(tile, 16));
  });
  expect(!race.empty(), type, "a tile that no barrier separates from its writers is a fault", race);
}

// s += a b of bytes, through shared memory: a's rows and b's columns are lines of kByteDepth bytes.
constexpr int kByteDepth = 32;
struct ByteProblem {
  uint8_t a[kRows][kByteDepth];
  int8_t b[kColumns][kByteDepth];
  int32_t s[kRows][kColumns];
};

std::string multiply_bytes(const ByteProblem &p, int pitch, int32_t (&s)[kRows][kColumns], bool *layout) {
  const size_t b_bytes = static_cast<size_t>(kRows * pitch) * sizeof(BytePair);
  return run_warp(2 * b_bytes, [&, pitch] {
    const Shared<BytePair> a = shared_memory<BytePair>(0), b = shared_memory<BytePair>(b_bytes);
    for (int e = lane(); e < kRows * kByteDepth / 2; e += kWarp) {
      const int line = e / 16, depth = e % 16 * 2;
      a[line * pitch + e % 16] = BytePair{static_cast<uint16_t>(p.a[line][depth] | p.a[line][depth + 1] << 8)};
      b[line * pitch + e % 16] = BytePair{static_cast<uint16_t>(static_cast<uint8_t>(p.b[line][depth]) | static_cast<uint8_t>(p.b[line][depth + 1]) << 8)};
    }
    warp_barrier();
    const FragmentA left = load_a(a, pitch);
    FragmentB right[2];
    load_b_turned(b, pitch, right[0], right[1]);
    const int group = lane() / 4, place = lane() % 4;
    for (int i = 0; i < 4; i++)
      for (int byte = 0; byte < 4; byte++) {
        const int depth = 4 * place + i / 2 * 16 + byte;
        if ((left.at[i] >> 8 * byte & 0xff) != p.a[group + i % 2 * 8][depth]) *layout = false;
        if (static_cast<int8_t>(right[i % 2].at[i / 2] >> 8 * byte) != p.b[group + i % 2 * 8][depth]) *layout = false;
      }
    for (int n = 0; n < 2; n++) {
      FragmentS sum;
      for (int i = 0; i < 4; i++) sum.at[i] = p.s[fragment_row(i)][8 * n + fragment_column(i)];
      multiply_add_bytes(left, right[n], sum);
      for (int i = 0; i < 4; i++) s[fragment_row(i)][8 * n + fragment_column(i)] = sum.at[i];
    }
  });
}

void check_bytes() {
  Random random;
  ByteProblem any, ends;
  for (auto &row : any.a)
    for (uint8_t &v : row) v = static_cast<uint8_t>(random.next());
  for (auto &row : any.b)
    for (int8_t &v : row) v = static_cast<int8_t>(random.next());
  for (auto &row : any.s)
    for (int32_t &v : row) v = static_cast<int32_t>(random.next() % 100000) - 50000;
  ends = any;
  for (auto &row : ends.a)
    for (uint8_t &v : row) v = v & 1 ? 255 : 0;
  for (auto &row : ends.b)
    for (int8_t &v : row) v = v & 1 ? 127 : -128;
  for (const ByteProblem *p : {&any, &ends})
    for (int pitch : {16, 24, 40}) {
      int32_t s[kRows][kColumns];
      bool layout = true, exact = true;
      const std::string fault = multiply_bytes(*p, pitch, s, &layout);
      for (int i = 0; i < kRows; i++)
        for (int j = 0; j < kColumns; j++) {
          int32_t sum = p->s[i][j];
          for (int k = 0; k < kByteDepth; k++) sum += p->a[i][k] * p->b[j][k];
          exact = exact && s[i][j] == sum;
        }
      const std::string where = "pitch " + std::to_string(pitch) + (p == &ends ? ", the ends of the range" : "") + (fault.empty() ? "" : ", " + fault);
      expect(fault.empty() && exact, "bytes", "sums are exact", where);
      expect(fault.empty() && layout, "bytes", "fragments hold what the header says", where);
    }
}

}  // namespace
}  // namespace segnas::gpu

int main() {
  segnas::gpu::check<segnas::gpu::Half>("half");
  segnas::gpu::check<segnas::gpu::Bfloat16>("bfloat16");
  segnas::gpu::check_bytes();
  std::printf("%d failed\n", segnas::gpu::failures);
  return segnas::gpu::failures > 0;
}
