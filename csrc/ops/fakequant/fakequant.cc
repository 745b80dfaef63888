// segnas_fakequant_*: checks, the channels' ranges, and the split into slabs.
#include "fakequant.h"

#include "../../core/quantiser.h"
#include "../../core/slabs.h"
#include "../../core/view.h"

namespace segnas {
namespace {

// The tensors of a call.
struct Quantising {
  const segnas_quantiser *q;
  const segnas_tensor *clip;
  Pixels x;
  int64_t clips;

  segnas_status check(const segnas_stream *s, const char *op, const segnas_tensor *x_tensor, segnas_error *err) {
    SEGNAS_TRY(check_quantiser(op, q, err));
    SEGNAS_TRY(check_stored_pixels(s, op, "x", x_tensor, &x, err));
    return check_clip(s, op, "clip", clip, x.channels, &clips, err);
  }
};

segnas_status check_like(const segnas_stream *s, const char *op, const char *name, const segnas_tensor *t, const segnas_tensor *x, Pixels *pixels,
                         segnas_error *err) {
  SEGNAS_TRY(check_stored_pixels(s, op, name, t, pixels, err));
  SEGNAS_TRY(check_alike(op, "x", x, name, t, err));
  if (same_shape(*x, *t)) return SEGNAS_OK;
  return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: x and %s differ in shape", op, name);
}

segnas_status no_memory(const char *op, segnas_error *err) { return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for scratch", op); }

size_t range_bytes(const Quantising &c) { return 4 * cache_lines(static_cast<size_t>(c.clips) * sizeof(float)); }

// The clips' ranges in memory of range_bytes.
FakequantRange make_range(const Quantising &c, char *memory) {
  const size_t distance = range_bytes(c) / 4;
  float *rows[4];
  for (size_t i = 0; i < 4; i++) rows[i] = reinterpret_cast<float *>(memory + i * distance);
  for (int64_t i = 0; i < c.clips; i++) {
    const QuantiserRange range = range_of(*c.q, f32(*c.clip)[i]);
    rows[0][i] = range.low, rows[1][i] = range.high, rows[2][i] = range.r, rows[3][i] = range.s;
  }
  return {rows[0], rows[1], rows[2], rows[3], c.clips > 1};
}

// The clips' gradients from the slabs' sums of channels, which are added to the first slab's.
void finish(const Quantising &c, int64_t slabs, double *sums, bool accumulate, float *dclip) {
  const int64_t channels = c.x.channels;
  for (int64_t slab = 1; slab < slabs; slab++)
    for (int64_t i = 0; i < channels; i++) sums[i] += sums[slab * channels + i];
  for (int64_t i = c.clips; i < channels; i++) sums[0] += sums[i];
  for (int64_t i = 0; i < c.clips; i++) add_clip_gradient(*c.q, sums[i], accumulate, dclip + i);
}

}  // namespace
}  // namespace segnas

using namespace segnas;

extern "C" {

SEGNAS_API segnas_status segnas_fakequant_forward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip,
                                                  const segnas_tensor *y, segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Quantising c = {q, clip, {}, 0};
  Pixels yp;
  SEGNAS_TRY(c.check(s, __func__, x, err));
  SEGNAS_TRY(check_like(s, __func__, "y", y, x, &yp, err));
  SEGNAS_DISPATCH(s, fakequant_forward, err, q, x, clip, y);

  char *memory = static_cast<char *>(s->scratch.reserve(range_bytes(c)));
  if (!memory) return no_memory(__func__, err);
  const FakequantRange range = make_range(c, memory);
  const Slabs slabs(c.x.count(), c.x.channels, 1);
  s->context->pool->run(slabs.count, [&](int64_t slab, int) {
    const int64_t at = slabs.begin(slab);
    s->context->kernels->fakequant.forward({f32(*x) + at * c.x.pitch, c.x.pitch, f32(*y) + at * yp.pitch, yp.pitch, slabs.size(slab, c.x.count()),
                                            c.x.channels, range});
  });
  return succeed(err);
}

SEGNAS_API segnas_status segnas_fakequant_backward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip,
                                                   const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dx, const segnas_tensor *dclip,
                                                   segnas_error *err) {
  SEGNAS_ENTER(s, err);
  Quantising c = {q, clip, {}, 0};
  Pixels dyp, dxp;
  SEGNAS_TRY(c.check(s, __func__, x, err));
  SEGNAS_TRY(check_like(s, __func__, "dy", dy, x, &dyp, err));
  SEGNAS_TRY(check_like(s, __func__, "dx", dx, x, &dxp, err));
  SEGNAS_TRY(check_vector(s, __func__, "dclip", dclip, c.clips, err));
  if (accumulate != 0 && accumulate != 1) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: accumulate is %d, should be 0 or 1", __func__, accumulate);
  SEGNAS_DISPATCH(s, fakequant_backward, err, q, x, clip, dy, accumulate, dx, dclip);

  const int64_t channels = c.x.channels;
  const Slabs slabs(c.x.count(), channels, kFakequantBlock);
  const size_t block_bytes = cache_lines(static_cast<size_t>(channels) * sizeof(float)), blocks_at = range_bytes(c);
  const size_t sums_at = blocks_at + static_cast<size_t>(s->context->pool->threads()) * block_bytes;
  char *memory = static_cast<char *>(s->scratch.reserve(sums_at + static_cast<size_t>(slabs.count * channels) * sizeof(double)));
  if (!memory) return no_memory(__func__, err);
  const FakequantRange range = make_range(c, memory);
  double *sums = reinterpret_cast<double *>(memory + sums_at);
  s->context->pool->run(slabs.count, [&](int64_t slab, int worker) {
    const int64_t at = slabs.begin(slab);
    float *block = reinterpret_cast<float *>(memory + blocks_at + static_cast<size_t>(worker) * block_bytes);
    s->context->kernels->fakequant.backward({f32(*x) + at * c.x.pitch, c.x.pitch, f32(*dy) + at * dyp.pitch, dyp.pitch, f32(*dx) + at * dxp.pitch,
                                             dxp.pitch, slabs.size(slab, c.x.count()), channels, range, q->is_signed != 0,
                                             q->gradient == SEGNAS_CLIP_STEP ? 1 / largest_level(*q) : 0, block, sums + slab * channels});
  });
  finish(c, slabs.count, sums, accumulate != 0, f32(*dclip));
  return succeed(err);
}

}  // extern "C"
