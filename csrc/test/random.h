// The harness's source of numbers: splitmix64, a function of its seed alone.
#pragma once
#include <cstdint>
#include <string_view>

namespace segnas::check {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // In [low, high].
  int64_t integer(int64_t low, int64_t high) { return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1)); }
  // In [low, high), a float's worth of bits.
  double uniform(double low, double high) { return static_cast<float>(low + (high - low) * static_cast<double>(next() >> 40) * 0x1p-24); }
  bool one_in(int64_t n) { return integer(1, n) == 1; }
  template <class T, size_t N>
  T pick(const T (&choices)[N]) {
    return choices[static_cast<size_t>(integer(0, int64_t{N} - 1))];
  }

 private:
  uint64_t state_;
};

// A seed that differs with every part of what it is for.
inline uint64_t mix(uint64_t seed, uint64_t part) { return Random(seed ^ (part * 0xd6e8feb86659fd93)).next(); }
inline uint64_t mix(uint64_t seed, std::string_view part) {
  for (char c : part) seed = mix(seed, static_cast<uint64_t>(static_cast<unsigned char>(c)));
  return seed;
}

}  // namespace segnas::check
