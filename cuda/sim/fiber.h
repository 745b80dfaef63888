// A stack of its own that can be left and entered again.
#pragma once
#include <cstddef>

#if !defined(__ELF__) || !(defined(__x86_64__) || defined(__aarch64__))
#define SEGNAS_SIM_UCONTEXT
#include <ucontext.h>
#endif

namespace segnas::gpu::sim {

class Fiber {
 public:
  // Throws std::bad_alloc. main runs at the first enter() and never returns.
  Fiber(void (*main)(void *argument), void *argument);
  ~Fiber();
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;

  void enter();    // from outside; returns at the fiber's leave()
  void leave();    // from inside; returns at the next enter()
  void restart();  // from outside: forgets where it was

 private:
  friend struct FiberBegin;
  void begin();

  void (*main_)(void *argument);
  void *argument_;
  char *memory_ = nullptr;  // a page that nobody may touch, then the stack
#if defined(SEGNAS_SIM_UCONTEXT)
  ucontext_t inside_, outside_;
#else
  void *inside_ = nullptr, *outside_ = nullptr;  // stack pointers of who is not running
#endif
  // The sanitizers' view of the two stacks.
  void *fake_inside_ = nullptr, *fake_outside_ = nullptr;
  const void *outside_bottom_ = nullptr;
  size_t outside_bytes_ = 0;
  void *thread_inside_ = nullptr, *thread_outside_ = nullptr;
};

}  // namespace segnas::gpu::sim
