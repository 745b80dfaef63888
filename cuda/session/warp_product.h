// A tile of a matrix product of sixteen-bit numbers, made by the tensor cores (arch/mma.h).
//
// C[m,n] += A[m,k] B[k,n]: a block makes kRows x kColumns of C, its warps kWarpRows x kWarpColumns each. Both sides lie in shared memory as they are
// stored, A by rows [kRows][kDepth + 8] and B by depth [kDepth][kColumns + 8]: with 16 bytes more a line than a multiple of 32 the eight lines that
// a fragment's load reads are in different banks. There are kStages buffers of kDepth: while one is multiplied the next kStages - 1 are on their
// way (arch/copy.h), and a step takes one barrier. What lies outside of a matrix is zero in shared memory.
//
// A warp of 32 x 64 takes, a depth of 16, 2 + 4 loads of 512 bytes for 16 products of 2048 multiply-adds: 24 clocks of shared memory's 128 bytes, 16
// of an H100's tensor cores (2048 multiply-adds a clock; mma.sync reaches some two thirds of that). So the inner loop can do about 600 TFLOP/s of
// 989. It need not do better: pointwise layers of these networks have k n / (k + n) = 55 (64 -> 384) to 85 (128 -> 256) operations a byte, which
// 3.35 TB/s feed at 180 to 290 TFLOP/s.
//
// Order: multiply_add's over ascending depths of 16, whatever the tile.
#pragma once
#include "../arch/copy.h"
#include "../arch/mma.h"

namespace segnas::gpu {

// Before sm_80 a chunk on its way to shared memory lies in registers, and Bfloat16's portable product takes more of them: there a block may have all.
#if !defined(SEGNAS_SIM) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr bool kRegistersForOne = true;
#else
constexpr bool kRegistersForOne = false;
#endif

// kAtLeast: blocks on a multiprocessor that registers are left for.
template <int kTileRows, int kTileColumns, int kTileDepth, int kTileStages, int kRowsOfWarp, int kColumnsOfWarp, int kAtLeast>
struct WarpTile {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns, kDepth = kTileDepth, kStages = kTileStages;
  static constexpr int kWarpRows = kRowsOfWarp, kWarpColumns = kColumnsOfWarp, kBlocks = kRegistersForOne ? 1 : kAtLeast;
  static constexpr int kAcross = kColumns / kWarpColumns, kDown = kRows / kWarpRows;  // warps
  static constexpr int kThreads = kAcross * kDown * kWarp;
  static constexpr int kAPitch = kDepth + 8, kBPitch = kColumns + 8;
  static constexpr int kAElements = kRows * kAPitch, kBuffer = kAElements + kDepth * kBPitch;
  static constexpr size_t kSharedBytes = kStages * kBuffer * sizeof(uint16_t);
  static constexpr int kFragmentRows = kWarpRows / 16, kFragmentColumns = kWarpColumns / 8;
  static_assert(kDepth % 16 == 0 && kAPitch % 16 == 8 && kBPitch % 16 == 8 && kWarpRows % 16 == 0 && kWarpColumns % 32 == 0 && kStages >= 2);

  // Where the warp's part begins in the tile.
  SEGNAS_DEVICE static int warp_row() { return warp() / kAcross * kWarpRows; }
  SEGNAS_DEVICE static int warp_column() { return warp() % kAcross * kWarpColumns; }
};

template <class Tile>
using Fragments = FragmentC[Tile::kFragmentRows][Tile::kFragmentColumns];

// A part of a matrix that moves a step at a time, in chunks of eight elements of which each thread copies its own. kAlong: it moves along the lines,
// otherwise from line to line. Lines that do not lie on 16 bytes (width not a multiple of 8) are read element by element.
template <class T, int kThreads, int kLines, int kElements, int kPitch, bool kAlong>
class Window {
 public:
  // The matrix [lines][width] lies on 16 bytes; the part begins at line, element.
  SEGNAS_DEVICE Window(const T *matrix, int64_t lines, int64_t width, int64_t line, int64_t element)
      : at_(matrix + (line + own_line()) * width + element + own_element()),
        width_(static_cast<int>(width)),
        lines_left_(clamp(lines - line - own_line())),
        elements_left_(clamp(width - element - own_element())),
        whole_(width % 8 == 0) {}

  // What comes next, to [kLines][kPitch].
  SEGNAS_DEVICE void copy(Shared<T> to) {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const bool valid = i * kLinesAtOnce < lines_left_ && elements_left_ > 0;
      const T *from = at_ + static_cast<int64_t>(i * kLinesAtOnce * width_);
      const Shared<Chunk> place = (to + ((own_line() + i * kLinesAtOnce) * kPitch + own_element())).template as<Chunk>();
      if (whole_) {
        copy_chunk(place, valid ? from : at_, valid);
      } else {
        place[0] = valid ? gather(from) : Chunk{};
      }
    }
    if constexpr (kAlong) {
      at_ += kElements;
      elements_left_ -= kElements;
    } else {
      at_ += static_cast<int64_t>(kLines * width_);
      lines_left_ -= kLines;
    }
  }

