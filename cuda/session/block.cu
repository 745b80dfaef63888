// session_block: [expand] -> depthwise -> project with the middle in shared memory (block.h).
//
// Of a chunk of 32 middle channels, with B(arrier)s:
//   expand     halo x cin x 32, by the warps in pieces of 32 pixels; bias, ReLU, zero outside the picture (padding is of the middle), rounded.
//              Without an expand layer the chunk is copied from x
//   B          the weights of project are under way, and those of the next chunk's expand
//   depthwise  a thread makes 2 channels of 4 columns x 2 rows from k+s rows of 3s+k columns; bias, ReLU, rounded
//   B          the next chunk's taps are under way
//   project    tile x 32 x cout onto sums in registers, 32 pixels x 32 channels a warp, which begin with the bias
// so every copy has at least a phase to arrive and nothing needs two buffers. At the end the residual is added and y stored, 64 bytes of a pixel at a
// time in half types.
//
// 64 -> 384 -> 64, k = 3, 16 x 16 pixels of Half: 324 of halo, eleven pieces. A chunk is 0.72 + 0.07 + 0.52 M multiply-adds: 700 clocks of shared
// memory for expand, 510 for project (the tensor cores take half of that), some 700 of FMAs and conversions for depthwise; its weights are 9.4 KB
// from the second-level cache, 430 clocks of a multiprocessor's share of an H100's. So a tile is 12 x 1900 clocks and waits. 128x256 pixels are 128
// such tiles, one a multiprocessor: 13 us of work, 20 with the waits that the model counts (block_plan.cu). Apart the layers move 110 MB, 33 us at
// 3.35 TB/s. In float32 the FMA units are the floor of both, and the halo is the fused block's alone.
// Shared memory: 102 KB for that tile, 60 KB for 8 x 16.
//
// Registers: at most 128, so that 512 threads fit: the sums are 32, an expanded piece's another 32.
//
// Order: the chains of session_pointwise and session_depthwise, so their bits. Padding is multiplied as zeros here: the same, save of taps that are
// infinite or NaN and of a sum of nothing but -0.
#include "block.h"

#include "block_product.h"
#include "warp_product.h"

namespace segnas::gpu {
namespace {

template <class T, int K, int S>
class BlockTile {
 public:
  SEGNAS_DEVICE explicit BlockTile(const BlockArgs<T> &args) : a(args) {
    const int tile = block_x();
    column_ = tile % a.column_tiles * a.at.tile_columns;
    row_ = tile / a.column_tiles % a.row_tiles * a.at.tile_rows;
    picture_ = tile / a.column_tiles / a.row_tiles;
    project_row_ = warp() / a.at.across * 32, project_column_ = warp() % a.at.across * 32;
    projects_ = warp() < a.at.down * a.at.across;
  }

  SEGNAS_DEVICE void run() {
    mark_inside();
    if (a.expand) {
      copy_x(shared_memory<T>(a.at.x), a.at.x_pitch, a.at.by_x, 0, a.cin);
      copy_expand(0);
    } else {
      copy_middle(0);
    }
    copy_taps(0);
    close_batch();
    begin_sums();
    await_batches<0>();
    barrier();
#pragma unroll 1
    for (int channel = 0; channel < a.middle; channel += kBlockChunk) {
      const int next = channel + kBlockChunk;
      if (a.expand) expand();
      await_batches<0>();
      barrier();
      copy_project(channel);
      if (a.expand && next < a.middle) copy_expand(next);
      close_batch();
      convolve();
      await_batches<0>();
      barrier();
      if (next < a.middle) {
        copy_taps(next);
        if (!a.expand) copy_middle(next);
      }
      close_batch();
      if (projects_)
        sum_.add(shared_memory<T>(a.at.deep) + project_row_ * a.at.deep_pitch, a.at.deep_pitch,
                 shared_memory<T>(a.at.project) + project_column_, a.at.project_pitch, kBlockChunk);
    }
    if (projects_) finish();
  }

