#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// segnas_sim_switch(save, load): keeps the callee-saved registers on the stack, the stack pointer in *save, and goes on where `load` was kept.
// segnas_sim_begin: where a new stack starts; calls its second kept register with its first one, and is the end for unwinders.
#if !defined(SEGNAS_SIM_UCONTEXT)
extern "C" void segnas_sim_switch(void **save, void *load) __attribute__((visibility("hidden")));
extern "C" void segnas_sim_begin() __attribute__((visibility("hidden")));
#if defined(__x86_64__)
asm(R"(
.text
.hidden segnas_sim_switch
.globl segnas_sim_switch
.type segnas_sim_switch, @function
segnas_sim_switch:
  endbr64
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size segnas_sim_switch, .-segnas_sim_switch
.hidden segnas_sim_begin
.globl segnas_sim_begin
.type segnas_sim_begin, @function
segnas_sim_begin:
  .cfi_startproc
  .cfi_undefined rip
  movq %r12, %rdi
  callq *%r13
  ud2
  .cfi_endproc
.size segnas_sim_begin, .-segnas_sim_begin
)");
#else
asm(R"(
.text
.hidden segnas_sim_switch
.globl segnas_sim_switch
.type segnas_sim_switch, %function
segnas_sim_switch:
  stp x29, x30, [sp, #-160]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x29, x30, [sp], #160
  ret
.size segnas_sim_switch, .-segnas_sim_switch
.hidden segnas_sim_begin
.globl segnas_sim_begin
.type segnas_sim_begin, %function
segnas_sim_begin:
  .cfi_startproc
  .cfi_undefined x30
  mov x0, x19
  blr x20
  brk #0
  .cfi_endproc
.size segnas_sim_begin, .-segnas_sim_begin
)");
#endif
#endif

namespace segnas::gpu::sim {
namespace {
constexpr size_t kStackBytes = 256 * 1024;

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
}  // namespace

struct FiberBegin {
  static void call(void *fiber) { static_cast<Fiber *>(fiber)->begin(); }
#if defined(SEGNAS_SIM_UCONTEXT)
  // makecontext passes int alone.
  static void call_halves(unsigned high, unsigned low) { call(reinterpret_cast<void *>(static_cast<uintptr_t>(uint64_t{high} << 32 | low))); }
#endif
};

Fiber::Fiber(void (*main)(void *), void *argument) : main_(main), argument_(argument) {
  void *memory = mmap(nullptr, page_bytes() + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char *>(memory);
  mprotect(memory_, page_bytes(), PROT_NONE);
#if defined(__SANITIZE_THREAD__)
  thread_inside_ = __tsan_create_fiber(0);
#endif
  restart();
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(thread_inside_);
#endif
  munmap(memory_, page_bytes() + kStackBytes);
}

void Fiber::restart() {
  char *stack = memory_ + page_bytes();
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, kStackBytes);  // frames that were left have their red zones there
#endif
  fake_inside_ = nullptr;
#if defined(SEGNAS_SIM_UCONTEXT)
  getcontext(&inside_);
  inside_.uc_stack.ss_sp = stack;
  inside_.uc_stack.ss_size = kStackBytes;
  inside_.uc_link = nullptr;
  const uint64_t self = reinterpret_cast<uintptr_t>(this);
  makecontext(&inside_, reinterpret_cast<void (*)()>(&FiberBegin::call_halves), 2, static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
#else
  // What segnas_sim_switch takes from the stack at the first enter(). The last two words end the list of frames.
  void **top = reinterpret_cast<void **>(stack + kStackBytes) - 2;
  top[0] = top[1] = nullptr;
  void *self = this, *call = reinterpret_cast<void *>(&FiberBegin::call), *begin = reinterpret_cast<void *>(&segnas_sim_begin);
#if defined(__x86_64__)
  void *frame[] = {nullptr, nullptr, call, self, nullptr, nullptr, begin};  // r15 r14 r13 r12 rbx rbp, return address
#else
  void *frame[20] = {nullptr, begin, self, call};  // x29 x30 x19 x20 and so on
#endif
  void **kept = top - sizeof frame / sizeof frame[0];
  std::memcpy(kept, frame, sizeof frame);
  inside_ = kept;
#endif
}

void Fiber::enter() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_outside_, memory_ + page_bytes(), kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
  thread_outside_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_inside_, 0);
#endif
#if defined(SEGNAS_SIM_UCONTEXT)
  swapcontext(&outside_, &inside_);
#else
  segnas_sim_switch(&outside_, inside_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_outside_, nullptr, nullptr);
#endif
}

void Fiber::leave() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_inside_, outside_bottom_, outside_bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(thread_outside_, 0);
#endif
#if defined(SEGNAS_SIM_UCONTEXT)
  swapcontext(&inside_, &outside_);
#else
  segnas_sim_switch(&inside_, outside_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_inside_, &outside_bottom_, &outside_bytes_);
#endif
}

void Fiber::begin() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &outside_bottom_, &outside_bytes_);
#endif
  main_(argument_);
  std::abort();  // main does not return
}

}  // namespace segnas::gpu::sim
