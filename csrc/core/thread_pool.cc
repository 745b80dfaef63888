#include "thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace segnas {
namespace {
// Long enough to bridge the gap between two operations of a network, short enough not to steal the core from a decoding goroutine.
constexpr int kSpins = 4000;

inline void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
}  // namespace

ThreadPool::ThreadPool(int threads) : desks_(static_cast<size_t>(threads)), reports_(static_cast<size_t>(threads)) {
  try {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (auto &t : workers_) t.join();
}

bool ThreadPool::take(Desk &desk, bool first, int64_t *piece) {
  uint64_t left = desk.left.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t begin = left & 0xffffffffu, end = left >> 32;
    if (begin >= end) return false;
    const uint64_t rest = first ? left + 1 : left - (uint64_t{1} << 32);
    if (!desk.left.compare_exchange_weak(left, rest, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    *piece = static_cast<int64_t>(first ? begin : end - 1);
    return true;
  }
}

// Runs pieces until none is left, and returns how many it ran.
int64_t ThreadPool::drain(int worker) {
  int64_t piece, count = 0;
  for (int i = 0; i < threads(); i++) {
    Desk &desk = desks_[static_cast<size_t>(worker + i < threads() ? worker + i : worker + i - threads())];
    for (; take(desk, i == 0, &piece); count++) desk.call(desk.body, piece, worker);
  }
  return count;
}

int64_t ThreadPool::reported() const {
  int64_t sum = 0;
  for (const Report &report : reports_) sum += report.finished.load(std::memory_order_acquire);
  return sum;
}

void ThreadPool::dispatch(int64_t pieces, Call call, void *body) {
  std::lock_guard<std::mutex> only(one_job_);
  const int64_t others = pieces + reported();  // what the workers' reports come to, less what the caller does
  for (int64_t w = 0; w < threads(); w++) {
    Desk &desk = desks_[static_cast<size_t>(w)];
    desk.call = call;
    desk.body = body;
    const uint64_t begin = static_cast<uint64_t>(pieces * w / threads()), end = static_cast<uint64_t>(pieces * (w + 1) / threads());
    desk.left.store(begin | end << 32, std::memory_order_release);
  }
  bool sleepers;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    sleepers = asleep_ > 0;
  }
  if (sleepers) wake_.notify_all();
  const int64_t mine = drain(0);
  for (int spin = 0; reported() != others - mine; spin++) {
    if (spin < kSpins) {
      pause_cpu();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::work(int worker) {
  Desk &desk = desks_[static_cast<size_t>(worker)];
  std::atomic<int64_t> &finished = reports_[static_cast<size_t>(worker)].finished;
  auto anything = [&] {
    const uint64_t left = desk.left.load(std::memory_order_relaxed);
    return (left & 0xffffffffu) < left >> 32;
  };
  for (;;) {
    for (int spin = 0; spin < kSpins && !anything(); spin++) pause_cpu();
    if (!anything()) {
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_++;
      wake_.wait(lock, [&] { return anything() || stop_.load(); });
      asleep_--;
    }
    if (stop_.load()) return;
    const int64_t count = drain(worker);
    if (count > 0) finished.store(finished.load(std::memory_order_relaxed) + count, std::memory_order_release);
  }
}

}  // namespace segnas
