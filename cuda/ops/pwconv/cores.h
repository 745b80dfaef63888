// tile.h's products on tensor cores, for sides of 16 bits: what a source makes (an activation, a gradient, a weight) is rounded to the half type on its way
// into shared memory, sums are float32 (arch/mma.h). A step is 16 deep. Each side lies as its source's rows do, so that four neighbours are one write:
// by lines where those run along the depth, by depth where they run along the lines; fragments are loaded turned or not.
//
// A warp of 32 x 64 takes 2 + 4 loads of 512 bytes for 16 products of 2048 multiply-adds, as session/warp_product.h, and the norm's arithmetic besides; the
// layers are bound by memory either way (2 bytes a value: 27 to 85 operations a byte where an H100 turns at 295). Sums then go through shared memory once, to
// the threads that the epilogues know: 8 bytes a sum, against 4 deep bytes of each side read before.
//
// Order: multiply_add's over ascending depths of 16, the bias last.
#pragma once
#include "../../arch/mma.h"
#include "tile.h"

namespace segnas::gpu {

// What kHasUnits says, of the device at hand.
template <class H>
segnas_status check_units(const char *name, const Stream *s, segnas_error *err) {
  if (!std::is_same_v<H, Bfloat16> || s->device->facts.major >= 8) return SEGNAS_OK;
  return fail(err, SEGNAS_NO_KERNEL, "%s: bfloat16 needs compute capability 8.0 or later, this device has %d.%d; half precision works", name,
              s->device->facts.major, s->device->facts.minor);
}

// A tile as its warps divide it.
template <class T>
struct Cores : T {
  static constexpr int kDepth = 16;
  static constexpr int kWarpsDown = T::kRows >= 64 ? T::kRows / 32 : 2, kWarpsAcross = T::kThreads / kWarp / kWarpsDown;
  static constexpr int kWarpRows = T::kRows / kWarpsDown, kWarpColumns = T::kColumns / kWarpsAcross;
  static constexpr int kFragmentRows = kWarpRows / 16, kFragmentColumns = kWarpColumns / 8;
  static_assert(kWarpRows % 16 == 0 && kWarpColumns % 16 == 0);

  // Sums pass to the epilogue's threads so many columns at a time.
  static constexpr int kSpan = T::kColumns < 64 ? T::kColumns : 64, kSpanPitch = kSpan + 4;

