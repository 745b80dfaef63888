// Float32 to the stored type and back, contiguous numbers: 6 bytes each, and memory is the floor.
#include "../plugin/storage.h"
#include "convert.h"

namespace segnas::gpu {
namespace {

constexpr int kThreads = 256, kEach = 4;

// Each thread takes four neighbours; memory of a session begins 256-byte aligned.
template <class From, class To>
SEGNAS_KERNEL(kThreads) convert_all(const From *from, To *to, int64_t count) {
  const int64_t i = (static_cast<int64_t>(block_x()) * kThreads + thread()) * kEach;
  if (i + kEach <= count) {
    float v[kEach];
    load_pack(from + i, v);
    store_pack(to + i, v);
    return;
  }
  for (int64_t k = i; k < count; k++) store(to + k, load(from + k));
}

template <class From, class To>
segnas_status run(Stream *s, const void *from, void *to, int64_t count, segnas_error *err) {
  const Grid grid = {.x = ceil_div<int64_t>(count, kThreads * kEach), .threads = kThreads};
  return launch("session_convert", s->raw, err, grid, convert_all<From, To>, static_cast<const From *>(from), static_cast<To *>(to), count);
}

}  // namespace

segnas_status session_to_stored(Stream *s, const float *from, Stored stored, void *to, int64_t count, segnas_error *err) {
  return stored == Stored::kHalf ? run<float, Half>(s, from, to, count, err) : run<float, Bfloat16>(s, from, to, count, err);
}

segnas_status session_to_floats(Stream *s, const void *from, Stored stored, float *to, int64_t count, segnas_error *err) {
  return stored == Stored::kHalf ? run<Half, float>(s, from, to, count, err) : run<Bfloat16, float>(s, from, to, count, err);
}

}  // namespace segnas::gpu
