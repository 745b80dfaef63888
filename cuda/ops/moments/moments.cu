// The second stage of sums over pixels: parts [count][columns] to one row of columns.
//
// A block takes 32 columns, side by side in memory, and the parts in 16 groups: group g adds parts g, g + 16, ... in double, then one thread a column
// adds the groups in order. 1 addition (moments: 8 operations) for each part's 4 to 32 bytes, so reading the parts is the floor; they are some
// 1/100 of the tensors that were summed. 16 groups, so that even 32 columns have 512 threads' loads under way.
#include "moments.h"

namespace segnas::gpu {
namespace {

constexpr int kGroups = 16, kFoldThreads = kGroups * kWarp;

SEGNAS_DEVICE MomentPart nothing(const MomentPart *) { return {0, 0, 0, 0}; }
SEGNAS_DEVICE GradientPart nothing(const GradientPart *) { return {0, 0}; }
SEGNAS_DEVICE ClipPart nothing(const ClipPart *) { return {0, 0, 0}; }

struct Sum {
  double value;
};
SEGNAS_DEVICE Sum nothing(const float *) { return {0}; }
SEGNAS_DEVICE void merge(Sum &a, float b) { a.value += static_cast<double>(b); }
SEGNAS_DEVICE void merge(Sum &a, const Sum &b) { a.value += b.value; }

// Column c's total in the threads of group 0; columns beyond the end have nothing.
template <class Total, class Part>
SEGNAS_DEVICE Total fold(const Part *parts, int64_t count, int64_t columns, int64_t c) {
  Total total = nothing(parts);
  if (c < columns)
    for (int64_t i = warp(); i < count; i += kGroups) merge(total, parts[i * columns + c]);
  Shared<Total> shared = shared_memory<Total>(0);
  shared[thread()] = total;
  barrier();
  if (warp() > 0) return total;
  return merged(shared + lane(), kWarp, kGroups);
}

SEGNAS_DEVICE int64_t column() { return static_cast<int64_t>(block_x()) * kWarp + lane(); }

struct Pair {
  double *first, *second;
};

SEGNAS_KERNEL(kFoldThreads) fold_moments(const MomentPart *parts, int64_t count, int64_t channels, const Pair to) {
  const int64_t c = column();
  const MomentPart all = fold<MomentPart>(parts, count, channels, c);
  if (warp() > 0 || c >= channels) return;
  const double n = static_cast<double>(all.pixels), offset = all.sum / n, variance = all.squares / n - offset * offset;
  to.first[c] = static_cast<double>(all.shift) + offset;
  to.second[c] = variance < 0 ? 0 : variance;
}

SEGNAS_KERNEL(kFoldThreads) fold_gradient_sums(const GradientPart *parts, int64_t count, int64_t channels, const Pair to) {
  const int64_t c = column();
  const GradientPart all = fold<GradientPart>(parts, count, channels, c);
  if (warp() > 0 || c >= channels) return;
  to.first[c] = all.g;
  to.second[c] = all.product;
}

SEGNAS_KERNEL(kFoldThreads) fold_clip_sums(const ClipPart *parts, int64_t count, int64_t channels, const Pair to, double *third) {
  const int64_t c = column();
  const ClipPart all = fold<ClipPart>(parts, count, channels, c);
  if (warp() > 0 || c >= channels) return;
  to.first[c] = all.g;
  to.second[c] = all.product;
  if (third) third[c] = all.beyond;
}

SEGNAS_KERNEL(kFoldThreads) fold_weights(const float *parts, int64_t count, int64_t rows, int64_t columns, int32_t accumulate, const Rows to) {
  const int64_t element = column();
  const Sum all = fold<Sum>(parts, count, rows * columns, element);
  if (warp() > 0 || element >= rows * columns) return;
  float *target = to.at + element / columns * to.pitch + element % columns;
  *target = static_cast<float>(accumulate ? all.value + static_cast<double>(*target) : all.value);
}

Pair pair_of(const segnas_tensor &t) { return {f64(t), f64(t) + t.stride[0]}; }

Grid fold_grid(int64_t columns, size_t part_bytes) { return {ceil_div<int64_t>(columns, kWarp), 1, 1, kFoldThreads, kFoldThreads * part_bytes}; }

}  // namespace

segnas_status finish_moments(Stream *s, const MomentPart *parts, int64_t count, int64_t channels, const segnas_tensor &moments, segnas_error *err) {
  return launch("fold_moments", s->raw, err, fold_grid(channels, sizeof(MomentPart)), fold_moments, parts, count, channels, pair_of(moments));
}

segnas_status finish_gradient_sums(Stream *s, const GradientPart *parts, int64_t count, int64_t channels, const segnas_tensor &sums, segnas_error *err) {
  return launch("fold_gradient_sums", s->raw, err, fold_grid(channels, sizeof(GradientPart)), fold_gradient_sums, parts, count, channels, pair_of(sums));
}

segnas_status finish_gradient_sums(Stream *s, const ClipPart *parts, int64_t count, int64_t channels, const segnas_tensor &sums, segnas_error *err) {
  double *third = sums.shape[0] > 2 ? f64(sums) + 2 * sums.stride[0] : nullptr;
  return launch("fold_clip_sums", s->raw, err, fold_grid(channels, sizeof(ClipPart)), fold_clip_sums, parts, count, channels, pair_of(sums), third);
}

segnas_status finish_weights(Stream *s, const float *parts, int64_t count, int64_t rows, int64_t columns, bool accumulate, Rows target,
                             segnas_error *err) {
  return launch("fold_weights", s->raw, err, fold_grid(rows * columns, sizeof(Sum)), fold_weights, parts, count, rows, columns,
                static_cast<int32_t>(accumulate), target);
}

}  // namespace segnas::gpu