  SEGNAS_DEVICE static int warp_row() { return warp() / kWarpsAcross * kWarpRows; }
  SEGNAS_DEVICE static int warp_column() { return warp() % kWarpsAcross * kWarpColumns; }
};

// A side in shared memory.
template <int kLines, bool kAlong>
struct Side {
  static constexpr int kPitch = (kAlong ? 16 : kLines) + 8, kElements = (kAlong ? kLines : 16) * kPitch;
};

template <class T, bool kAAlong, bool kBAlong>
constexpr size_t cores_shared_bytes() {
  constexpr size_t kBuffers = 2 * (Side<T::kRows, kAAlong>::kElements + Side<T::kColumns, kBAlong>::kElements) * sizeof(uint16_t);
  constexpr size_t kSums = T::kRows * Cores<T>::kSpanPitch * sizeof(float);
  constexpr size_t kEither = kBuffers > kSums ? kBuffers : kSums;
  return kEither > T::kSharedBytes ? kEither : T::kSharedBytes;
}

template <class T>
using CoreSums = FragmentC[Cores<T>::kFragmentRows][Cores<T>::kFragmentColumns];

template <class T>
SEGNAS_DEVICE void clear_sums(CoreSums<T> &sum) {
#pragma unroll
  for (int r = 0; r < Cores<T>::kFragmentRows; r++)
#pragma unroll
    for (int c = 0; c < Cores<T>::kFragmentColumns; c++) sum[r][c] = {};
}

// sum += a step.
template <class T, class H, bool kAAlong, bool kBAlong>
SEGNAS_DEVICE void multiply_step_on_cores(Shared<H> a_side, Shared<H> b_side, CoreSums<T> &sum) {
  using C = Cores<T>;
  constexpr int kAPitch = Side<T::kRows, kAAlong>::kPitch, kBPitch = Side<T::kColumns, kBAlong>::kPitch;
  FragmentA a[C::kFragmentRows];
#pragma unroll
  for (int r = 0; r < C::kFragmentRows; r++) {
    const int line = C::warp_row() + r * 16;
    if constexpr (kAAlong) {
      a[r] = load_a(a_side + line * kAPitch, kAPitch);
    } else {
      a[r] = load_a_turned(a_side + line, kAPitch);
    }
  }
#pragma unroll
  for (int c = 0; c < C::kFragmentColumns; c += 2) {
    const int line = C::warp_column() + c * 8;
    FragmentB first, second;
    if constexpr (kBAlong) {
      load_b_turned(b_side + line * kBPitch, kBPitch, first, second);
    } else {
      load_b(b_side + line, kBPitch, first, second);
    }
#pragma unroll
    for (int r = 0; r < C::kFragmentRows; r++) {
      multiply_add<H>(a[r], first, sum[r][c]);
      multiply_add<H>(a[r], second, sum[r][c + 1]);
    }
  }
}

// sum += A B over depths [begin, end); as accumulate() in tile.h.
template <class T, class H, bool kAAlong, bool kBAlong, class A, class B, class After>
SEGNAS_DEVICE void accumulate_on_cores(A &a, B &b, int64_t begin, int64_t end, CoreSums<T> &sum, After &&after) {
  constexpr int kASide = Side<T::kRows, kAAlong>::kElements, kBuffer = kASide + Side<T::kColumns, kBAlong>::kElements;
  constexpr int kAPitch = Side<T::kRows, kAAlong>::kPitch, kBPitch = Side<T::kColumns, kBAlong>::kPitch, kDepth = Cores<T>::kDepth;
  Shared<H> buffer = shared_memory<H>(0);
  int at = 0;
  a.fetch(begin);
  b.fetch(begin);
  a.template put_rounded<kAPitch>(buffer);
  b.template put_rounded<kBPitch>(buffer + kASide);
  barrier();
  for (int64_t depth = begin; depth < end; depth += kDepth) {
    const bool more = depth + kDepth < end;
    if (more) {
      a.fetch(depth + kDepth);
      b.fetch(depth + kDepth);
    }
    multiply_step_on_cores<T, H, kAAlong, kBAlong>(buffer + at, buffer + (at + kASide), sum);
    at = kBuffer - at;
    if (more) {
      a.template put_rounded<kAPitch>(buffer + at);
      b.template put_rounded<kBPitch>(buffer + (at + kASide));
    }
    after();
    barrier();
  }
}

// The sums of the tile as tile.h gives them to threads. Ends with a barrier.
template <class T>
SEGNAS_DEVICE void hand_over(const CoreSums<T> &from, Accumulators<T> &sum) {
  using C = Cores<T>;
  Shared<float> tile = shared_memory<float>(0);
#pragma unroll
  for (int span = 0; span < T::kColumns; span += C::kSpan) {
#pragma unroll
    for (int r = 0; r < C::kFragmentRows; r++)
#pragma unroll
      for (int c = 0; c < C::kFragmentColumns; c++) {
        const int column = C::warp_column() + c * 8 - span;
        if (column < 0 || column >= C::kSpan) continue;
#pragma unroll
        for (int i = 0; i < 4; i++) tile[(C::warp_row() + r * 16 + fragment_row(i)) * C::kSpanPitch + column + fragment_column(i)] = from[r][c].at[i];
      }
    barrier();
#pragma unroll
    for (int g = 0; g < T::kThreadColumns; g += 4) {
      const int column = T::column(g) - span;
      if (column < 0 || column >= C::kSpan) continue;
#pragma unroll
      for (int r = 0; r < T::kThreadRows; r++) {
        const Float4 v = tile.template as<Float4>()[(T::row(r) * C::kSpanPitch + column) / 4];
        sum[r][g] = v.x, sum[r][g + 1] = v.y, sum[r][g + 2] = v.z, sum[r][g + 3] = v.w;
      }
    }
    barrier();
  }
}

}  // namespace segnas::gpu
