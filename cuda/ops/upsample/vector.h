// What a thread of the resizing kernels holds of a pixel: one channel, or four (of sixteen-bit types eight) that lie aligned. How the bytes move
// never changes a sum.
#pragma once
#include "../../plugin/interpolation.h"
#include "../../plugin/storage.h"

namespace segnas::gpu {

template <int kWidth>
struct Channels {
  float at[kWidth];
};

template <int kWidth, class Stored>
SEGNAS_DEVICE Channels<kWidth> load_channels(const Stored *from) {
  Channels<kWidth> v;
  load_pack<kWidth>(from, v.at);
  return v;
}

template <int kWidth, class Stored>
SEGNAS_DEVICE void store_channels(Stored *to, const Channels<kWidth> &v) {
  store_pack<kWidth>(to, v.at);
}

// w0 a + w1 b, each product and the sum rounded, as on the CPU.
template <int kWidth>
SEGNAS_DEVICE Channels<kWidth> lerp(float w0, const Channels<kWidth> &a, float w1, const Channels<kWidth> &b) {
  Channels<kWidth> v;
  for (int i = 0; i < kWidth; i++) v.at[i] = w0 * a.at[i] + w1 * b.at[i];
  return v;
}

template <int kWidth>
SEGNAS_DEVICE void add_product(Channels<kWidth> *sum, float weight, const Channels<kWidth> &v) {
  for (int i = 0; i < kWidth; i++) sum->at[i] += weight * v.at[i];
}

}  // namespace segnas::gpu
