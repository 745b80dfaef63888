// What sim promises: proper kernels compute what CUDA's would in every order of threads, and each kind of fault is named.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "../arch/launch.h"

namespace segnas::gpu {
namespace {

int failures = 0;

void expect(bool holds, const char *property, const std::string &detail) {
  std::printf("%s %s%s%s\n", holds ? "ok  " : "FAIL", property, detail.empty() ? "" : ": ", detail.c_str());
  failures += !holds;
}

struct Shape {
  int64_t x = 1, y = 1, z = 1;
  int threads = 64;
  size_t shared_bytes = 4096;
};

// "" or the fault's text.
std::string run(const Shape &shape, const std::function<void()> &kernel) {
  segnas_error err;
  std::function<void()> body = kernel;
  auto call = [](void *argument) { (*static_cast<std::function<void()> *>(argument))(); };
  const segnas_status status = sim::run("kernel", shape.x, shape.y, shape.z, shape.threads, shape.shared_bytes, call, &body, &err);
  if (status != err.status) return "the error's status is not the call's";
  if (status == SEGNAS_OK) return err.text[0] ? std::string("a success has a text: ") + err.text : "";
  return status == SEGNAS_INTERNAL ? err.text : std::string("another status: ") + err.text;
}

void expect_clean(const char *property, const Shape &shape, const std::function<void()> &kernel) { expect(run(shape, kernel).empty(), property, run(shape, kernel)); }

// Every word must occur in the text, whatever the order of threads.
void expect_fault(const char *property, const Shape &shape, std::initializer_list<const char *> words, const std::function<void()> &kernel) {
  for (uint64_t order = 0; order < 20; order++) {
    sim::set_order(order);
    const std::string text = run(shape, kernel);
    bool all = !text.empty() && text.rfind("kernel: block ", 0) == 0 && text.find('\n') == std::string::npos;
    for (const char *word : words) all = all && text.find(word) != std::string::npos;
    if (!all || order == 19) return expect(all, property, text);
  }
}

// ---------------------------------------------------------------- barriers

void neighbours() {
  constexpr int kThreads = 64;
  std::vector<int> out(kThreads);
  const Shape shape{1, 1, 1, kThreads, kThreads * sizeof(int)};
  auto kernel = [&](bool written, bool read) {
    return [&out, written, read] {
      Shared<int> s = shared_memory<int>(0);
      s[thread()] = thread();
      if (written) barrier();
      const int next = s[(thread() + 1) % threads()];
      if (read) barrier();
      s[thread()] = -next;
      barrier();
      out[static_cast<size_t>(thread())] = s[(thread() + 1) % threads()];
    };
  };
  expect_clean("a kernel with its barriers is clean", shape, kernel(true, true));
  bool right = true;
  for (int i = 0; i < kThreads; i++) right = right && out[static_cast<size_t>(i)] == -((i + 2) % kThreads);
  expect(right, "and computes what it should", "");
  // Whichever of the two comes first: the word was written with no barrier, or not written yet.
  expect_fault("no barrier between write and read", shape, {"reads shared memory at"}, kernel(false, true));
  expect_fault("no barrier between read and write", shape, {"no barrier between"}, kernel(true, false));
}

// One thread alone writes or reads, so that only one direction can be the fault.
void directions() {
  const Shape shape{1, 1, 1, 64, 64};
  auto reader_is_late = [](bool with_barrier) {
    return [with_barrier] {
      Shared<float> s = shared_memory<float>(0);
      if (thread() == 5) s[3] = 1;
      if (with_barrier) barrier();
      if (thread() == 40) s[4] = s[3] + 1;
    };
  };
  auto writer_is_late = [](bool with_barrier) {
    return [with_barrier] {
      Shared<float> s = shared_memory<float>(0);
      if (thread() == 5) s[3] = 1;
      barrier();
      if (thread() == 40) s[4] = s[3] + 1;
      if (with_barrier) barrier();
      if (thread() == 5) s[3] = 2;
    };
  };
  expect_clean("write, barrier, read", shape, reader_is_late(true));
  expect_clean("read, barrier, write", shape, writer_is_late(true));
  expect_fault("write, read", shape, {"thread 40 reads shared memory at 12"}, reader_is_late(false));
  expect_fault("read, write", shape, {"thread 5", "thread 40", "shared memory at 12", "no barrier between"}, writer_is_late(false));
  expect_fault("two threads write the same value", shape, {"writes shared memory at 8", "wrote"}, [] {
    if (thread() == 1 || thread() == 33) shared_memory<int>(8)[0] = 7;
  });
  expect_clean("threads that returned are not waited for", shape, [] {
    if (thread() >= 32) return;
    barrier();
  });
}

// ---------------------------------------------------------------- additions

void additions() {
  constexpr int kThreads = 96;
  const Shape shape{1, 1, 1, kThreads, 2 * sizeof(int)};
  int out = 0;
  auto kernel = [&out](bool before, bool after) {
    return [&out, before, after] {
      Shared<int> s = shared_memory<int>(0);
      if (thread() == 7) s[1] = 100;
      if (before) barrier();
      shared_add(s, 1, thread());
      if (after) barrier();
      if (thread() == 50) out = s[1];
    };
  };
  expect_clean("additions of many threads are no race", shape, kernel(true, true));
  expect(out == 100 + kThreads * (kThreads - 1) / 2, "and none is lost", std::to_string(out));
  expect_fault("no barrier between write and addition", shape, {"shared memory at 4"}, kernel(false, true));
  expect_fault("no barrier between addition and read", shape, {"reads shared memory at 4", "added to"}, kernel(true, false));
  expect_fault("an addition to what nobody wrote", shape, {"which no thread of its block has written"}, [] { shared_add(shared_memory<int>(0), 0, 1); });
}
}  // namespace
}  // namespace segnas::gpu

int main() {
  segnas::gpu::neighbours();
  segnas::gpu::directions();
  segnas::gpu::additions();
  std::printf("%d failed\n", segnas::gpu::failures);
  return segnas::gpu::failures > 0;
}
