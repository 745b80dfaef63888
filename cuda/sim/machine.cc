#include "machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace segnas::gpu::sim {

constinit thread_local Now now __attribute__((tls_model("initial-exec"))) = {};

namespace {
// splitmix64's finaliser
uint64_t mix(uint64_t a) {
  a += 0x9e3779b97f4a7c15;
  a = (a ^ a >> 30) * 0xbf58476d1ce4e5b9;
  a = (a ^ a >> 27) * 0x94d049bb133111eb;
  return a ^ a >> 31;
}

// The n numbers below n in another order: number i comes at (i step + start) mod n.
struct Turn {
  int64_t n, step, start;
  Turn(int64_t count, uint64_t random) : n(count), step(1), start(static_cast<int64_t>(random % static_cast<uint64_t>(count))) {
    step = static_cast<int64_t>(mix(random) % static_cast<uint64_t>(n));
    while (std::gcd(step, n) != 1) step++;
  }
  int64_t operator[](int64_t i) const { return static_cast<int64_t>((static_cast<__int128>(i) * step + start) % n); }
};

const char *file_name(Place place) {
  const char *slash = std::strrchr(place.file, '/');
  return slash ? slash + 1 : place.file;
}

const char *name_of(Machine::Gathering gathering) { return gathering == Machine::Gathering::kBarrier ? "warp_barrier" : "shuffle"; }

bool same_place(Place a, Place b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }
}  // namespace

// ---------------------------------------------------------------- the launch

const char *Machine::run(const Launch &launch) {
  launch_ = launch;
  failure_[0] = 0;
  prepare();
  random_ = mix(launch.order);
  const int64_t blocks = launch.x * launch.y * launch.z;
  const Turn turn(blocks, random_);
  for (int64_t i = 0; i < blocks && !failed(); i++) run_block(turn[i]);
  if (failed()) abandon();
  now = {};
  return failure_;
}

void Machine::abandon() {
  idle_.clear();
  for (auto &fiber : fibers_) {
    fiber->restart();
    idle_.push_back(fiber.get());
  }
}

void Machine::prepare() {
  // A fiber that was left on another thread of the host may hold that one's address of `now` in a register.
  if (host_ != std::this_thread::get_id()) abandon();
  host_ = std::this_thread::get_id();
  const size_t threads = static_cast<size_t>(launch_.threads), words = (launch_.shared_bytes + 3) / 4;
  threads_.resize(threads);
  warps_.resize((threads + 31) / 32);
  permutation_.resize(threads);
  // Exactly as much as was asked for, so that the address sanitizer knows its end as well.
  shared_.reset(new unsigned char[launch_.shared_bytes]);
  words_.assign(words, Cell{});
  if (bytes_.size() < 4 * words) bytes_.resize(4 * words);
  now = {};
  now.threads = launch_.threads;
  now.blocks[0] = static_cast<int>(launch_.x);
  now.blocks[1] = static_cast<int>(launch_.y);
  now.blocks[2] = static_cast<int>(launch_.z);
  now.shared = shared_.get();
  now.shared_bytes = launch_.shared_bytes;
  now.words = words_.data();
  now.bytes = bytes_.data();
}

void Machine::run_block(int64_t block) {
  now.block[0] = static_cast<int>(block % launch_.x);
  now.block[1] = static_cast<int>(block / launch_.x % launch_.y);
  now.block[2] = static_cast<int>(block / launch_.x / launch_.y);
  for (Thread &thread : threads_) thread = {State::kFresh, nullptr, {}};
  now.first_epoch = now.epoch + 1;
  do {
    begin_epoch();
    pass();
  } while (end_epoch());
}

void Machine::begin_epoch() {
  now.epoch++;
  if (now.epoch == UINT32_MAX) fail(0, "passes more barriers than can be counted");
  for (Warp &warp : warps_) warp.arrived = 0, warp.order = 0;
}

// ---------------------------------------------------------------- one epoch

// Runs every thread until it waits for the block or has returned; again as long as warps gather.
void Machine::pass() {
  for (bool again = true; again && !failed();) {
    again = false;
    std::iota(permutation_.begin(), permutation_.end(), 0);
    for (size_t left = permutation_.size(); left > 1; left--) {
      random_ = mix(random_);
      std::swap(permutation_[left - 1], permutation_[random_ % left]);
    }
    cursor_ = 0;
    for (int thread; !failed() && (thread = next_runnable()) >= 0; again = true) resume(thread);
  }
}

int Machine::next_runnable() {
  for (; cursor_ < permutation_.size(); cursor_++) {
    const int thread = permutation_[cursor_];
    const State state = threads_[static_cast<size_t>(thread)].state;
    if (state == State::kFresh || state == State::kReady) return thread;
  }
  return -1;
}

void Machine::resume(int thread) {
  Thread &t = threads_[static_cast<size_t>(thread)];
  if (!t.fiber) t.fiber = idle_fiber();
  now.thread = thread;
  now.order = &warps_[static_cast<size_t>(thread / 32)].order;
  cursor_++;
  running_ = t.fiber;
  running_->enter();
}

Fiber *Machine::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>([](void *machine) { static_cast<Machine *>(machine)->thread_main(); }, this));
    idle_.reserve(fibers_.size());
    return fibers_.back().get();
  }
  Fiber *fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

