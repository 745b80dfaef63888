// segnas_pwconv_norm_*: pointwise convolutions that normalise what they read and measure what they write.
//
// A piece is cut into blocks of pixels that fit the second-level cache with what is made of them, so x, y and their gradients pass through
// memory once each: forward x in and y out; backward x, y and dy in and dx out, for both gradients and the sums.
#include "norm.h"

namespace segnas {
namespace {

struct Pointwise {
  int64_t pixels = 0, cin = 0, cout = 0, w_pitch = 0;
  Rows x, y;  // backwards, y is its activation's gradient
};

// y: the output, or the gradient of its activation.
segnas_status check_pointwise(const segnas_stream *s, const char *op, const segnas_tensor *x, const segnas_tensor *w, const char *y_name,
                              const segnas_tensor *y, Pointwise *p, segnas_error *err) {
  Pixels in, out;
  SEGNAS_TRY(check_stored_pixels(s, op, "x", x, &in, err));
  SEGNAS_TRY(check_stored_pixels(s, op, y_name, y, &out, err));
  SEGNAS_TRY(check_result(op, "x", x, y_name, y, err));
  SEGNAS_TRY(check_equal(op, "the number of output pixels", out.count(), in.count(), err));
  SEGNAS_TRY(check_matrix(s, op, "w", w, in.channels, out.channels, &p->w_pitch, err));
  p->pixels = in.count(), p->cin = in.channels, p->cout = out.channels;
  p->x = {f32(*x), in.pitch}, p->y = {f32(*y), out.pitch};
  return SEGNAS_OK;
}

// Pixels of a block: 256 KB of x and y, whole GEMM tiles of every instruction set.
int64_t block_pixels(int64_t cin, int64_t cout) { return std::clamp<int64_t>((int64_t{64} << 10) / (cin + cout) / 24 * 24, 24, 1008); }

// Pixels of a piece of the forward pass: at most 64 pieces, whose statistics are then put together.
int64_t forward_piece(int64_t pixels) { return std::max<int64_t>(48, ((pixels + 63) / 64 + 23) / 24 * 24); }

// Pixels [at, end) of dense rows, at most `most` of them, to be read next.
Ahead ahead_of(Rows rows, int64_t channels, int64_t at, int64_t end, int64_t most) {
  if (rows.at == nullptr || rows.pitch != channels || at >= end) return {nullptr, nullptr};
  return {reinterpret_cast<const char *>(rows.at + at * channels), reinterpret_cast<const char *>(rows.at + std::min(at + most, end) * channels)};
}

struct PointwiseForward {
  Pointwise shape;
  Norm norm;
  const float *packed, *bias;  // bias may be NULL
  PieceSums sums;
};

void forward_blocks(const Kernels &kernels, const PointwiseForward &f, int64_t first, int64_t count, int64_t piece, int worker, float *normalised) {
  const Pointwise &p = f.shape;
  const int64_t block = block_pixels(p.cin, p.cout);
  for (int64_t at = 0; at < count; at += block) {
    const int64_t pixels = std::min(block, count - at);
    Rows x = p.x.from(first + at);
    const Rows y = p.y.from(first + at);
    if (f.norm) {
      const Rows activation = {normalised, p.cin};
      apply_norm(kernels, f.norm, x, pixels, p.cin, activation);
      x = activation;
    }
    kernels.pwconv.rows(x.at, x.pitch, pixels, f.packed, p.cin, p.cout, f.bias, nullptr, 0, false, y.at, y.pitch,
                              ahead_of(p.x, p.cin, first + at + block, first + count, block));
    if (f.sums) f.sums.measure(kernels, piece, worker, at == 0, y, pixels);
  }
}

}  // namespace
}  // namespace segnas

using namespace segnas;

