// What the kernel thread that is running can know, and the shadow of its block's shared memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace segnas::gpu::sim {

// What has happened to four bytes of shared memory, or to one where a kernel uses smaller types. Epochs count the block's barriers; an order
// counts its warp's warp_barrier() within the epoch. Two accesses of different threads are in order when the epochs differ, or when
// the threads are of one warp and the orders differ.
// Of the readers since the last barrier two are enough: the latest of a warp, and one that is not in order with it (of the warp, or of another).
struct Cell {
  uint32_t write_epoch = 0, write_order = 0;  // epoch 0: never
  uint32_t read_epoch = 0, read_order = 0;
  uint16_t writer = 0, reader = 0, other_reader = 0;
  uint16_t adder = 0, other_adder = 0;  // of shared_add, which no warp_barrier() orders here: two when several threads have added
  uint32_t add_epoch = 0;
  bool split = false;  // the four bytes have cells of their own, which count
};

struct Now {
  int thread, threads;
  int block[3], blocks[3];
  const uint32_t *order;  // of this thread's warp
  uint32_t epoch, first_epoch;  // first: the block's first; what was written before was another block's
  unsigned char *shared;
  size_t shared_bytes;
  Cell *words, *bytes;
};
// A launch runs on its caller's thread. Plain data, so that an access is one instruction; small enough for the space that the loader keeps for
// libraries opened later.
extern constinit thread_local Now now __attribute__((tls_model("initial-exec")));

// End the launch with a text. They do not return to the kernel.
[[noreturn]] void stop_outside(int64_t offset, size_t size, size_t alignment);
[[noreturn]] void stop_unwritten(int64_t offset);
[[noreturn]] void stop_race(const char *does, int64_t offset, int thread, const char *did);
void split_word(int64_t word);

inline bool in_order(int thread, uint32_t order) {
  return thread == now.thread || (thread / 32 == now.thread / 32 && order < *now.order);
}

// Additions of other threads since the last barrier.
inline bool added_by_others(const Cell &c) { return c.add_epoch == now.epoch && (c.adder != now.thread || c.other_adder != now.thread); }
inline int other_adder_of(const Cell &c) { return c.adder != now.thread ? c.adder : c.other_adder; }

inline void read_cell(Cell &c, int64_t offset) {
  if (c.write_epoch < now.first_epoch) stop_unwritten(offset);
  if (c.write_epoch == now.epoch && !in_order(c.writer, c.write_order)) stop_race("reads", offset, c.writer, "wrote");
  if (added_by_others(c)) stop_race("reads", offset, other_adder_of(c), "added to");
  const uint16_t me = static_cast<uint16_t>(now.thread);
  if (c.read_epoch == now.epoch) {
    if (c.reader / 32 != c.other_reader / 32) return;  // no write can be in order with both
    if (c.reader / 32 != me / 32 || c.read_order == *now.order) {
      if (c.reader != me) c.other_reader = me;
      return;
    }
  }
  c.read_epoch = now.epoch;
  c.read_order = *now.order;
  c.reader = c.other_reader = me;
}

// What a thread that changes a cell must not meet.
inline void check_change(const Cell &c, int64_t offset, const char *does) {
  if (c.write_epoch == now.epoch && !in_order(c.writer, c.write_order)) stop_race(does, offset, c.writer, "wrote");
  if (c.read_epoch == now.epoch) {
    if (!in_order(c.reader, c.read_order)) stop_race(does, offset, c.reader, "read");
    if (!in_order(c.other_reader, c.read_order)) stop_race(does, offset, c.other_reader, "read");
  }
}

inline void write_cell(Cell &c, int64_t offset) {
  check_change(c, offset, "writes");
  if (added_by_others(c)) stop_race("writes", offset, other_adder_of(c), "added to");
  c.write_epoch = now.epoch;
  c.write_order = *now.order;
  c.writer = static_cast<uint16_t>(now.thread);
}

inline void add_cell(Cell &c, int64_t offset) {
  if (c.write_epoch < now.first_epoch) stop_unwritten(offset);
  check_change(c, offset, "adds to");
  const uint16_t me = static_cast<uint16_t>(now.thread);
  if (c.add_epoch != now.epoch) c.adder = c.other_adder = me;
  if (c.adder != me) c.other_adder = me;
  c.add_epoch = now.epoch;
}

template <void (*Visit)(Cell &, int64_t)>
inline void visit_cells(int64_t offset, size_t size) {
  const int64_t end = offset + static_cast<int64_t>(size);
  if (size < 4) {
    if (!now.words[offset / 4].split) split_word(offset / 4);
    for (int64_t at = offset; at < end; at++) Visit(now.bytes[at], at);
    return;
  }
  for (int64_t at = offset; at < end; at += 4) {
    Cell &word = now.words[at / 4];
    if (!word.split) {
      Visit(word, at);
    } else {
      for (int64_t byte = at; byte < at + 4; byte++) Visit(now.bytes[byte], byte);
    }
  }
}

template <void (*Visit)(Cell &, int64_t), class T>
inline unsigned char *access(int64_t offset) {
  static_assert(sizeof(T) < 4 || sizeof(T) % 4 == 0, "elements of 1, 2 or a multiple of 4 bytes");
  constexpr size_t alignment = alignof(T) < 4 && sizeof(T) >= 4 ? 4 : alignof(T);
  if (offset < 0 || static_cast<size_t>(offset) + sizeof(T) > now.shared_bytes || static_cast<size_t>(offset) % alignment != 0)
    stop_outside(offset, sizeof(T), alignment);
  visit_cells<Visit>(offset, sizeof(T));
  return now.shared + offset;
}

}  // namespace segnas::gpu::sim
