// A tile of a matrix product in registers, its two sides passing through shared memory.
//
// C[m,n] += A[m,k] B[k,n]: a block makes a tile of kRows x kColumns of C, a thread kThreadRows x kThreadColumns of it, in groups of four rows and
// columns that lie apart, so that a warp's vector loads touch neighbouring banks. Both sides lie in shared memory by depth, [kDepth][kRows + 4] and
// [kDepth][kColumns + 4]: the 4 keep vectors aligned, and let a warp that turns rows into depths write 32 banks. There are two such buffers: while
// one is multiplied the next step's values are on their way to registers, and a step takes one barrier.
//
// A warp's step of depth, in clocks of a multiprocessor (128 FMAs, 128 bytes of shared memory): 16 of FMAs for 4 to 6 of loads at 8x8, 8 for 3 to 4
// at 8x4, 4 for 2 at 4x4. So the FMA units are the bound as long as values come in time; a larger tile a thread would leave no registers for them.
//
// Order: every element is one chain of FMAs over ascending depth, whatever the tile.
#pragma once
#include "sources.h"

namespace segnas::gpu {

template <int kTileRows, int kTileColumns, int kRowsOfThread, int kColumnsOfThread>
struct Tile {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns, kThreadRows = kRowsOfThread, kThreadColumns = kColumnsOfThread;
  static constexpr int kDepth = 8;
  static constexpr int kAcross = kColumns / kThreadColumns, kDown = kRows / kThreadRows;  // threads
  static constexpr int kThreads = kAcross * kDown;
  static constexpr int kAPitch = kRows + 4, kBPitch = kColumns + 4;
  static constexpr int kBuffer = kDepth * (kAPitch + kBPitch);
  static constexpr size_t kSharedBytes = 2 * kBuffer * sizeof(float);

  // Where a thread's element lies in the tile.
  SEGNAS_DEVICE static int row(int r) { return r / 4 * (kDown * 4) + thread() / kAcross * 4 + r % 4; }
  SEGNAS_DEVICE static int column(int c) { return c / 4 * (kAcross * 4) + thread() % kAcross * 4 + c % 4; }
};

template <class T>
using Accumulators = float[T::kThreadRows][T::kThreadColumns];

template <class T>
SEGNAS_DEVICE void clear(Accumulators<T> &sum) {
#pragma unroll
  for (int r = 0; r < T::kThreadRows; r++)
#pragma unroll
    for (int c = 0; c < T::kThreadColumns; c++) sum[r][c] = 0;
}

// One side of a tile, a step of depth at a time: memory to registers (fetch), registers to shared memory (put).
// kAlong: the source's rows are the tile's lines and its columns the depth; otherwise its columns are the lines and its rows the depth.
template <class T, class Source, int kLines, bool kAlong>
class Feed {
 public:
  // Lines of the tile from `line` on; the source has `rows` x `columns`.
  SEGNAS_DEVICE Feed(const Source &source, int64_t line, int64_t rows, int64_t columns)
      : source_(source), line_(line), rows_(rows), columns_(columns) {
    if constexpr (!kAlong) parameters_ = source.parameters(line + inner(), columns - line - inner());
  }

  SEGNAS_DEVICE void fetch(int64_t depth) {
    const int64_t column = (kAlong ? depth : line_) + inner(), left = columns_ - column;
    if constexpr (kAlong) parameters_ = source_.parameters(column, left);
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      if (!mine(i)) continue;
      const int64_t row = (kAlong ? line_ : depth) + outer(i);
      count_[i] = row < rows_ && left > 0 ? (left < 4 ? static_cast<int>(left) : 4) : 0;
      raw_[i] = source_.raw(row, column, count_[i]);
    }
  }