 private:
  static constexpr int kRows = WarpSum<T>::kRows, kGroups = WarpSum<T>::kGroups, kWidth = WarpSum<T>::kWidth;
  static constexpr int kEach = sizeof(Chunk) / sizeof(T);
  using OfChunk = ConstantDivisor<kBlockChunk / kEach>;

  // ---------------------------------------------------------------- copies

  // Where the halo's pixel lies, or NULL.
  SEGNAS_DEVICE const T *halo_pixel(int pixel, int channels) const {
    const int line = a.at.by_halo(pixel);
    const int r = row_ * S - K / 2 + line, q = column_ * S - K / 2 + pixel - line * a.at.halo_columns;
    if (r < 0 || r >= a.in_h || q < 0 || q >= a.in_w) return nullptr;
    return a.x + ((static_cast<int64_t>(picture_) * a.in_h + r) * a.in_w + q) * channels;
  }

  SEGNAS_DEVICE void mark_inside() const {
    if (!a.expand) return;
    const Shared<uint8_t> inside = shared_memory<uint8_t>(a.at.inside);
    for (int i = thread(); i < a.at.halo; i += threads()) inside[i] = halo_pixel(i, a.cin) != nullptr;
  }

  template <class Divides>
  SEGNAS_DEVICE void copy_x(Shared<T> to, int pitch, const Divides &by, int channel, int channels) const {
    copy_lines(to, pitch, a.at.halo, by, channels - channel, channels % kEach == 0, a.x, [&](int i) {
      const T *pixel = halo_pixel(i, channels);
      return pixel ? pixel + channel : nullptr;
    });
  }
  SEGNAS_DEVICE void copy_middle(int channel) const {
    copy_x(shared_memory<T>(a.at.middle), a.at.middle_pitch, OfChunk(), channel, a.middle);
  }
  SEGNAS_DEVICE void copy_expand(int channel) const {
    copy_lines(shared_memory<T>(a.at.expand), a.at.expand_pitch, a.at.depth, OfChunk(), a.middle - channel, a.middle % kEach == 0, a.expand,
               [&](int i) { return i < a.cin ? a.expand + (static_cast<int64_t>(i) * a.middle + channel) : nullptr; });
    copy_floats(shared_memory<float>(a.at.expand_bias), 1, channel, [&](int) { return a.expand_bias + channel; });
  }
  SEGNAS_DEVICE void copy_taps(int channel) const {
    copy_floats(shared_memory<float>(a.at.taps), K * K + 1, channel, [&](int i) {
      return i < K * K ? a.taps + (static_cast<int64_t>(i) * a.middle + channel) : a.taps_bias + channel;
    });
  }
  template <class Line>
  SEGNAS_DEVICE void copy_floats(Shared<float> to, int lines, int channel, const Line &line) const {
    copy_lines(to, kBlockChunk, lines, ConstantDivisor<kBlockChunk / 4>(), a.middle - channel, a.middle % 4 == 0, a.taps, line);
  }
  SEGNAS_DEVICE void copy_project(int channel) const {
    copy_lines(shared_memory<T>(a.at.project), a.at.project_pitch, kBlockChunk, a.at.by_project, a.cout, a.cout % kEach == 0, a.project,
               [&](int i) { return channel + i < a.middle ? a.project + static_cast<int64_t>(channel + i) * a.cout : nullptr; });
  }

  // ---------------------------------------------------------------- phases

  SEGNAS_DEVICE void begin_sums() {
#pragma unroll
    for (int g = 0; g < kGroups; g++)
#pragma unroll
      for (int e = 0; e < kWidth; e++) {
        const int channel = project_column_ + WarpSum<T>::column(g) + e;
        const float bias = channel < a.cout ? a.project_bias[channel] : 0.0f;
#pragma unroll
        for (int i = 0; i < kRows; i++) sum_.value(i, g, e) = bias;
      }
  }

