// A warp's product of small matrices, D[16,8] += A[16,16] B[16,8], with factors of sixteen bits and sums of float32: the tensor cores'
// mma.sync.m16n8k16. All 32 lanes call together.
//
// Who holds what, with group = lane() / 4 and place = lane() % 4; a pair is two neighbours of depth in one word, the lower depth in the lower bits:
//   FragmentA  at[0] row group,     depths 2 place + {0, 1}       FragmentB  at[0] depths 2 place + {0, 1},     column group
//              at[1] row group + 8, depths 2 place + {0, 1}                  at[1] depths 2 place + 8 + {0, 1}, column group
//              at[2] row group,     depths 2 place + 8 + {0, 1}
//              at[3] row group + 8, depths 2 place + 8 + {0, 1}
//   FragmentC  at[0], at[1] row group,     columns 2 place + {0, 1}
//              at[2], at[3] row group + 8, columns 2 place + {0, 1}
// So FragmentC::at[i] is fragment_row(i), fragment_column(i), and neighbours at[0], at[1] of a half type are one word of a row.
//
// Fragments are loaded from tiles in shared memory whose rows begin on 16 bytes: pitch, in elements, is a multiple of 8. A load reads eight rows of
// 16 bytes at a time: no two of them meet in a bank when pitch is 8 more than a multiple of 16.
//
// Numbers: products are exact. The portable form adds them one by one over ascending depth, each sum rounded. The units add the products of an
// instruction and the sum in one go, aligned to the largest of them and cut off below what they keep: an error of the same size, not the same bits.
// Which form runs depends on the card alone, so one card gives one result.
//
// Half takes one instruction from sm_80 on and two of depth 8 on sm_75. Bfloat16 takes one from sm_80 on; sm_75 cannot multiply it, and takes the
// portable form: right, and slow (32 shuffles and 64 FMAs in place of two instructions).
//
// Bytes: multiply_add_bytes takes the same words, of which each holds four neighbours of depth in place of two, so that the depth is 32: at[0] and FragmentA's
// at[1] have depths 4 place + {0, 1, 2, 3}, the others 16 more. A's are unsigned, B's signed, sums exact in 32 bits (FragmentS, laid out as FragmentC).
// Tiles of them are loaded as BytePair, two bytes of depth an element. One instruction from sm_80 on (m16n8k32), four of m8n8k16 on sm_75.
#pragma once
#include <type_traits>

#include "half.h"

namespace segnas::gpu {

struct FragmentA {
  uint32_t at[4];
};
struct FragmentB {
  uint32_t at[2];
};
struct FragmentC {
  float at[4];
};
struct FragmentS {
  int32_t at[4];
};

// Two bytes, as loads from shared memory move them.
struct BytePair {
  uint16_t bits;
};

SEGNAS_DEVICE int fragment_row(int i) { return lane() / 4 + i / 2 * 8; }
SEGNAS_DEVICE int fragment_column(int i) { return lane() % 4 * 2 + i % 2; }

// Two values as a fragment's word, the lower depth (or column) first.
template <class T>
SEGNAS_DEVICE uint32_t pair_of(T low, T high) {
  return static_cast<uint32_t>(low.bits) | static_cast<uint32_t>(high.bits) << 16;
}
template <class T>
SEGNAS_DEVICE T low_of(uint32_t pair) {
  return T{static_cast<uint16_t>(pair)};
}
template <class T>
SEGNAS_DEVICE T high_of(uint32_t pair) {
  return T{static_cast<uint16_t>(pair >> 16)};
}

// ---------------------------------------------------------------- the product

// The portable form: every lane fetches the rows and columns of its sums from the lanes that hold them.
template <class T>
SEGNAS_DEVICE void multiply_add_portable(const FragmentA &a, const FragmentB &b, FragmentC &c) {
  const int group = lane() / 4, place = lane() % 4;
  const uint64_t b_pairs = b.at[0] | static_cast<uint64_t>(b.at[1]) << 32;
  uint64_t left[4], right[4];  // of this lane's two columns, by place: depths 0 to 7 below, 8 to 15 above
#pragma unroll
  for (int p = 0; p < 4; p++) {
    left[p] = shuffle(b_pairs, 8 * place + p);
    right[p] = shuffle(b_pairs, 8 * place + 4 + p);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const uint64_t a_pairs = a.at[2 * half] | static_cast<uint64_t>(a.at[2 * half + 1]) << 32;
#pragma unroll
    for (int p = 0; p < 4; p++) {
      const uint64_t rows = shuffle(a_pairs, 4 * group + p);
      const uint32_t row[2] = {static_cast<uint32_t>(rows), static_cast<uint32_t>(rows >> 32)};
      const uint32_t column[2] = {static_cast<uint32_t>(left[p] >> 32 * half), static_cast<uint32_t>(right[p] >> 32 * half)};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        c.at[i] = fused_multiply_add(to_float(low_of<T>(row[i / 2])), to_float(low_of<T>(column[i % 2])), c.at[i]);
        c.at[i] = fused_multiply_add(to_float(high_of<T>(row[i / 2])), to_float(high_of<T>(column[i % 2])), c.at[i]);
      }
    }
  }
}

