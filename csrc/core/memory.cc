#include "memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace segnas {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
std::atomic<int64_t> fail_countdown{0};

bool must_fail() {
  if (fail_countdown.load(std::memory_order_relaxed) == 0) return false;
  return fail_countdown.fetch_sub(1) == 1;
}
}  // namespace

void fail_allocation(int64_t nth) { fail_countdown.store(nth); }

void *allocate_zeroed(size_t bytes) {
  if (must_fail()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (bytes < kHugePage) {
    size_t rounded = cache_lines(bytes);
    void *memory = std::aligned_alloc(64, rounded);
    if (memory) std::memset(memory, 0, rounded);
    return memory;
  }
  if (bytes > SIZE_MAX - kHugePage) return nullptr;
  size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  // Over-map by one huge page and give back the ends: mmap alone promises 4 KiB alignment.
  void *map = mmap(nullptr, rounded + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  uintptr_t base = reinterpret_cast<uintptr_t>(map);
  uintptr_t start = (base + kHugePage - 1) / kHugePage * kHugePage;
  if (start > base) munmap(map, start - base);
  size_t tail = base + rounded + kHugePage - (start + rounded);
  if (tail) munmap(reinterpret_cast<void *>(start + rounded), tail);
  void *memory = reinterpret_cast<void *>(start);
  madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

void release(void *memory, size_t bytes) {
  if (!memory) return;
  if (bytes < kHugePage) {
    std::free(memory);
    return;
  }
  munmap(memory, (bytes + kHugePage - 1) / kHugePage * kHugePage);
}

void *Arena::reserve(size_t bytes) {
  if (bytes <= bytes_) return memory_;
  size_t wanted = cache_lines(bytes);
  void *fresh = allocate_zeroed(wanted);
  if (!fresh) return nullptr;
  release(memory_, bytes_);
  memory_ = fresh;
  bytes_ = wanted;
  return memory_;
}

}  // namespace segnas