  SEGNAS_DEVICE void expand() const {
    const Shared<float> bias = shared_memory<float>(a.at.expand_bias);
    const Shared<T> x = shared_memory<T>(a.at.x);
#pragma unroll 1
    for (int first = warp() * 32; first < a.at.halo; first += threads()) {
      WarpSum<T> sum;
#pragma unroll
      for (int g = 0; g < kGroups; g++)
#pragma unroll
        for (int e = 0; e < kWidth; e++) {
          const float start = bias[WarpSum<T>::column(g) + e];
#pragma unroll
          for (int i = 0; i < kRows; i++) sum.value(i, g, e) = start;
        }
      // The last piece begins earlier where the halo ends, and leaves alone what is the piece's before.
      const int begin = first + 32 <= a.at.halo ? first : a.at.halo - 32;
      sum.add(x + begin * a.at.x_pitch, a.at.x_pitch, shared_memory<T>(a.at.expand), a.at.expand_pitch, a.at.depth);
      put_middle(sum, begin, first);
    }
  }

  SEGNAS_DEVICE void put_middle(WarpSum<T> &sum, int begin, int first) const {
    const Shared<uint8_t> inside = shared_memory<uint8_t>(a.at.inside);
    const Shared<T> middle = shared_memory<T>(a.at.middle);
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      const int pixel = begin + WarpSum<T>::row(i);
      if (pixel < first) continue;
      const bool there = inside[pixel] != 0;
#pragma unroll
      for (int g = 0; g < kGroups; g++) {
        float v[kWidth];
#pragma unroll
        for (int e = 0; e < kWidth; e++) {
          v[e] = sum.value(i, g, e);
          if (a.expand_relu) v[e] = relu_of(v[e]);
          if (!there) v[e] = 0;
        }
        put_group(middle + (pixel * a.at.middle_pitch + WarpSum<T>::column(g)), v);
      }
    }
  }

  // The two halves of a warp take neighbouring strips where s = 1, neighbouring pairs of rows where s = 2: half types' words are then in different
  // banks (a pixel is 20 words; a pair of rows 80 times an odd number of columns).
  SEGNAS_DEVICE void convolve() const {
    constexpr int kPairs = kBlockChunk / 2;
    const int strips = a.at.tile_columns / 4, pairs = a.at.tile_rows / 2;
#pragma unroll 1
    for (int item = thread(); item < strips * pairs * kPairs; item += threads()) {
      const int place = item / kPairs, channel = item % kPairs * 2;
      const int row = S == 1 ? place / strips : place % pairs, strip = S == 1 ? place % strips : place / pairs;
      convolve_strip(row * 2, strip * 4, channel);
    }
  }

  SEGNAS_DEVICE void convolve_strip(int row, int column, int channel) const {
    constexpr int kColumns = 3 * S + K;
    const Shared<float> taps = shared_memory<float>(a.at.taps) + channel;
    const Shared<T> from = shared_memory<T>(a.at.middle) + ((row * a.at.halo_columns + column) * S * a.at.middle_pitch + channel);
    const Float2 bias = get_pair(taps + K * K * kBlockChunk);
    Float2 sums[2][4];
#pragma unroll
    for (int o = 0; o < 2; o++)
#pragma unroll
      for (int t = 0; t < 4; t++) sums[o][t] = bias;
#pragma unroll
    for (int r = 0; r < K + S; r++) {
      Float2 x[kColumns];
#pragma unroll
      for (int q = 0; q < kColumns; q++) x[q] = get_pair(from + (r * a.at.halo_columns + q) * a.at.middle_pitch);
#pragma unroll
      for (int o = 0; o < 2; o++) {
        const int u = r - o * S;
        if (u < 0 || u >= K) continue;
#pragma unroll
        for (int v = 0; v < K; v++) {
          const Float2 w = get_pair(taps + (u * K + v) * kBlockChunk);
#pragma unroll
          for (int t = 0; t < 4; t++) {
            sums[o][t].x = fused_multiply_add(x[t * S + v].x, w.x, sums[o][t].x);
            sums[o][t].y = fused_multiply_add(x[t * S + v].y, w.y, sums[o][t].y);
          }
        }
      }
    }
    const Shared<T> to = shared_memory<T>(a.at.deep) + ((row * a.at.tile_columns + column) * a.at.deep_pitch + channel);
#pragma unroll
    for (int o = 0; o < 2; o++)
#pragma unroll
      for (int t = 0; t < 4; t++) {
        float v[2] = {sums[o][t].x, sums[o][t].y};
        if (a.depthwise_relu) v[0] = relu_of(v[0]), v[1] = relu_of(v[1]);
        put_group(to + (o * a.at.tile_columns + t) * a.at.deep_pitch, v);
      }
  }