#if defined(SEGNAS_SIM)

// The portable form with one exchange in place of sixteen: the same sums in the same order.
template <class T>
void multiply_add(const FragmentA &a, const FragmentB &b, FragmentC &c, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  sim::Handed own;
  static_assert(sizeof own == sizeof a + sizeof b);
  std::memcpy(own.at, &a, sizeof a);
  std::memcpy(own.at + 2, &b, sizeof b);
  const sim::Handed *all = sim::hand_over(own, {file, line});
  const int group = lane() / 4, place = lane() % 4;
  float rows[2][16], columns[2][16];
  for (int p = 0; p < 4; p++) {
    FragmentA of_rows;
    std::memcpy(&of_rows, all[4 * group + p].at, sizeof of_rows);
    for (int i = 0; i < 4; i++) {
      rows[i % 2][8 * (i / 2) + 2 * p] = to_float(low_of<T>(of_rows.at[i]));
      rows[i % 2][8 * (i / 2) + 2 * p + 1] = to_float(high_of<T>(of_rows.at[i]));
    }
    for (int j = 0; j < 2; j++) {
      FragmentB of_column;
      std::memcpy(&of_column, all[8 * place + 4 * j + p].at + 2, sizeof of_column);
      for (int half = 0; half < 2; half++) {
        columns[j][8 * half + 2 * p] = to_float(low_of<T>(of_column.at[half]));
        columns[j][8 * half + 2 * p + 1] = to_float(high_of<T>(of_column.at[half]));
      }
    }
  }
  for (int i = 0; i < 4; i++)
    for (int depth = 0; depth < 16; depth++) c.at[i] = fused_multiply_add(rows[i / 2][depth], columns[i % 2][depth], c.at[i]);
}

inline void multiply_add_bytes(const FragmentA &a, const FragmentB &b, FragmentS &s, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  sim::Handed own;
  static_assert(sizeof own == sizeof a + sizeof b);
  std::memcpy(own.at, &a, sizeof a);
  std::memcpy(own.at + 2, &b, sizeof b);
  const sim::Handed *all = sim::hand_over(own, {file, line});
  const int group = lane() / 4, place = lane() % 4;
  for (int p = 0; p < 4; p++) {
    FragmentA of_rows;
    std::memcpy(&of_rows, all[4 * group + p].at, sizeof of_rows);
    for (int j = 0; j < 2; j++) {
      FragmentB of_column;
      std::memcpy(&of_column, all[8 * place + 4 * j + p].at + 2, sizeof of_column);
      for (int i = 0; i < 4; i++) s.at[i % 2 * 2 + j] = dot_bytes(of_rows.at[i], of_column.at[i / 2], s.at[i % 2 * 2 + j]);
    }
  }
}

#else

// T: Half or Bfloat16.
template <class T>
SEGNAS_DEVICE void multiply_add(const FragmentA &a, const FragmentB &b, FragmentC &c);

template <>
SEGNAS_DEVICE void multiply_add<Half>(const FragmentA &a, const FragmentB &b, FragmentC &c) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]));
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(b.at[0]));
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
      : "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[1]));
#endif
}

template <>
SEGNAS_DEVICE void multiply_add<Bfloat16>(const FragmentA &a, const FragmentB &b, FragmentC &c) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]));
#else
  multiply_add_portable<Bfloat16>(a, b, c);
#endif
}

SEGNAS_DEVICE void multiply_add_bytes(const FragmentA &a, const FragmentB &b, FragmentS &s) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(s.at[0]), "+r"(s.at[1]), "+r"(s.at[2]), "+r"(s.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]));
#else
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
        : "+r"(s.at[i % 2 * 2]), "+r"(s.at[i % 2 * 2 + 1])
        : "r"(a.at[i]), "r"(b.at[i / 2]));
#endif
}

#endif

// Whether the card that is compiled for multiplies T. Without, Bfloat16's portable form takes more registers than large tiles have: their host code
// refuses such cards, and `if constexpr` leaves no code for them.
#if !defined(SEGNAS_SIM) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <class T>
constexpr bool kHasUnits = !std::is_same_v<T, Bfloat16>;
#else
template <class T>
constexpr bool kHasUnits = true;
#endif

// ---------------------------------------------------------------- loads from shared memory

// tile: the fragment's first element, on 16 bytes; a barrier (of the warp, if the warp wrote it) since it was written.

#if defined(SEGNAS_SIM)

namespace sim {

// What a lane of ldmatrix reads. Its alignment, and what others may have written there, are checked as they would matter.
struct alignas(16) MatrixRow {
  uint32_t at[4];
};
template <class T>
void read_matrix_row(Shared<T> tile, int row, int column, int pitch) {
  static_cast<void>(static_cast<MatrixRow>((tile + row * pitch + column).template as<MatrixRow>()[0]));
}
// Two neighbours of a row, column being even.
template <class T>
uint32_t row_pair(Shared<T> tile, int row, int column, int pitch) {
  return (tile + row * pitch + column).template as<uint32_t>()[0];
}
// Two neighbours of a column.
template <class T>
uint32_t column_pair(Shared<T> tile, int row, int column, int pitch) {
  const uint32_t above = row_pair(tile, row, column & ~1, pitch), below = row_pair(tile, row + 1, column & ~1, pitch);
  return column & 1 ? above >> 16 | (below & 0xffff0000) : (above & 0xffff) | below << 16;
}

}  // namespace sim

