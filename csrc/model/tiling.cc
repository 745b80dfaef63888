#include <algorithm>
#include <limits>

#include "plan.h"

namespace segnas {
namespace {

// What a core's second-level cache should hold of a chain: the ring of middle rows and one row of depthwise output.
constexpr int64_t kRingBytes = 224 * 1024;
constexpr int64_t kTileColumns = 6;  // rows of the GEMM tile on AVX2; 12 on AVX-512 and NEON is a multiple

// Multiply-adds as if every GEMM tile were full: a tail of r rows costs at least four, the depth of the FMA pipeline.
int64_t padded(int64_t columns) {
  int64_t tail = columns % kTileColumns;
  return columns - tail + (tail ? std::max<int64_t>(tail, 4) : 0);
}

struct Shape {
  int64_t kernel, stride, in_h, in_w, out_h, out_w, middle, expand_macs, project_macs, depthwise_cost;
};

Shape shape_of(const Plan &plan, const Step &step) {
  const Layer &d = plan.layers[step.depthwise], &p = plan.layers[step.project];
  const Value &in = plan.values[d.input], &out = plan.values[step.output];
  Shape s{d.kernel, d.stride, in.h, in.w, out.h, out.w, d.cin, 0, d.cin * p.channels, plan.arithmetic->depthwise_cost()};
  if (step.expands) {
    const Layer &e = plan.layers[step.first];
    s.expand_macs = e.cin * e.channels * (e.kind == SEGNAS_LAYER_CONV3X3 ? 9 : 1);
  }
  return s;
}

// The cost of the largest piece; ring receives its middle columns.
int64_t piece_cost(const Shape &s, int64_t tiles, int64_t bands, int64_t *ring) {
  int64_t tile = (s.out_w + tiles - 1) / tiles, band = (s.out_h + bands - 1) / bands, begin, end;
  int64_t at = tiles > 2 ? tile : 0;  // an inner tile has halos on both sides
  middle_range(s.kernel, s.stride, s.in_w, at, std::min(at + tile, s.out_w), &begin, &end);
  *ring = end - begin;
  int64_t rows = bands == 1 ? s.in_h : std::min(s.in_h, (band - 1) * s.stride + s.kernel);
  return rows * padded(*ring) * s.expand_macs + band * (padded(tile) * s.project_macs + s.depthwise_cost * tile * s.kernel * s.kernel * s.middle);
}

}  // namespace

void middle_range(int64_t kernel, int64_t stride, int64_t width, int64_t out_begin, int64_t out_end, int64_t *begin, int64_t *end) {
  *begin = std::max<int64_t>(0, out_begin * stride - kernel / 2);
  *end = std::min(width, (out_end - 1) * stride + kernel / 2 + 1);
}

Tiling choose_tiling(const Plan &plan, const Step &step, int threads) {
  Shape s = shape_of(plan, step);
  const int64_t middle = plan.pixel_bytes(plan.layers[step.depthwise].input), line = plan.pixel_bytes(step.depthwise + 1);
  Tiling best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t tiles = 1; tiles <= std::min<int64_t>(s.out_w, 512); tiles++) {
    for (int64_t bands = 1; bands <= std::min<int64_t>(s.out_h, 4 * threads); bands++) {
      int64_t ring;
      double cost = static_cast<double>(piece_cost(s, tiles, bands, &ring));
      int64_t pieces = plan.n * tiles * bands;
      cost *= static_cast<double>((pieces + threads - 1) / threads);
      int64_t bytes = (step.expands ? s.kernel * ring * middle : 0) + (s.out_w + tiles - 1) / tiles * line;
      if (bytes > kRingBytes) cost *= 1.0 + 0.3 * std::min(4.0, static_cast<double>(bytes) / kRingBytes);
      if (cost < least) least = cost, best = {tiles, bands, ring};
    }
  }
  // The first and last tile may reach as far as an inner one, never farther.
  best.ring_columns = std::min(s.in_w, ((s.out_w + best.tiles - 1) / best.tiles - 1) * s.stride + s.kernel);
  return best;
}

}  // namespace segnas