  // ---------------------------------------------------------------- the end

  SEGNAS_DEVICE void finish() {
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      const int pixel = project_row_ + WarpSum<T>::row(i);
      const int line = a.at.by_tile(pixel), r = row_ + line, q = column_ + pixel - line * a.at.tile_columns;
      const bool inside = r < a.height && q < a.width;
      finish_row(i, inside, ((static_cast<int64_t>(picture_) * a.height + r) * a.width + q) * a.cout);
    }
  }

  // A row of sums, whose pixel begins at element `at` of y.
  SEGNAS_DEVICE void finish_row(int i, bool inside, int64_t at) {
    if constexpr (sizeof(T) == sizeof(float)) {
      const int channel = project_column_ + WarpSum<T>::column(0);
      if (!inside || channel >= a.cout) return;
      finish_floats(sum_.at[i], at + channel, a.cout - channel);
    } else if (a.cout % kEach == 0) {
      finish_words(i, inside, at);
    } else {
#pragma unroll
      for (int g = 0; g < kGroups; g++)
#pragma unroll
        for (int e = 0; e < kWidth; e++) {
          const int channel = project_column_ + WarpSum<T>::column(g) + e;
          if (!inside || channel >= a.cout) continue;
          float v = sum_.value(i, g, e);
          if (a.residual) v += load(a.residual + at + channel);
          store(a.y + at + channel, a.project_relu ? relu_of(v) : v);
        }
    }
  }

  SEGNAS_DEVICE void finish_floats(float (&sum)[kWidth], int64_t at, int left) const {
    const bool whole = a.cout % kWidth == 0;
    if (a.residual) {
      float more[kWidth] = {};
      if (whole) {
        load_pack(a.residual + at, more);
      } else {
#pragma unroll
        for (int e = 0; e < kWidth; e++)
          if (e < left) more[e] = load(a.residual + at + e);
      }
#pragma unroll
      for (int e = 0; e < kWidth; e++) sum[e] += more[e];
    }
#pragma unroll
    for (int e = 0; e < kWidth; e++) sum[e] = a.project_relu ? relu_of(sum[e]) : sum[e];
    if (whole) {
      store_pack(a.y + at, sum);
      return;
    }
#pragma unroll
    for (int e = 0; e < kWidth; e++)
      if (e < left) store(a.y + at + e, sum[e]);
  }

  // Four neighbouring lanes exchange their words, so that each has eight channels of the row.
  SEGNAS_DEVICE void finish_words(int i, bool inside, int64_t at) {
    const int channel = project_column_ + lane() % 4 * 8;
    const bool mine = inside && channel < a.cout;
    if (a.residual) {
      Chunk more = {};
      if (mine) more = *reinterpret_cast<const Chunk *>(a.residual + at + channel);
      transpose_words(more.at);
#pragma unroll
      for (int g = 0; g < kGroups; g++) {
        sum_.value(i, g, 0) += to_float(low_of<T>(more.at[g]));
        sum_.value(i, g, 1) += to_float(high_of<T>(more.at[g]));
      }
    }
    Chunk chunk;
#pragma unroll
    for (int g = 0; g < kGroups; g++) {
      float v[2] = {sum_.value(i, g, 0), sum_.value(i, g, 1)};
      if (a.project_relu) v[0] = relu_of(v[0]), v[1] = relu_of(v[1]);
      chunk.at[g] = pair_of(from_float<T>(v[0]), from_float<T>(v[1]));
    }
    transpose_words(chunk.at);
    if (mine) *reinterpret_cast<Chunk *>(a.y + at + channel) = chunk;
  }