// A, stored [row][depth].
template <class T>
FragmentA load_a(Shared<T> tile, int pitch) {
  const int group = lane() / 4, place = lane() % 4;
  sim::read_matrix_row(tile, lane() % 16, lane() / 16 * 8, pitch);
  return {{sim::row_pair(tile, group, 2 * place, pitch), sim::row_pair(tile, group + 8, 2 * place, pitch),
           sim::row_pair(tile, group, 2 * place + 8, pitch), sim::row_pair(tile, group + 8, 2 * place + 8, pitch)}};
}

// A, stored [depth][row].
template <class T>
FragmentA load_a_turned(Shared<T> tile, int pitch) {
  const int group = lane() / 4, place = lane() % 4;
  sim::read_matrix_row(tile, lane() % 8 + lane() / 16 * 8, lane() / 8 % 2 * 8, pitch);
  return {{sim::column_pair(tile, 2 * place, group, pitch), sim::column_pair(tile, 2 * place, group + 8, pitch),
           sim::column_pair(tile, 2 * place + 8, group, pitch), sim::column_pair(tile, 2 * place + 8, group + 8, pitch)}};
}

// Columns 0 to 7 and 8 to 15 of B, stored [column][depth].
template <class T>
void load_b_turned(Shared<T> tile, int pitch, FragmentB &first, FragmentB &second) {
  const int group = lane() / 4, place = lane() % 4;
  sim::read_matrix_row(tile, lane() % 8 + lane() / 16 * 8, lane() / 8 % 2 * 8, pitch);
  first = {{sim::row_pair(tile, group, 2 * place, pitch), sim::row_pair(tile, group, 2 * place + 8, pitch)}};
  second = {{sim::row_pair(tile, group + 8, 2 * place, pitch), sim::row_pair(tile, group + 8, 2 * place + 8, pitch)}};
}

// B, stored [depth][column].
template <class T>
FragmentB load_b(Shared<T> tile, int pitch) {
  const int group = lane() / 4, place = lane() % 4;
  sim::read_matrix_row(tile, lane() % 16, 0, pitch);
  return {{sim::column_pair(tile, 2 * place, group, pitch), sim::column_pair(tile, 2 * place + 8, group, pitch)}};
}

// Columns 0 to 7 and 8 to 15 of B, stored [depth][column].
template <class T>
void load_b(Shared<T> tile, int pitch, FragmentB &first, FragmentB &second) {
  first = load_b(tile, pitch);
  second = load_b(tile + 8, pitch);
}

#else

template <class T>
SEGNAS_DEVICE uint32_t shared_address(Shared<T> at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(&at[0]));
}

// A, stored [row][depth].
template <class T>
SEGNAS_DEVICE FragmentA load_a(Shared<T> tile, int pitch) {
  FragmentA a;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(a.at[0]), "=r"(a.at[1]), "=r"(a.at[2]), "=r"(a.at[3])
               : "r"(shared_address(tile + (lane() % 16 * pitch + lane() / 16 * 8)))
               : "memory");
  return a;
}

// A, stored [depth][row].
template <class T>
SEGNAS_DEVICE FragmentA load_a_turned(Shared<T> tile, int pitch) {
  FragmentA a;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(a.at[0]), "=r"(a.at[1]), "=r"(a.at[2]), "=r"(a.at[3])
               : "r"(shared_address(tile + ((lane() % 8 + lane() / 16 * 8) * pitch + lane() / 8 % 2 * 8)))
               : "memory");
  return a;
}

// Columns 0 to 7 and 8 to 15 of B, stored [column][depth].
template <class T>
SEGNAS_DEVICE void load_b_turned(Shared<T> tile, int pitch, FragmentB &first, FragmentB &second) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(first.at[0]), "=r"(first.at[1]), "=r"(second.at[0]), "=r"(second.at[1])
               : "r"(shared_address(tile + ((lane() % 8 + lane() / 16 * 8) * pitch + lane() / 8 % 2 * 8)))
               : "memory");
}

// B, stored [depth][column].
template <class T>
SEGNAS_DEVICE FragmentB load_b(Shared<T> tile, int pitch) {
  FragmentB b;
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(b.at[0]), "=r"(b.at[1])
               : "r"(shared_address(tile + lane() % 16 * pitch))
               : "memory");
  return b;
}

// Columns 0 to 7 and 8 to 15 of B, stored [depth][column].
template <class T>
SEGNAS_DEVICE void load_b(Shared<T> tile, int pitch, FragmentB &first, FragmentB &second) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(first.at[0]), "=r"(first.at[1]), "=r"(second.at[0]), "=r"(second.at[1])
               : "r"(shared_address(tile + (lane() % 16 * pitch + lane() / 16 * 8)))
               : "memory");
}

#endif

}  // namespace segnas::gpu
