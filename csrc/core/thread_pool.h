// A fixed set of threads that run numbered pieces of one job at a time. Which thread runs which piece is left to chance, so results
// must not depend on it: every reduction order is fixed by the pieces themselves.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace segnas {

class ThreadPool {
 public:
  // threads >= 1 counts the caller of run(). Throws std::system_error when a thread cannot be started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(piece, worker) for every piece in [0, pieces), worker in [0, threads()); returns when all are done. One job at a time:
  // a second caller waits. body must not call run() itself.
  template <class Body>
  void run(int64_t pieces, Body &&body) {
    if (pieces <= 0) return;
    if (workers_.empty() || pieces == 1) {
      for (int64_t i = 0; i < pieces; i++) body(i, 0);
      return;
    }
    dispatch(pieces, [](void *b, int64_t piece, int worker) { (*static_cast<std::remove_reference_t<Body> *>(b))(piece, worker); },
             const_cast<void *>(static_cast<const void *>(&body)));
  }

 private:
  using Call = void (*)(void *body, int64_t piece, int worker);
  void dispatch(int64_t pieces, Call call, void *body);
  void work(int worker);
  void drain(int worker);
  void stop();

  std::vector<std::thread> workers_;
  std::mutex one_job_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // The job. Written by dispatch while it is closed and nobody is inside; read by a worker that counted itself in and then saw it open.
  // So a worker that wakes late misses a short job instead of making its caller wait.
  Call call_ = nullptr;
  void *body_ = nullptr;
  int64_t pieces_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> epoch_{0};
  alignas(64) std::atomic<int> inside_{0};
  std::atomic<bool> open_{false};
  std::atomic<bool> stop_{false};
  int asleep_ = 0;  // guarded by mutex_
};

}  // namespace segnas
