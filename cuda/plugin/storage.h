// How kernels read and write what is stored: they compute in float and name the stored type by a template's argument, so that another type needs its
// load and store here and nothing else in them.
#pragma once
#include "../arch/half.h"

namespace segnas::gpu {

SEGNAS_DEVICE float load(const float *p) { return *p; }
SEGNAS_DEVICE void store(float *p, float v) { *p = v; }
SEGNAS_DEVICE float load(const Half *p) { return to_float(*p); }
SEGNAS_DEVICE void store(Half *p, float v) { *p = from_float<Half>(v); }
SEGNAS_DEVICE float load(const Bfloat16 *p) { return to_float(*p); }
SEGNAS_DEVICE void store(Bfloat16 *p, float v) { *p = from_float<Bfloat16>(v); }

// N neighbours on N elements' bytes: one access.
template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T at[N];
};

template <int N, class T>
SEGNAS_DEVICE void load_pack(const T *p, float (&to)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N> *>(p);
#pragma unroll
  for (int i = 0; i < N; i++) to[i] = load(&pack.at[i]);
}
template <int N, class T>
SEGNAS_DEVICE void store_pack(T *p, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; i++) store(&pack.at[i], from[i]);
  *reinterpret_cast<Pack<T, N> *>(p) = pack;
}

// Rows `pitch` elements apart that start at p can be read and written in packs of N.
template <int N, class T>
bool packs(const T *p, int64_t pitch) {
  return reinterpret_cast<uintptr_t>(p) % (N * sizeof(T)) == 0 && pitch % N == 0;
}

}  // namespace segnas::gpu
