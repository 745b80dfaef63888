// The fused block's products: a warp makes 32 rows x 32 columns of sums, A [row][depth] and B [depth][column] in shared memory.
//
// A lane has kRows rows of kGroups groups of kWidth neighbouring columns:
//   Half, Bfloat16   2 x 4 fragments of the tensor cores (arch/mma.h): 4 rows of 4 pairs. A depth of 16 takes 2 + 2 loads of 512 bytes for 8
//                    products: 16 clocks of a multiprocessor's shared memory for 8 of the tensor cores by mma.sync on an H100
//   float            8 rows of a quad. Four depths take 8 + 4 loads of a quad for 128 FMAs, 24 to 32 clocks of shared memory for 32 of the FMA units
// Sums are chains over ascending depth, whatever the stored type.
#pragma once
#include "../arch/copy.h"
#include "../arch/mma.h"
#include "../plugin/storage.h"

namespace segnas::gpu {

template <class T>
struct WarpSum {
  static constexpr int kRows = 4, kGroups = 4, kWidth = 2, kDepth = 16;
  FragmentC at[2][4];

  SEGNAS_DEVICE static int row(int i) { return i / 2 * 16 + fragment_row(i % 2 * 2); }
  SEGNAS_DEVICE static int column(int group) { return group * 8 + fragment_column(0); }
  SEGNAS_DEVICE float &value(int i, int group, int e) { return at[i / 2][group].at[i % 2 * 2 + e]; }

  // depth: a multiple of kDepth.
  SEGNAS_DEVICE void add(Shared<T> a, int a_pitch, Shared<T> b, int b_pitch, int depth) {
#pragma unroll 2
    for (int d = 0; d < depth; d += kDepth) {
      const FragmentA upper = load_a(a + d, a_pitch), lower = load_a(a + (16 * a_pitch + d), a_pitch);
#pragma unroll
      for (int c = 0; c < 4; c += 2) {
        FragmentB first, second;
        load_b(b + (d * b_pitch + c * 8), b_pitch, first, second);
        multiply_add<T>(upper, first, at[0][c]);
        multiply_add<T>(lower, first, at[1][c]);
        multiply_add<T>(upper, second, at[0][c + 1]);
        multiply_add<T>(lower, second, at[1][c + 1]);
      }
    }
  }
};

template <>
struct WarpSum<float> {
  static constexpr int kRows = 8, kGroups = 1, kWidth = 4, kDepth = 4;
  float at[kRows][kWidth];

  SEGNAS_DEVICE static int row(int i) { return i * 4 + lane() / 8; }
  SEGNAS_DEVICE static int column(int) { return lane() % 8 * 4; }
  SEGNAS_DEVICE float &value(int i, int, int e) { return at[i][e]; }

  SEGNAS_DEVICE void add(Shared<float> a, int a_pitch, Shared<float> b, int b_pitch, int depth) {
    const Shared<float> own_a = a + row(0) * a_pitch, own_b = b + column(0);
#pragma unroll 1
    for (int d = 0; d < depth; d += kDepth) {
      Float4 w[kDepth];
#pragma unroll
      for (int e = 0; e < kDepth; e++) w[e] = (own_b + (d + e) * b_pitch).template as<Float4>()[0];
#pragma unroll
      for (int i = 0; i < kRows; i++) {
        const Float4 x = (own_a + (4 * i * a_pitch + d)).template as<Float4>()[0];
        add_one(at[i], x.x, w[0]);
        add_one(at[i], x.y, w[1]);
        add_one(at[i], x.z, w[2]);
        add_one(at[i], x.w, w[3]);
      }
    }
  }

 private:
  SEGNAS_DEVICE static void add_one(float (&sum)[kWidth], float x, const Float4 &w) {
    sum[0] = fused_multiply_add(x, w.x, sum[0]);
    sum[1] = fused_multiply_add(x, w.y, sum[1]);
    sum[2] = fused_multiply_add(x, w.z, sum[2]);
    sum[3] = fused_multiply_add(x, w.w, sum[3]);
  }
};

// ---------------------------------------------------------------- groups of neighbouring channels in shared memory

struct alignas(8) Float2 {
  float x, y;
};

template <class T>
SEGNAS_DEVICE void put_group(Shared<T> to, const float (&v)[2]) {
  to.template as<uint32_t>()[0] = pair_of(from_float<T>(v[0]), from_float<T>(v[1]));
}
SEGNAS_DEVICE void put_group(Shared<float> to, const float (&v)[2]) { to.as<Float2>()[0] = Float2{v[0], v[1]}; }
SEGNAS_DEVICE void put_group(Shared<float> to, const float (&v)[4]) { to.as<Float4>()[0] = Float4{v[0], v[1], v[2], v[3]}; }

template <class T>
SEGNAS_DEVICE Float2 get_pair(Shared<T> from) {
  const uint32_t pair = from.template as<uint32_t>()[0];
  return {to_float(low_of<T>(pair)), to_float(high_of<T>(pair))};
}
SEGNAS_DEVICE Float2 get_pair(Shared<float> from) { return from.as<Float2>()[0]; }

// ---------------------------------------------------------------- copies to shared memory

// `count` elements, at most what 16 bytes hold, and zeros.
template <class T>
SEGNAS_DEVICE Chunk gathered(const T *from, int count) {
  constexpr int kEach = sizeof(Chunk) / sizeof(T);
  Chunk chunk = {};
  if constexpr (sizeof(T) == 4) {
    union {
      float number;
      uint32_t word;
    } v;
#pragma unroll
    for (int e = 0; e < kEach; e++)
      if (e < count) v.number = from[e], chunk.at[e] = v.word;
  } else {
#pragma unroll
    for (int e = 0; e < kEach; e++)
      if (e < count) chunk.at[e / 2] |= static_cast<uint32_t>(from[e].bits) << e % 2 * 16;
  }
  return chunk;
}

// Lines of by.by 16 bytes to [lines][pitch], by the whole block. line(i): where the i-th begins, or NULL: zeros. Of a line `count` elements are
// there, the rest are zeros. whole: lines begin on 16 bytes and count fills them. any: an address on 16 bytes that can be read.
template <class T, class Divides, class Line>
SEGNAS_DEVICE void copy_lines(Shared<T> to, int pitch, int lines, const Divides &by, int count, bool whole, const T *any, const Line &line) {
  constexpr int kEach = sizeof(Chunk) / sizeof(T);
#pragma unroll 1
  for (int i = thread(); i < lines * by.by; i += threads()) {
    const int l = by(i), e = (i - l * by.by) * kEach;
    const T *from = line(l);
    const bool there = from != nullptr && e < count;
    const Shared<Chunk> place = (to + (l * pitch + e)).template as<Chunk>();
    if (whole) {
      copy_chunk(place, there ? from + e : any, there);
    } else {
      place[0] = there ? gathered(from + e, count - e) : Chunk{};
    }
  }
}

}  // namespace segnas::gpu
