// A block of a kernel's threads, each on a fiber where it needs one.
#pragma once
#include <cstdarg>
#include <memory>
#include <thread>
#include <vector>

#include "fiber.h"
#include "language.h"

namespace segnas::gpu::sim {

class Machine {
 public:
  struct Launch {
    const char *name;
    int64_t x, y, z;
    int threads;
    size_t shared_bytes;
    void (*body)(void *argument);
    void *argument;
    uint64_t order;
  };
  // "" or what went wrong. Throws std::bad_alloc.
  const char *run(const Launch &launch);

  // From the fiber of the running thread.
  void wait_for_block(Place place);
  // Whether memory is ordered by it: __syncwarp does that, shuffles do not.
  enum class Gathering { kBarrier, kShuffle };
  void wait_for_warp(Place place, Gathering gathering);
  // What every lane handed over, until this lane hands over something again.
  const Handed *hand_over(const Handed &own, Place place);
  // "block 0,0,0: thread 5 " and the rest; the thread is left for good, so nothing on its stack may hold memory.
  [[noreturn]] void stop(const char *format, ...) __attribute__((format(printf, 2, 3)));
  void split_word(int64_t word);

 private:
  enum class State { kFresh, kReady, kAtBarrier, kInWarp, kReturned };
  struct Thread {
    State state;
    Fiber *fiber;
    Place place;  // where it waits
  };
  struct Warp {
    int arrived;
    uint32_t order;
    Gathering gathering;
    int first;      // the lane that came first, as a thread
    unsigned turn;  // which half of handed is being filled: a lane may hand over its next values before the last one has read the other half
    Handed handed[2][32];
  };

  void prepare();
  void abandon();  // makes every fiber idle, wherever it is
  bool failed() const { return failure_[0] != 0; }
  void run_block(int64_t block);
  void begin_epoch();
  void pass();
  int next_runnable();
  void resume(int thread);
  bool end_epoch();  // whether another follows
  bool explain_gathering();
  void thread_main();
  Fiber *idle_fiber();
  // As stop, of a thread that is not running.
  void fail(int thread, const char *format, ...) __attribute__((format(printf, 3, 4)));
  void describe(int thread, const char *format, va_list arguments);

  Launch launch_ = {};
  char failure_[220] = "";
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber *> idle_;
  Fiber *running_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> permutation_;
  size_t cursor_ = 0;
  uint64_t random_ = 0;
  std::unique_ptr<unsigned char[]> shared_;
  std::vector<Cell> words_, bytes_;
  std::thread::id host_;
};

}  // namespace segnas::gpu::sim
