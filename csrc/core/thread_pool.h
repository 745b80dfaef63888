// A fixed set of threads that run numbered pieces of one job at a time. Thread w of T begins with the w-th of T equal stretches of the pieces and
// takes from the end of the others' when it is done. So where the pieces of one operation after another are the same parts of a picture, a
// thread mostly reads what it wrote itself: processors need not share a cache for that, and which do is the hypervisor's choice on a virtual
// machine (seen to change from minute to minute). Which thread runs a piece is left to chance all the same, so results must not depend on it:
// every reduction order is fixed by the pieces themselves.
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

  int threads() const { return static_cast<int>(desks_.size()); }

  // Calls body(piece, worker) for every piece in [0, pieces), pieces < 2^32, worker in [0, threads()); returns when all are done. One job at a time:
  // a second caller waits. body must not call run() itself.
  template <class Body>
  void run(int64_t pieces, Body &&body) {
    if (pieces <= 0) return;
    if (threads() == 1 || pieces == 1) {
      for (int64_t i = 0; i < pieces; i++) body(i, 0);
      return;
    }
    dispatch(pieces, [](void *b, int64_t piece, int worker) { (*static_cast<std::remove_reference_t<Body> *>(b))(piece, worker); },
             const_cast<void *>(static_cast<const void *>(&body)));
  }

 private:
  using Call = void (*)(void *body, int64_t piece, int worker);

  // What lies before one thread. The job is written while nobody has a piece, and read by whoever took one from this desk: all that a thread
  // needs to begin comes with one cache line. A worker that wakes late finds nothing left, and no one has waited for it.
  struct alignas(64) Desk {
    std::atomic<uint64_t> left{0};  // pieces [begin, end) that nobody took yet, begin in the low half: the owner takes the first, others the last
    Call call = nullptr;
    void *body = nullptr;
  };
  // How many pieces a thread has ever finished.
  struct alignas(64) Report {
    std::atomic<int64_t> finished{0};
  };

  static bool take(Desk &desk, bool first, int64_t *piece);
  int64_t drain(int worker);
  int64_t reported() const;
  void dispatch(int64_t pieces, Call call, void *body);
  void work(int worker);
  void stop();

  std::vector<Desk> desks_;  // [0] is the caller's
  std::vector<Report> reports_;
  std::vector<std::thread> workers_;
  std::mutex one_job_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int asleep_ = 0;  // guarded by mutex_
  alignas(64) std::atomic<bool> stop_{false};
};

}  // namespace segnas
