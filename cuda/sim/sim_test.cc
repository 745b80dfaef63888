// What sim promises: proper kernels compute what CUDA's would in every order of threads, and each kind of fault is named.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
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

void divergence() {
  expect_fault("threads at different barriers", {}, {"waits at the barrier of sim_test.cc", "at that of sim_test.cc"}, [] {
    if (thread() < 10) {
      barrier();
    } else {
      barrier();
    }
  });
  expect_fault("a lane that returns before a shuffle", {}, {"waits in the shuffle of sim_test.cc", "thread 35 has returned"}, [] {
    if (thread() != 35) shuffle(1, 0);
  });
  expect_fault("a lane at a barrier while its warp shuffles", {}, {"waits in the shuffle", "but thread 35 at the barrier of"}, [] {
    if (thread() == 35) barrier();
    shuffle(1, 0);
    if (thread() != 35) barrier();
  });
  expect_fault("lanes at different shuffles", {}, {"at the shuffle of", "but thread"}, [] {
    if (lane() < 16) {
      shuffle(1, 0);
    } else {
      shuffle(1, 0);
    }
  });
  expect_fault("a shuffle in half a warp", {1, 1, 1, 48, 0}, {"a block of 48 threads, no multiple of 32"}, [] { shuffle(1, 0); });
  expect_clean("warps may shuffle alone", {}, [] {
    if (warp() == 1) shuffle(1, 0);
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

// ---------------------------------------------------------------- shared memory

void contents() {
  expect_fault("a read of what nobody wrote", {}, {"thread 7 reads shared memory at 28", "no thread of its block has written yet"}, [] {
    if (thread() == 7) shared_memory<int>(0)[8] = shared_memory<int>(0)[7];
  });
  expect_fault("what another block wrote", {3, 2, 2}, {"no thread of its block has written yet"}, [] {
    Shared<int> s = shared_memory<int>(0);
    if (block_x() + block_y() + block_z() == 0 && thread() == 0) s[0] = 1;
    barrier();
    if (block_x() + block_y() + block_z() > 0 && thread() == 9) s[1] = s[0];
  });
  expect_fault("beyond the launch's bytes", {1, 1, 1, 32, 100}, {"thread 9 uses 4 bytes of shared memory at 100, outside the launch's 100"}, [] {
    if (thread() == 9) shared_memory<float>(0)[25] = 1;
  });
  segnas_error err;
  const segnas_status status = sim::run("kernel", 1, 1, 1, 32, sim::kMostSharedBytes + 1, [](void *) {}, nullptr, &err);
  expect(status == SEGNAS_INTERNAL && err.status == status, "more shared memory than any card has", err.text);
  expect_fault("before them", {}, {"uses 4 bytes of shared memory at -4, outside"}, [] {
    if (thread() == 9) shared_memory<float>(0)[-1] = 1;
  });
  expect_fault("a vector across its alignment", {}, {"uses 16 bytes of shared memory at 8, which is no multiple of 16"}, [] {
    if (thread() == 9) (shared_memory<float>(0) + 2).as<Float4>()[0] = Float4{1, 2, 3, 4};
  });
  expect_fault("one word of a vector", {}, {"thread 3 reads shared memory at 24, which no thread"}, [] {
    Shared<float> s = shared_memory<float>(0);
    if (thread() == 3) s[4] = s[5] = s[7] = 1;
    if (thread() == 3) [[maybe_unused]] Float4 v = s.as<Float4>()[1];
  });
}

void small_types() {
  auto bytes = [](int apart) {
    return [apart] { shared_memory<uint8_t>(0)[thread() / apart] = static_cast<uint8_t>(thread()); };
  };
  expect_clean("bytes of one word belong to different threads", {}, bytes(1));
  expect_fault("one byte to two", {}, {"writes shared memory at", "wrote"}, bytes(2));
  expect_clean("bytes read as words", {}, [] {
    Shared<uint16_t> s = shared_memory<uint16_t>(0);
    s[thread()] = 1;
    barrier();
    if (s.as<uint32_t>()[thread() / 2] != 0x10001u) s[-1] = 0;
  });
  expect_fault("a word of which one byte is another thread's", {}, {"shared memory at 7, which thread"}, [] {
    Shared<uint8_t> s = shared_memory<uint8_t>(0);
    if (thread() == 8) s.as<uint32_t>()[1] = 0;
    barrier();
    if (thread() == 9) s[7] = 1;
    if (thread() == 8) s.as<uint32_t>()[2] = s.as<uint32_t>()[1];
  });
}

void warps() {
  auto within = [](int lanes, void (*order)()) {
    return [lanes, order] {
      Shared<int> s = shared_memory<int>(0);
      s[thread()] = thread();
      order();
      const int v = s[(thread() + lanes) % threads()];
      order();
      s[thread()] = v;
    };
  };
  auto none = [] {};
  // Every lane stays in its own warp when it moves by a multiple of the block.
  expect_clean("one's own word needs no barrier", {}, within(64, none));
  expect_clean("warp_barrier orders the warp's memory", {1, 1, 1, 32}, within(1, [] { warp_barrier(); }));
  expect_fault("but not another warp's", {}, {"reads shared memory at"}, within(32, [] { warp_barrier(); }));
  expect_fault("a shuffle orders nothing", {1, 1, 1, 32}, {"no barrier between"}, [] {
    Shared<int> s = shared_memory<int>(0);
    if (thread() == 4) s[0] = 1;
    shuffle(1, 0);
    if (thread() == 5) s[1] = s[0];
  });
  expect_fault("lanes do not march in step", {1, 1, 1, 32}, {"shared memory at"}, within(1, none));
  expect_fault("a reader of each warp, and a writer in order with one of them", {}, {"thread 0 writes shared memory at 0, which thread 40 read"}, [] {
    Shared<int> s = shared_memory<int>(0);
    if (thread() == 0) s[0] = 1;
    barrier();
    if (thread() == 2 || thread() == 40) s[1 + thread()] = s[0];
    barrier();
    if (thread() == 40) s[41] = s[0];
    if (thread() == 2) s[3] = s[0];
    warp_barrier();
    // Thread 40 of the other warp may come later than this: then it is its read that meets the write.
    if (thread() == 0) s[0] = 2;
  });
}

// ---------------------------------------------------------------- shuffles

template <class Number>
void shuffle_values(const char *property) {
  constexpr int kThreads = 96;
  std::vector<Number> out(4 * kThreads);
  const std::string text = run({1, 1, 1, kThreads, 0}, [&] {
    const Number mine = static_cast<Number>(100 + thread());
    Number *at = out.data() + 4 * thread();
    at[0] = shuffle(mine, lane() / 2 + 32);
    at[1] = shuffle_xor(mine, 5);
    at[2] = shuffle_down(mine, 3);
    at[3] = warp_sum(mine);
  });
  bool right = text.empty();
  for (int t = 0; t < kThreads; t++) {
    const int first = 100 + t / 32 * 32, l = t % 32;
    const Number *at = out.data() + 4 * t;
    right = right && at[0] == first + l / 2 && at[1] == first + (l ^ 5) && at[2] == first + (l + 3 < 32 ? l + 3 : l) && at[3] == 32 * first + 31 * 16;
  }
  expect(right, property, text);
}

// ---------------------------------------------------------------- orders

// A sum over blocks of pixels, as kernels take it: shuffles, a row a warp in shared memory, one warp for the rest.
void orders() {
  constexpr int kBlocks = 12, kThreads = 128;
  std::vector<float> x(kBlocks * kThreads * 5), first;
  for (size_t i = 0; i < x.size(); i++) x[i] = 1.0f / static_cast<float>(3 + i % 1000);
  bool same = true, shuffled = false;
  std::vector<int> visits, first_visits;
  for (uint64_t order = 0; order < 50; order++) {
    std::vector<float> sums(kBlocks);
    visits.clear();
    sim::set_order(order);
    const std::string text = run({3, 2, 2, kThreads, 4 * sizeof(float)}, [&] {
      const int block = block_x() + blocks_x() * (block_y() + blocks_y() * block_z());
      visits.push_back(block * kThreads + thread());
      float v = 0;
      for (int i = 0; i < 5; i++) v += x[static_cast<size_t>((block * 5 + i) * kThreads + thread())];
      v = warp_sum(v);
      Shared<float> s = shared_memory<float>(0);
      if (lane() == 0) s[warp()] = v;
      barrier();
      if (warp() > 0) return;
      v = lane() < kThreads / kWarp ? static_cast<float>(s[lane()]) : 0.0f;
      v = warp_sum(v);
      if (lane() == 0) sums[static_cast<size_t>(block)] = v;
    });
    same = same && text.empty() && (order == 0 || sums == first);
    shuffled = shuffled || (order > 0 && visits != first_visits);
    if (order == 0) first = sums, first_visits = visits;
  }
  expect(same, "a proper kernel gives the same bits in every order", "");
  expect(shuffled, "and there is more than one", "");
  std::vector<int> sorted = visits;
  std::sort(sorted.begin(), sorted.end());
  bool once = sorted.size() == kBlocks * kThreads;
  for (size_t i = 0; once && i < sorted.size(); i++) once = sorted[i] == static_cast<int>(i);
  expect(once && sorted != visits, "every thread of every block runs once, and not in its number's order", "");
}

// Streams of several host threads: each launch has a machine of its own, which the next one may take from another thread.
void host_threads() {
  constexpr int kHosts = 4, kLaunches = 50;
  std::vector<int> wrong(kHosts);
  std::vector<std::thread> hosts;
  for (int h = 0; h < kHosts; h++)
    hosts.emplace_back([h, &wrong] {
      for (int i = 0; i < kLaunches; i++) {
        int sum = 0;
        const std::string text = run({2, 1, 1, 64, 64 * sizeof(int)}, [&] {
          Shared<int> s = shared_memory<int>(0);
          s[thread()] = h + i;
          barrier();
          const int all = warp_sum(static_cast<int>(s[63 - thread()]));
          if (thread() == 0 && block_x() == 1) sum = all;
        });
        wrong[static_cast<size_t>(h)] += !text.empty() || sum != 32 * (h + i);
      }
    });
  for (std::thread &host : hosts) host.join();
  expect(wrong == std::vector<int>(kHosts), "several threads of the host launch at once", "");
}

void floats() {
  float y = 0;
  const std::string text = run({1, 1, 1, 32, 64}, [&] {
    Shared<float> s = shared_memory<float>(4);
    if (thread() != 0) return;
    s[0] = 2;
    s[1] = s[0];
    s[1] += 0.5f;
    s[1] -= s[0];
    s[1] *= 8;
    (s + 2)[0] = fused_multiply_add(s[0], s[1], maximum(s[0], s[1])) + square_root(s[1]) * s[0];
    y = s[2];
  });
  expect(text.empty() && y == 16, "elements are read, written and changed in place", text);
  const bool even = round_even(0.5f) == 0 && round_even(1.5f) == 2 && round_even(-2.5f) == -2 && round_even(2.75f) == 3;
  expect(even && std::signbit(round_even(-0.25f)) && std::isnan(round_even(NAN)), "numbers are rounded to integers, ties to even", "");
}

void bytes() {
  const int dot = 255 * -128 + 128 * 127 + 1 * -1 + 0 * 5;
  expect(dot_bytes(0x000180ffu, 0x05ff7f80u, 0) == dot && dot_bytes(0x000180ffu, 0x05ff7f80u, -7) == dot - 7, "bytes are multiplied, unsigned by signed, and added up", "");
  expect(dot_bytes(0xffffffffu, 0x7f7f7f7fu, 0) == 4 * 255 * 127 && dot_bytes(0xffffffffu, 0x80808080u, 0) == -4 * 255 * 128, "and nothing saturates", "");
  const uint32_t a = 0x44332211u, b = 0x88776655u;
  expect(permute_bytes(a, b, 0x3210) == a && permute_bytes(a, b, 0x7654) == b && permute_bytes(a, b, 0x0527) == 0x11663388u, "bytes are permuted", "");
}
}  // namespace
}  // namespace segnas::gpu

int main() {
  using namespace segnas::gpu;
  neighbours();
  directions();
  divergence();
  additions();
  contents();
  small_types();
  warps();
  shuffle_values<int>("shuffles of int");
  shuffle_values<float>("shuffles of float");
  shuffle_values<double>("shuffles of double");
  orders();
  host_threads();
  floats();
  bytes();
  std::printf("%d failed\n", failures);
  return failures > 0;
}
