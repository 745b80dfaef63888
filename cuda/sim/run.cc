// What kernels and launches call, and the machines that answer: a launch takes an idle one, or makes one.
#include <atomic>
#include <cstdio>
#include <mutex>
#include <new>
#include <string>

#include "machine.h"

namespace segnas::gpu::sim {
namespace {

thread_local Machine *machine = nullptr;
std::atomic<uint64_t> order{0};

// Never destroyed: streams may work to the process's end.
struct Idle {
  std::mutex mutex;
  std::vector<std::unique_ptr<Machine>> machines;
};
Idle &idle() {
  static Idle *made = new Idle;
  return *made;
}

std::unique_ptr<Machine> take() {
  Idle &pool = idle();
  std::lock_guard<std::mutex> lock(pool.mutex);
  if (pool.machines.empty()) return std::make_unique<Machine>();
  std::unique_ptr<Machine> taken = std::move(pool.machines.back());
  pool.machines.pop_back();
  return taken;
}

void give_back(std::unique_ptr<Machine> taken) {
  Idle &pool = idle();
  std::lock_guard<std::mutex> lock(pool.mutex);
  pool.machines.push_back(std::move(taken));
}

segnas_status report(segnas_error *err, segnas_status status, const char *name, const char *text) {
  if (err) {
    err->status = status;
    std::snprintf(err->text, sizeof err->text, "%s: %s", name, text);
  }
  return status;
}
}  // namespace

segnas_status run(const char *name, int64_t x, int64_t y, int64_t z, int threads, size_t shared_bytes, void (*body)(void *), void *argument, segnas_error *err) {
  if (shared_bytes > kMostSharedBytes) {
    char text[100];
    std::snprintf(text, sizeof text, "%zu bytes of shared memory, of %zu that any card has", shared_bytes, kMostSharedBytes);
    return report(err, SEGNAS_INTERNAL, name, text);
  }
  try {
    std::unique_ptr<Machine> taken = take();
    machine = taken.get();
    // A number of its own for every launch: a second run of the same call goes in another order.
    const std::string failure = taken->run({name, x, y, z, threads, shared_bytes, body, argument, order.fetch_add(1)});
    machine = nullptr;
    give_back(std::move(taken));
    if (!failure.empty()) return report(err, SEGNAS_INTERNAL, name, failure.c_str());
  } catch (const std::bad_alloc &) {
    machine = nullptr;
    return report(err, SEGNAS_OUT_OF_MEMORY, name, "no memory for the threads' stacks");
  }
  if (err) {
    err->status = SEGNAS_OK;
    err->text[0] = 0;
  }
  return SEGNAS_OK;
}

void set_order(uint64_t seed) { order = seed << 32; }

void wait_for_block(Place place) { machine->wait_for_block(place); }
void wait_for_warp(Place place) { machine->wait_for_warp(place, Machine::Gathering::kBarrier); }
const Handed *hand_over(const Handed &own, Place place) { return machine->hand_over(own, place); }

void stop_outside(int64_t offset, size_t size, size_t alignment) {
  if (offset >= 0 && static_cast<size_t>(offset) + size <= now.shared_bytes)
    machine->stop("uses %zu bytes of shared memory at %lld, which is no multiple of %zu", size, static_cast<long long>(offset), alignment);
  machine->stop("uses %zu bytes of shared memory at %lld, outside the launch's %zu", size, static_cast<long long>(offset), now.shared_bytes);
}

void stop_unwritten(int64_t offset) {
  machine->stop("reads shared memory at %lld, which no thread of its block has written yet", static_cast<long long>(offset));
}

void stop_race(const char *does, int64_t offset, int thread, const char *did) {
  machine->stop("%s shared memory at %lld, which thread %d %s, and no barrier between", does, static_cast<long long>(offset), thread, did);
}

void split_word(int64_t word) { machine->split_word(word); }

}  // namespace segnas::gpu::sim
