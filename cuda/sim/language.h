// The kernel language (arch.h) on the CPU: a fiber per thread, every access of shared memory held to the barriers. See README.md.
#pragma once
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include "../../csrc/include/segnas/segnas.h"
#include "now.h"

#define SEGNAS_KERNEL(...) void
#define SEGNAS_DEVICE inline
#define SEGNAS_BOTH inline

namespace segnas::gpu {
namespace sim {

// What a block may have on the cards with the most, compute capability 9.0.
constexpr size_t kMostSharedBytes = 227 * 1024;

// Runs a grid of blocks, here and now. SEGNAS_INTERNAL with one line when threads race, read what nobody wrote, leave shared memory or miss
// each other at a barrier; the kernel is then left where it was.
segnas_status run(const char *name, int64_t x, int64_t y, int64_t z, int threads, size_t shared_bytes, void (*body)(void *argument), void *argument,
                  segnas_error *err);
// Work that graph_launch does again and again. capture takes it and returns true between capture_begin and capture_end of this thread.
using Work = std::function<segnas_status(segnas_error *err)>;
bool capture(Work work);
// Another permutation of threads and blocks for the launches to come.
void set_order(uint64_t seed);

// A place in the kernel's source, so that threads that wait at different barriers are told apart.
struct Place {
  const char *file;
  int line;
};
void wait_for_block(Place place);
void wait_for_warp(Place place);
// What a lane hands to its warp: a shuffled value, or the fragments of a product.
struct Handed {
  uint64_t at[3];
};
// Hands it over and returns what all 32 lanes did, valid until this lane hands over something again.
const Handed *hand_over(const Handed &own, Place place);

template <class Number>
Number exchange_number(Number v, int from, Place place) {
  static_assert(std::is_arithmetic_v<Number> && (sizeof(Number) == 4 || sizeof(Number) == 8), "shuffles move int, float, double and their like");
  Handed own = {};
  std::memcpy(own.at, &v, sizeof v);
  std::memcpy(&v, hand_over(own, place)[from].at, sizeof v);
  return v;
}

// An element of shared memory: reads when it is used as a value, writes when it is assigned to.
template <class T>
class Element {
 public:
  explicit Element(int64_t offset) : offset_(offset) {}
  Element(const Element &) = default;
  operator T() const {
    T v;
    std::memcpy(&v, access<read_cell, T>(offset_), sizeof v);
    return v;
  }
  const Element &operator=(T v) const {
    std::memcpy(access<write_cell, T>(offset_), &v, sizeof v);
    return *this;
  }
  const Element &operator=(const Element &v) const { return *this = static_cast<T>(v); }
  template <class U>
  const Element &operator+=(U v) const {
    return *this = static_cast<T>(*this + v);
  }
  template <class U>
  const Element &operator-=(U v) const {
    return *this = static_cast<T>(*this - v);
  }
  template <class U>
  const Element &operator*=(U v) const {
    return *this = static_cast<T>(*this * v);
  }
  // shared_add: one step, for which other threads' additions are no race.
  void add(T v) const {
    unsigned char *at = access<add_cell, T>(offset_);
    T sum;
    std::memcpy(&sum, at, sizeof sum);
    sum += v;
    std::memcpy(at, &sum, sizeof sum);
  }

 private:
  int64_t offset_;
};

}  // namespace sim

inline int thread() { return sim::now.thread; }
inline int threads() { return sim::now.threads; }
inline int block_x() { return sim::now.block[0]; }
inline int block_y() { return sim::now.block[1]; }
inline int block_z() { return sim::now.block[2]; }
inline int blocks_x() { return sim::now.blocks[0]; }
inline int blocks_y() { return sim::now.blocks[1]; }
inline int blocks_z() { return sim::now.blocks[2]; }

inline void barrier(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { sim::wait_for_block({file, line}); }
inline void warp_barrier(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { sim::wait_for_warp({file, line}); }

// Lanes as the hardware counts them: five bits; a lane beyond the warp's end is one's own.
template <class Number>
Number shuffle(Number v, int from_lane, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  return sim::exchange_number(v, from_lane & 31, {file, line});
}
template <class Number>
Number shuffle_xor(Number v, int mask, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  return sim::exchange_number(v, (thread() ^ mask) & 31, {file, line});
}
template <class Number>
Number shuffle_down(Number v, int by, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int own = thread() & 31, from = own + (by & 31);
  return sim::exchange_number(v, from < 32 ? from : own, {file, line});
}

template <class T>
class Shared {
  static_assert(std::is_trivially_copyable_v<T>, "shared memory holds plain data");

 public:
  explicit Shared(int64_t byte_offset) : offset_(byte_offset) {}
  template <class Index>
  sim::Element<T> operator[](Index i) const {
    return sim::Element<T>(offset_ + static_cast<int64_t>(i) * static_cast<int64_t>(sizeof(T)));
  }
  template <class Index>
  Shared operator+(Index n) const {
    return Shared(offset_ + static_cast<int64_t>(n) * static_cast<int64_t>(sizeof(T)));
  }
  template <class U>
  Shared<U> as() const {
    return Shared<U>(offset_);
  }

 private:
  int64_t offset_;
};

template <class T>
Shared<T> shared_memory(size_t byte_offset) {
  return Shared<T>(static_cast<int64_t>(byte_offset));
}

template <class Index>
void shared_add(Shared<int> s, Index i, int v) {
  s[i].add(v);
}

inline float fused_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused_multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float square_root(float a) { return std::sqrt(a); }
inline double square_root(double a) { return std::sqrt(a); }
inline float exponential(float a) { return std::exp(a); }
inline float exponential2(float a) { return std::exp2(a); }
inline float logarithm(float a) { return std::log(a); }
inline float larger(float a, float b) { return a > b || b != b ? a : b; }
inline float smaller(float a, float b) { return a < b || b != b ? a : b; }
inline float round_even(float a) { return std::nearbyint(a); }
inline uint32_t bits_of(float a) {
  uint32_t bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}
inline int dot_bytes(uint32_t a, uint32_t b, int sum) {
  for (int i = 0; i < 4; i++) sum += static_cast<int>(a >> 8 * i & 0xff) * static_cast<int8_t>(b >> 8 * i & 0xff);
  return sum;
}
inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t which) {
  const uint64_t both = a | static_cast<uint64_t>(b) << 32;
  uint32_t made = 0;
  for (int i = 0; i < 4; i++) made |= static_cast<uint32_t>(both >> 8 * (which >> 4 * i & 7) & 0xff) << 8 * i;
  return made;
}

}  // namespace segnas::gpu
