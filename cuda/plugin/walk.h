// One to three views of one shape and one type of activations, any rank and any strides, visited together: what elementwise operations and the optimiser launch.
// Nothing is reduced, so the cut into threads cannot change a bit; whether four elements move at once depends on alignment, and the bits do not.
#pragma once
#include "storage.h"

#include "op.h"

namespace segnas::gpu {

template <class T, int kViews>
struct Walk {
  T *base[kViews];
  int64_t total, run;  // elements in all; consecutive ones in every view
  int axes;            // outside the run, the innermost first
  bool narrow;         // element numbers fit into 32 bits, where division is several times cheaper
  bool by_four;        // every run begins on four elements' bytes in every view and has a multiple of four elements
  int64_t shape[SEGNAS_MAX_RANK];
  int64_t stride[kViews][SEGNAS_MAX_RANK];
};

template <class T, int kViews>
Walk<T, kViews> walk_of(const segnas_tensor *const (&views)[kViews]) {
  Walk<T, kViews> w = {};
  w.total = w.run = 1;
  const segnas_tensor &first = *views[0];
  for (int view = 0; view < kViews; view++) w.base[view] = stored<T>(*views[view]);
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
    w.by_four = w.by_four && packs<4>(w.base[view], 4);
    for (int axis = 0; axis < w.axes; axis++) w.by_four = w.by_four && w.stride[view][axis] % 4 == 0;
  }
  return w;
}

// Where element i, counted in row-major order, lies in each view.
template <class Integer, class T, int kViews>
SEGNAS_DEVICE void locate(const Walk<T, kViews> &w, Integer i, T *(&at)[kViews]) {
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
template <class T, int kViews>
SEGNAS_DEVICE void locate_element(const Walk<T, kViews> &w, int64_t i, T *(&at)[kViews]) {
  if (w.narrow) {
    locate(w, static_cast<uint32_t>(i), at);
  } else {
    locate(w, i, at);
  }
}

constexpr int kWalkThreads = 256;

// map(v) computes on one element of each view in place: Map::kViews of them, those in the bit set kReads loaded before, those in kWrites stored
// after. A view that is written may be one that is read.
template <class T, bool kByFour, class Map>
SEGNAS_KERNEL(kWalkThreads) map_elements(const Walk<T, Map::kViews> w, const Map map) {
  constexpr int kViews = Map::kViews, kStep = kByFour ? 4 : 1;
  const int64_t i = (static_cast<int64_t>(block_x()) * threads() + thread()) * kStep;
  if (i >= w.total) return;
  T *at[kViews];
  locate_element(w, i, at);
  float v[kStep][kViews];
  for (int view = 0; view < kViews; view++) {
    if (!(Map::kReads >> view & 1)) continue;
    float loaded[kStep];
    load_pack(at[view], loaded);
    for (int step = 0; step < kStep; step++) v[step][view] = loaded[step];
  }
  for (int step = 0; step < kStep; step++) map(v[step]);
  for (int view = 0; view < kViews; view++) {
    if (!(Map::kWrites >> view & 1)) continue;
    float made[kStep];
    for (int step = 0; step < kStep; step++) made[step] = v[step][view];
    store_pack(at[view], made);
  }
}

template <class Map>
segnas_status map_views(const char *name, void *stream, const segnas_tensor *const (&views)[Map::kViews], const Map &map, segnas_error *err) {
  Stream *s;
  SEGNAS_GPU_TRY(Stream::enter(stream, &s, err));
  SEGNAS_GPU_TRY(with_activation(*views[0], [&](auto type) {
    using T = decltype(type);
    const auto w = walk_of<T>(views);
    const Grid grid = {.x = ceil_div(w.total, int64_t{kWalkThreads} * (w.by_four ? 4 : 1)), .threads = kWalkThreads};
    return launch(name, s->raw, err, grid, w.by_four ? map_elements<T, true, Map> : map_elements<T, false, Map>, w, map);
  }));
  return succeed(err);
}

}  // namespace segnas::gpu
