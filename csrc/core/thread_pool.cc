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

ThreadPool::ThreadPool(int threads) {
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
    epoch_.fetch_add(1);
  }
  wake_.notify_all();
  for (auto &t : workers_) t.join();
}

void ThreadPool::drain(int worker) {
  for (;;) {
    int64_t piece = next_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces_) return;
    call_(body_, piece, worker);
  }
}

void ThreadPool::dispatch(int64_t pieces, Call call, void *body) {
  std::lock_guard<std::mutex> only(one_job_);
  call_ = call;
  body_ = body;
  pieces_ = pieces;
  next_.store(0, std::memory_order_relaxed);
  open_.store(true);
  bool sleepers;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    epoch_.fetch_add(1);
    sleepers = asleep_ > 0;
  }
  if (sleepers) wake_.notify_all();
  drain(0);
  open_.store(false);
  for (int spin = 0; inside_.load() != 0; spin++) {
    if (spin < kSpins) {
      pause_cpu();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::work(int worker) {
  uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && epoch_.load(std::memory_order_acquire) == seen; spin++) pause_cpu();
    if (epoch_.load() == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_++;
      wake_.wait(lock, [&] { return epoch_.load() != seen; });
      asleep_--;
    }
    if (stop_.load()) return;
    seen = epoch_.load();
    inside_.fetch_add(1);
    if (open_.load()) drain(worker);
    inside_.fetch_sub(1);
  }
}

}  // namespace segnas