  SEGNAS_DEVICE void put(Shared<float> to) const {
    constexpr int kPitch = kLines + 4;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      if (!mine(i)) continue;
      const Quad q = source_.value(raw_[i], parameters_, count_[i]);
      if constexpr (kAlong) {
#pragma unroll
        for (int e = 0; e < 4; e++) to[(inner() + e) * kPitch + outer(i)] = q.at[e];
      } else {
        to.template as<Float4>()[(outer(i) * kPitch + inner()) / 4] = Float4{q.at[0], q.at[1], q.at[2], q.at[3]};
      }
    }
  }

  // As the source's rows lie, rounded to a half type: [line][depth] where they run along the depth, else [depth][line].
  template <int kPitch, class H>
  SEGNAS_DEVICE void put_rounded(Shared<H> to) const {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      if (!mine(i)) continue;
      const Quad q = source_.value(raw_[i], parameters_, count_[i]);
      Pack<H, 4> rounded;
#pragma unroll
      for (int e = 0; e < 4; e++) store(&rounded.at[e], q.at[e]);
      (to + (outer(i) * kPitch + inner())).template as<Pack<H, 4>>()[0] = rounded;
    }
  }

 private:
  static constexpr int kQuads = kLines * T::kDepth / 4, kEach = (kQuads + T::kThreads - 1) / T::kThreads;
  static constexpr int kQuadsOfRow = (kAlong ? T::kDepth : kLines) / 4;
  static_assert(T::kThreads % kQuadsOfRow == 0, "a thread keeps its columns");

  SEGNAS_DEVICE static bool mine(int i) { return kQuads % T::kThreads == 0 || thread() + i * T::kThreads < kQuads; }
  SEGNAS_DEVICE static int inner() { return thread() % kQuadsOfRow * 4; }
  SEGNAS_DEVICE static int outer(int i) { return (thread() + i * T::kThreads) / kQuadsOfRow; }

  const Source &source_;
  int64_t line_, rows_, columns_;
  typename Source::Parameters parameters_ = {};
  typename Source::Raw raw_[kEach] = {};
  int count_[kEach] = {};
};

// sum += the buffer's step.
template <class T>
SEGNAS_DEVICE void multiply_step(Shared<float> buffer, Accumulators<T> &sum) {
  const Shared<Float4> a_side = buffer.template as<Float4>(), b_side = (buffer + T::kDepth * T::kAPitch).template as<Float4>();
  const int a_at = thread() / T::kAcross, b_at = thread() % T::kAcross;
#pragma unroll
  for (int d = 0; d < T::kDepth; d++) {
    float a[T::kThreadRows], b[T::kThreadColumns];
#pragma unroll
    for (int g = 0; g < T::kThreadRows / 4; g++) {
      const Float4 v = a_side[d * (T::kAPitch / 4) + g * T::kDown + a_at];
      a[4 * g] = v.x, a[4 * g + 1] = v.y, a[4 * g + 2] = v.z, a[4 * g + 3] = v.w;
    }
#pragma unroll
    for (int g = 0; g < T::kThreadColumns / 4; g++) {
      const Float4 v = b_side[d * (T::kBPitch / 4) + g * T::kAcross + b_at];
      b[4 * g] = v.x, b[4 * g + 1] = v.y, b[4 * g + 2] = v.z, b[4 * g + 3] = v.w;
    }
#pragma unroll
    for (int r = 0; r < T::kThreadRows; r++)
#pragma unroll
      for (int c = 0; c < T::kThreadColumns; c++) sum[r][c] = fused_multiply_add(a[r], b[c], sum[r][c]);
  }
}

// sum += A B over depths [begin, end); end - begin >= 1. after() follows every step. Ends with a barrier: shared memory is free.
template <class T, class A, class B, class After>
SEGNAS_DEVICE void accumulate(A &a, B &b, int64_t begin, int64_t end, Accumulators<T> &sum, After &&after) {
  Shared<float> buffer = shared_memory<float>(0);
  int at = 0;
  a.fetch(begin);
  b.fetch(begin);
  a.put(buffer);
  b.put(buffer + T::kDepth * T::kAPitch);
  barrier();
  for (int64_t depth = begin; depth < end; depth += T::kDepth) {
    const bool more = depth + T::kDepth < end;
    if (more) {
      a.fetch(depth + T::kDepth);
      b.fetch(depth + T::kDepth);
    }
    multiply_step<T>(buffer + at, sum);
    at = T::kBuffer - at;
    if (more) {
      a.put(buffer + at);
      b.put(buffer + at + T::kDepth * T::kAPitch);
    }
    after();
    barrier();
  }
}

struct Nothing {
  SEGNAS_DEVICE void operator()() const {}
};

}  // namespace segnas::gpu