segnas_status segnas_pwconv_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                         const segnas_tensor *bias, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  PointwiseForward f;
  Pointwise &p = f.shape;
  Totals totals;
  SEGNAS_TRY(check_pointwise(s, __func__, x, w, "y", y, &p, err));
  SEGNAS_TRY(check_optional_norm(s, __func__, "x_norm", x_norm, p.cin, x_relu, &f.norm, err));
  if (bias) SEGNAS_TRY(check_vector(s, __func__, "bias", bias, p.cout, err));
  if (moments) SEGNAS_TRY(check_totals(s, __func__, "moments", moments, 2, p.cout, &totals, err));
  SEGNAS_DISPATCH(s, pwconv_norm_forward, err, x, x_norm, x_relu, w, bias, y, moments);
  const Kernels &kernels = *s->context->kernels;
  ThreadPool &pool = *s->context->pool;
  const int64_t size = forward_piece(p.pixels), pieces = (p.pixels + size - 1) / size;
  Layout layout;
  const size_t packed_at = layout.add(floats(kernels.pwconv.packed_floats(p.cin, p.cout)));
  const size_t sums_at = layout.add(moments ? PieceSums::bytes(pieces, p.cout, pool.threads()) : 0);
  const size_t worker_bytes = f.norm ? cache_lines(floats(block_pixels(p.cin, p.cout) * p.cin)) : 0;
  const size_t workers_at = layout.add(worker_bytes * static_cast<size_t>(pool.threads()));
  char *scratch = static_cast<char *>(s->scratch.reserve(layout.bytes()));
  if (!scratch) return out_of_scratch(__func__, err);
  float *packed = reinterpret_cast<float *>(scratch + packed_at);
  kernels.pwconv.pack(f32(*w), p.w_pitch, false, p.cin, p.cout, packed);
  f.packed = packed, f.bias = bias ? f32(*bias) : nullptr;
  if (moments) f.sums = PieceSums(scratch + sums_at, pieces, p.cout);
  const auto pixels_of = [&](int64_t piece) { return std::min(size, p.pixels - piece * size); };
  pool.run(pieces, [&](int64_t piece, int worker) {
    forward_blocks(kernels, f, piece * size, pixels_of(piece), piece, worker,
                   reinterpret_cast<float *>(scratch + workers_at + static_cast<size_t>(worker) * worker_bytes));
  });
  if (moments) f.sums.finish_moments(pool, pixels_of, totals);
  return succeed(err);
}

namespace segnas {
namespace {

struct PointwiseBackward {
  Pointwise shape;
  Norm x_norm, y_norm;
  Rows y = {nullptr, 0}, dx = {nullptr, 0};  // y of y_norm alone; dx.at NULL: not wanted
  float *packed = nullptr, *partials = nullptr;
  int64_t partial = 0;  // floats from one slab's partial sums to the next
  PieceSums sums;
};

// A worker's scratch.
struct PointwiseWork {
  float *dy, *x, *outer;
};

// Pixels of a block: a chunk of the weight gradient's, or half of one where the pixels are wide.
int64_t backward_block(const Pointwise &p) { return p.cin + p.cout <= 512 ? 128 : 64; }

// The input's gradient comes first: its sums read x, which is then in cache for the weight's.
void backward_slab(const Kernels &kernels, const PointwiseBackward &b, int64_t first, int64_t count, int64_t slab, int worker, const PointwiseWork &work) {
  const Pointwise &p = b.shape;
  const int64_t block = backward_block(p);
  const bool wide_input = p.cin > p.cout;  // what the weight's gradient, which comes last, asks for ahead
  for (int64_t at = 0; at < count; at += block) {
    const int64_t pixels = std::min(block, count - at);
    Rows x = p.x.from(first + at), dy = p.y.from(first + at);
    if (b.y_norm) {
      const Rows raw = {work.dy, p.cout};
      apply_gradient(kernels, b.y_norm, b.y.from(first + at), dy, pixels, p.cout, raw);
      dy = raw;
    }
    if (b.dx.at) {
      const Rows dx = b.dx.from(first + at);
      kernels.pwconv.rows(dy.at, dy.pitch, pixels, b.packed, p.cout, p.cin, nullptr, nullptr, 0, false, dx.at, dx.pitch,
                                ahead_of(b.y, p.cout, first + at + block, first + count, block));
      if (b.sums) b.sums.add_gradient(kernels, slab, worker, at == 0, b.x_norm, x, dx, pixels);
    }
    if (b.x_norm) {
      const Rows activation = {work.x, p.cin};
      apply_norm(kernels, b.x_norm, x, pixels, p.cin, activation);
      x = activation;
    }
    kernels.pwconv.weight_slab(x.at, x.pitch, dy.at, dy.pitch, pixels, p.cin, p.cout, at > 0,
                               ahead_of(wide_input ? p.x : p.y, wide_input ? p.cin : p.cout, first + at + block, first + count, block), b.partials + slab * b.partial, work.outer);
  }
}

// Scratch, slabs, and the sums over them.
segnas_status backward(segnas_stream *s, const char *op, PointwiseBackward &b, const segnas_tensor *w, bool accumulate, const segnas_tensor *dw,
                       const Totals *sums, segnas_error *err) {
  const Kernels &kernels = *s->context->kernels;
  ThreadPool &pool = *s->context->pool;
  const Pointwise &p = b.shape;
  const int64_t size = pwconv_slab_pixels(p.pixels), slabs = (p.pixels + size - 1) / size;
  b.partial = kernels.pwconv.partial_floats(p.cin, p.cout);
  Layout layout, worker;
  const size_t dy_at = worker.add(b.y_norm ? floats(backward_block(p) * p.cout) : 0), x_at = worker.add(b.x_norm ? floats(backward_block(p) * p.cin) : 0);
  const size_t outer_at = worker.add(floats(kernels.pwconv.partial_scratch_floats(p.cin, p.cout)));
  const size_t packed_at = layout.add(b.dx.at ? floats(kernels.pwconv.packed_floats(p.cout, p.cin)) : 0);
  const size_t partials_at = layout.add(floats(b.partial * slabs));
  const size_t sums_at = layout.add(sums ? PieceSums::bytes(slabs, p.cin, pool.threads(), b.x_norm.sums()) : 0);
  const size_t workers_at = layout.add(worker.bytes() * static_cast<size_t>(pool.threads()));
  char *scratch = static_cast<char *>(s->scratch.reserve(layout.bytes()));
  if (!scratch) return out_of_scratch(op, err);
  b.packed = reinterpret_cast<float *>(scratch + packed_at), b.partials = reinterpret_cast<float *>(scratch + partials_at);
  if (b.dx.at) kernels.pwconv.pack(f32(*w), w->stride[0], true, p.cout, p.cin, b.packed);
  if (sums) b.sums = PieceSums(scratch + sums_at, slabs, p.cin, b.x_norm.sums());
  pool.run(slabs, [&](int64_t slab, int index) {
    char *mine = scratch + workers_at + static_cast<size_t>(index) * worker.bytes();
    backward_slab(kernels, b, slab * size, std::min(size, p.pixels - slab * size), slab, index,
                  {reinterpret_cast<float *>(mine + dy_at), reinterpret_cast<float *>(mine + x_at), reinterpret_cast<float *>(mine + outer_at)});
  });
  constexpr int64_t kRows = 24;
  pool.run((p.cin + kRows - 1) / kRows, [&](int64_t part, int) {
    kernels.pwconv.weight_sum(b.partials, slabs, p.cin, p.cout, part * kRows, std::min(p.cin, part * kRows + kRows), accumulate, f32(*dw), dw->stride[0]);
  });
  if (sums) b.sums.finish_gradient(pool, *sums);
  return succeed(err);
}

}  // namespace
}  // namespace segnas