 private:
  static constexpr int kChunks = kElements / 8, kLinesAtOnce = kThreads / kChunks, kEach = kLines / kLinesAtOnce;
  static_assert(kThreads % kChunks == 0 && kLines % kLinesAtOnce == 0 && kEach >= 1, "every thread has as many chunks");

  SEGNAS_DEVICE static int own_line() { return thread() / kChunks; }
  SEGNAS_DEVICE static int own_element() { return thread() % kChunks * 8; }
  SEGNAS_DEVICE static int clamp(int64_t left) { return left > (1 << 30) ? 1 << 30 : static_cast<int>(left); }

  SEGNAS_DEVICE Chunk gather(const T *from) const {
    Chunk chunk = {};
#pragma unroll
    for (int e = 0; e < 8; e++)
      if (e < elements_left_) chunk.at[e / 2] |= static_cast<uint32_t>(from[e].bits) << e % 2 * 16;
    return chunk;
  }

  const T *at_;
  int width_, lines_left_, elements_left_;
  bool whole_;
};

template <class T, class Tile>
using WindowA = Window<T, Tile::kThreads, Tile::kRows, Tile::kDepth, Tile::kAPitch, true>;
template <class T, class Tile>
using WindowB = Window<T, Tile::kThreads, Tile::kDepth, Tile::kColumns, Tile::kBPitch, false>;

// sum += a buffer's step, of the warp's part.
template <class T, class Tile>
SEGNAS_DEVICE void multiply_buffer(Shared<T> buffer, Fragments<Tile> &sum) {
  const Shared<T> a_side = buffer + Tile::warp_row() * Tile::kAPitch, b_side = buffer + (Tile::kAElements + Tile::warp_column());
#pragma unroll
  for (int depth = 0; depth < Tile::kDepth; depth += 16) {
    FragmentA a[Tile::kFragmentRows];
#pragma unroll
    for (int r = 0; r < Tile::kFragmentRows; r++) a[r] = load_a(a_side + (r * 16 * Tile::kAPitch + depth), Tile::kAPitch);
#pragma unroll
    for (int c = 0; c < Tile::kFragmentColumns; c += 2) {
      FragmentB first, second;
      load_b(b_side + (depth * Tile::kBPitch + c * 8), Tile::kBPitch, first, second);
#pragma unroll
      for (int r = 0; r < Tile::kFragmentRows; r++) {
        multiply_add<T>(a[r], first, sum[r][c]);
        multiply_add<T>(a[r], second, sum[r][c + 1]);
      }
    }
  }
}

// sum, which start() sets while the first buffers are on their way, += A B over all of depth.
template <class T, class Tile, class Start>
SEGNAS_DEVICE void multiply_tile(WindowA<T, Tile> &a, WindowB<T, Tile> &b, int64_t depth, Fragments<Tile> &sum, const Start &start) {
  const Shared<T> buffers = shared_memory<T>(0);
  const int steps = static_cast<int>(ceil_div<int64_t>(depth, Tile::kDepth));
  int filled = 0, fill = 0, read = 0;  // steps; the buffers that are filled and read next
  auto fill_next = [&] {
    if (filled < steps) {
      a.copy(buffers + fill * Tile::kBuffer);
      b.copy(buffers + (fill * Tile::kBuffer + Tile::kAElements));
    }
    close_batch();
    filled++;
    fill = fill + 1 < Tile::kStages ? fill + 1 : 0;
  };
#pragma unroll 1
  for (int i = 0; i + 1 < Tile::kStages; i++) fill_next();
  start();
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    await_batches<Tile::kStages - 2>();
    barrier();  // the step's buffer is there; that of the step before is read
    fill_next();
    multiply_buffer<T, Tile>(buffers + read * Tile::kBuffer, sum);
    read = read + 1 < Tile::kStages ? read + 1 : 0;
  }
}

// Four words of each of four neighbouring lanes, exchanged so that lane i's word j becomes lane j's word i. Of four fragments' words of a row, lane i
// then has fragment i's eight columns, 16 bytes of the row; and back.
SEGNAS_DEVICE void transpose_words(uint32_t (&words)[4]) {
#pragma unroll
  for (int by = 1; by <= 2; by *= 2) {
    const bool upper = lane() & by;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (i & by) continue;
      const uint32_t got = shuffle_xor(upper ? words[i] : words[i + by], by);
      if (upper) {
        words[i] = got;
      } else {
        words[i + by] = got;
      }
    }
  }
}

}  // namespace segnas::gpu