  const BlockArgs<T> &a;
  int row_, column_, picture_;  // of the tile in y
  int project_row_, project_column_;
  bool projects_;
  WarpSum<T> sum_;
};

template <class T, int K, int S>
SEGNAS_KERNEL(kBlockMostWarps *kWarp) block_tile(const BlockArgs<T> a) {
  if constexpr (kHasUnits<T>) {
    BlockTile<T, K, S> tile(a);
    tile.run();
  }
}

template <class T>
BlockArgs<T> block_args(const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x, const Image *residual,
                        const Image &y, const BlockLayout &layout) {
  auto size = [](int64_t n) { return static_cast<int32_t>(n); };
  BlockArgs<T> a = {};
  a.x = static_cast<const T *>(x.at), a.y = static_cast<T *>(y.at);
  if (residual) a.residual = static_cast<const T *>(residual->at);
  if (expand) a.expand = static_cast<const T *>(expand->weights), a.expand_bias = expand->bias, a.expand_relu = expand->relu;
  a.taps = static_cast<const float *>(depthwise.weights), a.taps_bias = depthwise.bias, a.depthwise_relu = depthwise.relu;
  a.project = static_cast<const T *>(project.weights), a.project_bias = project.bias, a.project_relu = project.relu;
  a.cin = size(x.c), a.middle = size(depthwise.channels), a.cout = size(project.channels);
  a.in_h = size(x.h), a.in_w = size(x.w), a.height = size(y.h), a.width = size(y.w);
  a.row_tiles = ceil_div(a.height, layout.tile_rows), a.column_tiles = ceil_div(a.width, layout.tile_columns);
  a.at = layout;
  return a;
}

template <int K, int S, class T>
segnas_status launch_block(Stream *s, const BlockArgs<T> &a, int64_t pictures, segnas_error *err) {
  const Grid grid = {pictures * a.row_tiles * a.column_tiles, 1, 1, a.at.threads, static_cast<size_t>(a.at.bytes)};
  return launch("session_block", s->raw, err, grid, block_tile<T, K, S>, a);
}

}  // namespace

segnas_status session_block(Stream *s, const Convolution *expand, const Convolution &depthwise, const Convolution &project, const Image &x,
                            const Image *residual, const Image &y, segnas_error *err) {
  if (y.pixels() == 0) return succeed(err);
  const BlockPlan plan = plan_block(s->device->facts, block_shape(expand, depthwise, project, x, y));
  if (!plan.possible || y.stored != x.stored) return fail(err, SEGNAS_INTERNAL, "session_block: no tile of this block fits the device");
  SEGNAS_GPU_TRY(with_stored(x.stored, [&](auto stored) {
    using T = decltype(stored);
    const BlockArgs<T> a = block_args<T>(expand, depthwise, project, x, residual, y, plan.layout);
    auto at_kernel = [&]<int K>() { return depthwise.stride == 1 ? launch_block<K, 1>(s, a, y.n, err) : launch_block<K, 2>(s, a, y.n, err); };
    return depthwise.kernel == 3   ? at_kernel.template operator()<3>()
           : depthwise.kernel == 5 ? at_kernel.template operator()<5>()
                                   : at_kernel.template operator()<7>();
  }));
  return succeed(err);
}

}  // namespace segnas::gpu
