// Which tile a fused block is cut into, and whether it is thought to be faster than its layers apart. Host code.
//
// The model, in clocks of a multiprocessor. Its assumptions, for a first run on a card to check:
//  - what a clock gives (Rates): FMAs, multiply-adds of mma.sync, bytes of shared memory, of memory and of the second-level cache, a multiprocessor's
//    share. A layer apart reaches kReached of the roofline of these, plus kLaunch
//  - a layer whose input and output fit half of the second-level cache moves its bytes at that cache's rate: what precedes it has just written them
//  - a fused tile pays its phases one after the other (nothing overlaps within a block of threads), each at the rate of its narrowest unit: products
//    at shared memory's (16 clocks for 32 x 32 x 16 of half types at 128 bytes a clock) or the units', depthwise at the FMAs' with each read of a
//    pair counted as its conversions; its weights come from the second-level cache meanwhile, and are the bound if they take longer
//  - a chunk's two barriers and the waits of its phases' beginnings cost kWaits, a tile's first reads kFirstRead; as many blocks as shared memory
//    and 128 registers a thread allow share a multiprocessor, and hide these of each other
//  - multiprocessors get tiles in equal numbers, the last ones being idle
// Fusing must win by kMargin, because all of it is estimated.
#include <algorithm>
#include <limits>

#include "block.h"

