// Every byte that libsegnas takes from the system passes here, so that a test can make any one allocation fail.
#pragma once
#include <cstddef>
#include <cstdint>

namespace segnas {

// Aligned to 64 bytes; 2 MiB and more: aligned to 2 MiB, with huge pages asked for (a large activation touches thousands of 4 KiB pages,
// and the TLB misses cost more than the loads). nullptr when there is no memory. Contents: zeros.
void *allocate_zeroed(size_t bytes);
void release(void *memory, size_t bytes);

// The nth allocation from now (1 = the next) returns nullptr; 0 turns it off. Tests only; not thread-safe against running allocations.
void fail_allocation(int64_t nth);

// Grow-only scratch. Not thread-safe: belongs to one stream or session.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;
  ~Arena() { release(memory_, bytes_); }
  // At least bytes, 64-byte aligned, contents unspecified; nullptr when there is no memory (the old block is then kept).
  void *reserve(size_t bytes);
  size_t bytes() const { return bytes_; }

 private:
  void *memory_ = nullptr;
  size_t bytes_ = 0;
};

// Rounds up so that each worker's part of a scratch block starts on a cache line of its own.
inline size_t cache_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace segnas
