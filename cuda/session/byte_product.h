// A tile of a matrix product of bytes, made by the tensor cores (arch/mma.h): warp_product.h with another right side.
//
// C[m,n] += A[m,k] B[n,k]: A's bytes unsigned, B's signed and stored by columns, so that the depth lies along the lines of both. Lines are whole 16 bytes, and
// are moved and loaded as pairs of bytes: kDepth pairs a step, with 16 bytes more a line in shared memory than a multiple of 32. Sums are exact: any order.
#pragma once
#include "warp_product.h"

namespace segnas::gpu {

// Warp: a WarpTile, whose depth counts pairs.
template <class Warp>
struct ByteTile : Warp {
  static constexpr int kPitch = Warp::kAPitch, kLeft = Warp::kRows * kPitch, kBuffer = kLeft + Warp::kColumns * kPitch;
  static constexpr size_t kSharedBytes = Warp::kStages * kBuffer * sizeof(BytePair);
};

template <class Tile>
using ByteSums = FragmentS[Tile::kFragmentRows][Tile::kFragmentColumns];

template <class Tile>
using ByteRows = Window<BytePair, Tile::kThreads, Tile::kRows, Tile::kDepth, Tile::kPitch, true>;
template <class Tile>
using ByteColumns = Window<BytePair, Tile::kThreads, Tile::kColumns, Tile::kDepth, Tile::kPitch, true>;

template <class Tile>
SEGNAS_DEVICE void multiply_byte_buffer(Shared<BytePair> buffer, ByteSums<Tile> &sum) {
  const Shared<BytePair> a_side = buffer + Tile::warp_row() * Tile::kPitch, b_side = buffer + (Tile::kLeft + Tile::warp_column() * Tile::kPitch);
#pragma unroll
  for (int depth = 0; depth < Tile::kDepth; depth += 16) {
    FragmentA a[Tile::kFragmentRows];
#pragma unroll
    for (int r = 0; r < Tile::kFragmentRows; r++) a[r] = load_a(a_side + (r * 16 * Tile::kPitch + depth), Tile::kPitch);
#pragma unroll
    for (int c = 0; c < Tile::kFragmentColumns; c += 2) {
      FragmentB first, second;
      load_b_turned(b_side + (c * 8 * Tile::kPitch + depth), Tile::kPitch, first, second);
#pragma unroll
      for (int r = 0; r < Tile::kFragmentRows; r++) {
        multiply_add_bytes(a[r], first, sum[r][c]);
        multiply_add_bytes(a[r], second, sum[r][c + 1]);
      }
    }
  }
}

// sum, which start() sets while the first buffers are on their way, += A B over `pairs` of depth. Buffers go round as in multiply_tile.
template <class Tile, class Start>
SEGNAS_DEVICE void multiply_byte_tile(ByteRows<Tile> &a, ByteColumns<Tile> &b, int64_t pairs, ByteSums<Tile> &sum, const Start &start) {
  const Shared<BytePair> buffers = shared_memory<BytePair>(0);
  const int steps = static_cast<int>(ceil_div<int64_t>(pairs, Tile::kDepth));
  int filled = 0, fill = 0, read = 0;
  auto fill_next = [&] {
    if (filled < steps) {
      a.copy(buffers + fill * Tile::kBuffer);
      b.copy(buffers + (fill * Tile::kBuffer + Tile::kLeft));
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
    multiply_byte_buffer<Tile>(buffers + read * Tile::kBuffer, sum);
    read = read + 1 < Tile::kStages ? read + 1 : 0;
  }
}

}  // namespace segnas::gpu