namespace segnas::gpu {
namespace {

constexpr double kReached = 0.75, kLaunch = 1800, kWaits = 500, kFirstRead = 1500, kMargin = 1.1;

struct Rates {
  double fma, half, shared, memory, second_level;
};

Rates rates_of(const DeviceFacts &d) {
  if (d.major >= 9) return {128, 2048, 128, 14.5, 24};  // H100: 3.35 TB/s, some 5.5 TB/s
  if (d.major == 8 && d.minor == 0) return {64, 1024, 128, 10.2, 24};  // A100
  if (d.major == 8 && d.minor == 9) return {128, 512, 128, 3.2, 16};
  if (d.major == 8) return {128, 512, 128, 6.7, 16};
  return {64, 512, 64, 5.9, 16};
}

int padded(int64_t n, int to) { return static_cast<int>(ceil_div<int64_t>(n, to) * to); }

// A section of shared memory of `bytes` more.
int section(int &end, size_t bytes) {
  const int begin = end;
  end += padded(static_cast<int64_t>(bytes), 16);
  return begin;
}

// bytes is beyond any card's where the shape itself does not fit.
BlockLayout layout_of(const BlockShape &s, int rows, int columns) {
  const bool half = s.element == 2;
  const int more = half ? 8 : 4;  // elements of a pitch beyond a line: lines that are read together begin in different banks
  BlockLayout l = {};
  l.tile_rows = rows, l.tile_columns = columns;
  l.halo_rows = (rows - 1) * s.stride + s.kernel, l.halo_columns = (columns - 1) * s.stride + s.kernel;
  l.halo = l.halo_rows * l.halo_columns;
  l.depth = s.expand ? padded(s.cin, half ? 16 : 8) : 0;
  l.down = rows * columns / 32, l.across = ceil_div(s.cout, 32);
  l.threads = std::max(l.down * l.across, kBlockFewestWarps) * kWarp;
  l.x_pitch = l.depth + more, l.middle_pitch = l.deep_pitch = kBlockChunk + more;
  l.expand_pitch = kBlockChunk + (half ? 8 : 0), l.project_pitch = l.across * 32 + (half ? 8 : 0);
  int end = 0;
  auto lines = [&](int64_t count, int pitch, size_t element) { return section(end, static_cast<size_t>(count * pitch) * element); };
  if (s.expand) {
    l.x = lines(l.halo, l.x_pitch, s.element);
    l.expand = lines(l.depth, l.expand_pitch, s.element);
    l.expand_bias = lines(1, kBlockChunk, sizeof(float));
    l.inside = lines(l.halo, 1, 1);
  }
  l.middle = lines(l.halo, l.middle_pitch, s.element);
  l.deep = lines(l.pixels(), l.deep_pitch, s.element);
  l.project = lines(kBlockChunk, l.project_pitch, s.element);
  l.taps = lines(s.kernel * s.kernel + 1, kBlockChunk, sizeof(float));
  l.bytes = end;
  const int chunk = static_cast<int>(16 / s.element);
  l.by_halo = divisor(l.halo_columns), l.by_tile = divisor(l.tile_columns), l.by_project = divisor(l.across * 32 / chunk);
  if (s.expand) l.by_x = divisor(l.depth / chunk);
  return l;
}

// Blocks that share a multiprocessor, which has a kilobyte more than a block may take, and takes one for itself from each.
int resident(const DeviceFacts &d, const BlockLayout &l) {
  const int by_shared = static_cast<int>((d.shared_bytes_per_block + 1024) / (static_cast<size_t>(l.bytes) + 1024));
  return std::max(1, std::min(by_shared, kBlockMostWarps * kWarp / l.threads));
}

// Of 32 rows x 32 columns x depth.
double product_clocks(const Rates &r, const BlockShape &s, double depth) {
  if (s.element == 4) return 1.2 * 32 * 32 * depth / r.fma;  // reads of shared memory come close to the FMAs
  return std::max(depth / 16 * 16 * (128 / r.shared), 32 * 32 * depth / r.half);
}

double tile_clocks(const Rates &r, const BlockShape &s, const BlockLayout &l, int blocks) {
  const double strips = l.pixels() / 8.0 * kBlockChunk / 2, rows = s.kernel + s.stride, columns = 3 * s.stride + s.kernel, taps = s.kernel * s.kernel;
  const double instructions = 16 * taps + rows * columns * (s.element == 2 ? 3 : 1) + 2 * taps;  // of a strip of 2 channels
  const double project = l.down * l.across * product_clocks(r, s, kBlockChunk);
  const double expand = s.expand ? ceil_div(l.halo, 32) * product_clocks(r, s, l.depth) : 0;
  const double weights = static_cast<double>((l.depth + s.cout) * kBlockChunk) * static_cast<double>(s.element) + 4.0 * kBlockChunk * (taps + 1);
  const double read = s.expand ? 0 : static_cast<double>(l.halo * kBlockChunk) * static_cast<double>(s.element) / r.memory;
  const double chunk = std::max(expand + strips * instructions / r.fma + project, weights / r.second_level + read) + kWaits / blocks;
  const double bytes = static_cast<double>((s.expand ? l.halo * s.cin : 0) + l.pixels() * s.cout) * static_cast<double>(s.element);
  return ceil_div(s.middle, kBlockChunk) * chunk + bytes / r.memory + kFirstRead / blocks;
}

double layer_clocks(const DeviceFacts &d, const Rates &r, const BlockShape &s, double values_in, double values_out, double operations, double rate) {
  const double bytes = (values_in + values_out) * static_cast<double>(s.element), processors = std::max(1, d.multiprocessors);
  const double moved = bytes / (bytes <= static_cast<double>(d.l2_bytes) / 2 ? r.second_level : r.memory);
  return std::max(moved, operations / rate) / processors / kReached + kLaunch;
}

double clocks_apart(const DeviceFacts &d, const BlockShape &s) {
  const Rates r = rates_of(d);
  const double product = s.element == 2 ? r.half / 2 : r.fma;  // shared memory's half of what the units do
  const double in = static_cast<double>(s.pictures * s.in_h * s.in_w), out = static_cast<double>(s.pictures * s.height * s.width);
  double clocks = layer_clocks(d, r, s, in * s.middle, out * s.middle, out * s.middle * s.kernel * s.kernel, r.fma) +
                  layer_clocks(d, r, s, out * s.middle, out * s.cout, out * s.middle * s.cout, product);
  if (s.expand) clocks += layer_clocks(d, r, s, in * s.cin, in * s.middle, in * s.cin * s.middle, product);
  return clocks;
}

}  // namespace

BlockShape block_shape(const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x, const Image &y) {
  auto size = [](int64_t n) { return static_cast<int>(n); };
  return {expand != nullptr, size(x.c), size(depthwise.channels), size(project.channels), depthwise.kernel, depthwise.stride,
          y.n, x.h, x.w, y.h, y.w, x.stored, bytes_of(x.stored)};
}

BlockPlan plan_block(const DeviceFacts &device, const BlockShape &s) {
  static constexpr int kTiles[][2] = {{16, 16}, {8, 16}, {8, 8}, {4, 16}, {4, 8}};
  BlockPlan best = {false, {}, std::numeric_limits<double>::infinity()};
  const bool known = (s.kernel == 3 || s.kernel == 5 || s.kernel == 7) && (s.stride == 1 || s.stride == 2);
  constexpr int kMostChannels = 4096;  // keeps sections' sizes small numbers; none so wide fits
  if (s.stored == Stored::kBfloat16 && device.major < 8) return best;  // its tensor cores cannot multiply them (block.cu)
  if (!known || s.cin > kMostChannels || s.middle < 1 || s.cout > kMostChannels) return best;
  const Rates rates = rates_of(device);
  for (const auto &tile : kTiles) {
    const BlockLayout l = layout_of(s, tile[0], tile[1]);
    if (l.threads > kBlockMostWarps * kWarp || static_cast<size_t>(l.bytes) > device.shared_bytes_per_block) continue;
    const int64_t tiles = s.pictures * ceil_div<int64_t>(s.height, l.tile_rows) * ceil_div<int64_t>(s.width, l.tile_columns);
    const int64_t each = ceil_div<int64_t>(tiles, std::max(1, device.multiprocessors));  // of a multiprocessor
    const int blocks = static_cast<int>(std::min<int64_t>(resident(device, l), each));
    const double clocks = kLaunch + static_cast<double>(each) * tile_clocks(rates, s, l, blocks);
    if (clocks < best.clocks) best = {true, l, clocks};
  }
  return best;
}

BlockFit session_block_fit(const DeviceFacts &device, const Convolution *expand, const Convolution &depthwise, const Convolution &project,
                           const Image &x, const Image &y) {
  if (x.stored != y.stored || y.pixels() == 0) return {false, false};
  const BlockShape shape = block_shape(expand, depthwise, project, x, y);
  const BlockPlan plan = plan_block(device, shape);
  return {plan.possible, plan.possible && plan.clocks * kMargin < clocks_apart(device, shape)};
}

}  // namespace segnas::gpu