// A fiber's life: one thread after the other. Threads that never wait need no more than this one stack.
void Machine::thread_main() {
  for (;;) {
    Fiber *self = running_;
    launch_.body(launch_.argument);
    threads_[static_cast<size_t>(now.thread)].state = State::kReturned;
    const int thread = next_runnable();
    if (thread >= 0 && threads_[static_cast<size_t>(thread)].state == State::kFresh) {
      threads_[static_cast<size_t>(thread)].fiber = self;
      now.thread = thread;
      now.order = &warps_[static_cast<size_t>(thread / 32)].order;
      cursor_++;
    } else {
      idle_.push_back(self);
      self->leave();
    }
  }
}

bool Machine::end_epoch() {
  if (failed() || explain_gathering()) return false;
  int first = -1;
  for (size_t i = 0; i < threads_.size(); i++) {
    Thread &thread = threads_[i];
    if (thread.state != State::kAtBarrier) continue;
    if (first < 0) first = static_cast<int>(i);
    const Place place = threads_[static_cast<size_t>(first)].place;
    if (!same_place(place, thread.place)) {
      fail(static_cast<int>(i), "waits at the barrier of %s:%d, but thread %d at that of %s:%d", file_name(thread.place), thread.place.line, first,
           file_name(place), place.line);
      return false;
    }
    thread.state = State::kReady;
  }
  return first >= 0;
}

// Whether lanes wait for others of their warp, which will not come.
bool Machine::explain_gathering() {
  for (size_t i = 0; i < threads_.size(); i++) {
    if (threads_[i].state != State::kInWarp) continue;
    size_t other = i / 32 * 32;
    while (threads_[other].state == State::kInWarp) other++;
    const Thread &missing = threads_[other];
    const char *gathering = name_of(warps_[i / 32].gathering);
    const Place place = threads_[i].place;
    if (missing.state == State::kReturned) {
      fail(static_cast<int>(i), "waits in the %s of %s:%d, but thread %zu has returned", gathering, file_name(place), place.line, other);
    } else {
      fail(static_cast<int>(i), "waits in the %s of %s:%d, but thread %zu at the barrier of %s:%d", gathering, file_name(place), place.line, other,
           file_name(missing.place), missing.place.line);
    }
    return true;
  }
  return false;
}

// ---------------------------------------------------------------- from inside a thread

void Machine::wait_for_block(Place place) {
  Thread &thread = threads_[static_cast<size_t>(now.thread)];
  thread.state = State::kAtBarrier;
  thread.place = place;
  thread.fiber->leave();
}

void Machine::wait_for_warp(Place place, Gathering gathering) {
  const int me = now.thread, lane_0 = me / 32 * 32;
  if (launch_.threads % 32 != 0) stop("is at the %s of %s:%d in a block of %d threads, no multiple of 32", name_of(gathering), file_name(place), place.line, launch_.threads);
  Warp &warp = warps_[static_cast<size_t>(me / 32)];
  Thread &thread = threads_[static_cast<size_t>(me)];
  thread.place = place;
  if (warp.arrived == 0) {
    warp.gathering = gathering;
    warp.first = me;
  } else if (const Place first = threads_[static_cast<size_t>(warp.first)].place; warp.gathering != gathering || !same_place(first, place)) {
    stop("is at the %s of %s:%d, but thread %d at the %s of %s:%d", name_of(gathering), file_name(place), place.line, warp.first, name_of(warp.gathering),
         file_name(first), first.line);
  }
  if (++warp.arrived == 32) {
    warp.arrived = 0;
    warp.turn ^= 1;
    if (gathering == Gathering::kBarrier) warp.order++;
    for (int lane = 0; lane < 32; lane++)
      if (lane_0 + lane != me) threads_[static_cast<size_t>(lane_0 + lane)].state = State::kReady;
    return;
  }
  thread.state = State::kInWarp;
  thread.fiber->leave();
}

const Handed *Machine::hand_over(const Handed &own, Place place) {
  Warp &warp = warps_[static_cast<size_t>(now.thread / 32)];
  const unsigned turn = warp.turn & 1;
  warp.handed[turn][now.thread % 32] = own;
  wait_for_warp(place, Gathering::kShuffle);
  return warp.handed[turn];
}

void Machine::stop(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  describe(now.thread, format, arguments);
  va_end(arguments);
  running_->leave();
  std::abort();  // a stopped fiber is not entered again
}

void Machine::split_word(int64_t word) {
  Cell &cell = words_[static_cast<size_t>(word)];
  for (int64_t byte = 4 * word; byte < 4 * word + 4; byte++) bytes_[static_cast<size_t>(byte)] = cell;
  cell.split = true;
}

// ---------------------------------------------------------------- words

void Machine::fail(int thread, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  describe(thread, format, arguments);
  va_end(arguments);
}

void Machine::describe(int thread, const char *format, va_list arguments) {
  const int length = std::snprintf(failure_, sizeof failure_, "block %d,%d,%d: thread %d ", now.block[0], now.block[1], now.block[2], thread);
  std::vsnprintf(failure_ + length, sizeof failure_ - static_cast<size_t>(length), format, arguments);
}

}  // namespace segnas::gpu::sim
