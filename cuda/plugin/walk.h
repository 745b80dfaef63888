// One to three f32 views of one shape, any rank and any strides, visited together: what elementwise operations and the optimiser launch.
// Nothing is reduced, so the cut into threads cannot change a bit; whether four elements move at once depends on alignment, and the bits do not.
#pragma once
#include "op.h"

namespace segnas::gpu {

template <int kViews>
struct Walk {
  float *base[kViews];
  int64_t total, run;  // elements in all; consecutive ones in every view
  int axes;            // outside the run, the innermost first
  bool narrow;         // element numbers fit into 32 bits, where division is several times cheaper
  bool by_four;        // every run begins 16-byte aligned in every view and has a multiple of four elements
  int64_t shape[SEGNAS_MAX_RANK];
  int64_t stride[kViews][SEGNAS_MAX_RANK];
};

template <int kViews>
Walk<kViews> walk_of(const segnas_tensor *const (&views)[kViews]) {
  Walk<kViews> w = {};
  w.total = w.run = 1;
  const segnas_tensor &first = *views[0];
  for (int view = 0; view < kViews; view++) w.base[view] = f32(*views[view]);
  for (int axis = first.rank - 1; axis >= 0; axis--) {
    const int64_t size = first.shape[axis];
    w.total *= size;
    if (size == 1) continue;
    bool in_run = w.axes == 0, joins = w.axes > 0;
    for (int view = 0; view < kViews; view++) {
      const int64_t stride = views[view]->stride[axis];
      in_run = in_run && stride == w.run;
      joins = joins && stride == w.shape[w.axes - 1] * w.stride[view][w.axes - 1];
    }
    if (in_run) {
      w.run *= size;
    } else if (joins) {
      w.shape[w.axes - 1] *= size;
    } else {
      for (int view = 0; view < kViews; view++) w.stride[view][w.axes] = views[view]->stride[axis];
      w.shape[w.axes++] = size;
    }
  }
  w.narrow = w.total < int64_t{1} << 31;
  w.by_four = w.run % 4 == 0;
  for (int view = 0; view < kViews; view++) {
    w.by_four = w.by_four && reinterpret_cast<uintptr_t>(w.base[view]) % sizeof(Float4) == 0;
    for (int axis = 0; axis < w.axes; axis++) w.by_four = w.by_four && w.stride[view][axis] % 4 == 0;
  }
  return w;
}

// Where element i, counted in row-major order, lies in each view.
template <class Integer, int kViews>
SEGNAS_DEVICE void locate(const Walk<kViews> &w, Integer i, float *(&at)[kViews]) {
  Integer row = w.axes == 0 ? 0 : i / static_cast<Integer>(w.run);
  const Integer inside = w.axes == 0 ? i : i - row * static_cast<Integer>(w.run);
  for (int view = 0; view < kViews; view++) at[view] = w.base[view] + inside;
#if !defined(SEGNAS_SIM)
#pragma unroll
#endif
  for (int axis = 0; axis < SEGNAS_MAX_RANK; axis++) {
    if (axis >= w.axes) break;
    const Integer above = row / static_cast<Integer>(w.shape[axis]);
    const Integer index = row - above * static_cast<Integer>(w.shape[axis]);
    for (int view = 0; view < kViews; view++) at[view] += static_cast<int64_t>(index) * w.stride[view][axis];
    row = above;
  }
}
template <int kViews>
SEGNAS_DEVICE void locate_element(const Walk<kViews> &w, int64_t i, float *(&at)[kViews]) {
  if (w.narrow) {
    locate(w, static_cast<uint32_t>(i), at);
  } else {
    locate(w, i, at);
  }
}

constexpr int kWalkThreads = 256;

// map(v) computes on one element of each view in place: Map::kViews of them, those in the bit set kReads loaded before, those in kWrites stored
// after. A view that is written may be one that is read.
template <bool kByFour, class Map>
SEGNAS_KERNEL(kWalkThreads) map_elements(const Walk<Map::kViews> w, const Map map) {
  constexpr int kViews = Map::kViews, kStep = kByFour ? 4 : 1;
  const int64_t i = (static_cast<int64_t>(block_x()) * threads() + thread()) * kStep;
  if (i >= w.total) return;
  float *at[kViews];
  locate_element(w, i, at);
  float v[kStep][kViews];
  for (int view = 0; view < kViews; view++) {
    if (!(Map::kReads >> view & 1)) continue;
    if constexpr (kByFour) {
      const Float4 four = *reinterpret_cast<const Float4 *>(at[view]);
      v[0][view] = four.x, v[1][view] = four.y, v[2][view] = four.z, v[3][view] = four.w;
    } else {
      v[0][view] = *at[view];
    }
  }
  for (int step = 0; step < kStep; step++) map(v[step]);
  for (int view = 0; view < kViews; view++) {
    if (!(Map::kWrites >> view & 1)) continue;
    if constexpr (kByFour) {
      *reinterpret_cast<Float4 *>(at[view]) = {v[0][view], v[1][view], v[2][view], v[3][view]};
    } else {
      *at[view] = v[0][view];
    }
  }
}

template <class Map>
segnas_status map_views(const char *name, void *stream, const segnas_tensor *const (&views)[Map::kViews], const Map &map, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  const auto w = walk_of(views);
  const Grid grid = {.x = ceil_div(w.total, int64_t{kWalkThreads} * (w.by_four ? 4 : 1)), .threads = kWalkThreads};
  SEGNAS_GPU_TRY(launch(name, s->raw, err, grid, w.by_four ? map_elements<true, Map> : map_elements<false, Map>, w, map));
  return succeed(err);
}

}  // namespace segnas::gpu