segnas_status segnas_pwconv_norm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w,
                                          const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da,
                                          int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums,
                                          segnas_error *err) {
  SEGNAS_ENTER(s, err);
  PointwiseBackward b;
  Totals totals;
  int64_t dw_pitch;
  SEGNAS_TRY(check_pointwise(s, __func__, x, w, "da", da, &b.shape, err));
  SEGNAS_TRY(check_optional_norm(s, __func__, "x_norm", x_norm, b.shape.cin, x_relu, &b.x_norm, err));
  SEGNAS_TRY(check_optional_norm(s, __func__, "y_norm", y_norm, b.shape.cout, y_relu, &b.y_norm, err));
  if (!y != !y_norm) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: y and y_norm go together", __func__);
  if (y) SEGNAS_TRY(check_like(s, __func__, "y", y, "da", da, &b.y, err));
  SEGNAS_TRY(check_matrix(s, __func__, "dw", dw, b.shape.cin, b.shape.cout, &dw_pitch, err));
  SEGNAS_TRY(check_flag(__func__, "accumulate", accumulate, err));
  if (dx) SEGNAS_TRY(check_like(s, __func__, "dx", dx, "x", x, &b.dx, err));
  SEGNAS_TRY(check_sums_wanted(__func__, x_norm, dx, sums, err));
  if (sums) SEGNAS_TRY(check_totals(s, __func__, "sums", sums, b.x_norm.sums(), b.shape.cin, &totals, err));
  SEGNAS_DISPATCH(s, pwconv_norm_backward, err, x, x_norm, x_relu, w, y, y_norm, y_relu, da, accumulate, dw, dx, sums);
  return backward(s, __func__, b, w, accumulate != 0, dw, sums ? &totals : nullptr, err);
}
