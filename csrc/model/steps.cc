// The steps that stand alone.
#include <algorithm>

#include "session.h"

namespace segnas {
namespace {

// Rows of convolution output that one piece takes: about 2^17 multiply-adds' worth of columns is enough to hide the hand-over.
constexpr int64_t kPieceRows = 4;

void run_pointwise(const Run &run, const Layer &l, int input, int output) {
  const Value &y = run.plan().values[output];
  int64_t pixels = run.plan().n * y.h * y.w;
  // As much time in integers, and weights that are unpacked for each piece.
  const int64_t work = int64_t{1} << (l.weight_bits ? 22 : 21);
  int64_t rows = std::clamp<int64_t>(work / (l.cin * l.channels), 24, 1024) / 24 * 24;
  bool floats = run.makes_floats(output);
  int64_t pixel = floats ? 4 * y.c : run.pixel_bytes(output);
  run.session->context->pool->run((pixels + rows - 1) / rows, [&](int64_t piece, int) {
    int64_t first = piece * rows, count = std::min(rows, pixels - first);
    const char *residual = l.input2 >= 0 ? run.read(l.input2) + first * run.pixel_bytes(l.input2) : nullptr;
    run.plan().arithmetic->pointwise(l, run.read(input) + first * run.pixel_bytes(input), count, residual, floats, run.write(output) + first * pixel, {});
  });
}

// A dense 3x3 or depthwise layer of its own.
void run_rows(const Run &run, const Layer &l, int input, int output) {
  const Value &x = run.plan().values[input], &y = run.plan().values[output];
  int64_t bands = (y.h + kPieceRows - 1) / kPieceRows;
  void *scratch = run.session->scratch.reserve(0);
  run.session->context->pool->run(run.plan().n * bands, [&](int64_t piece, int worker) {
    int64_t picture = piece / bands, begin = piece % bands * kPieceRows, end = std::min(y.h, begin + kPieceRows);
    for (int64_t i = begin; i < end; i++) {
      const void *rows[7];
      char *out = run.write(output) + (picture * y.h + i) * y.w * run.pixel_bytes(output);
      if (l.kind == SEGNAS_LAYER_CONV3X3) {
        run.dense_rows(l, picture, i, rows);
        run.plan().arithmetic->dense(l, {rows, x.w, 0, y.w}, l.input == 0 ? &run.plan().picture : nullptr, run.scratch(worker, scratch), out);
        continue;
      }
      for (int64_t u = 0; u < l.kernel; u++) {
        int64_t from = i * l.stride + (u - l.kernel / 2) * l.dilation;
        rows[u] = from >= 0 && from < x.h ? run.row(input, picture, from) : nullptr;
      }
      if (l.dilation > 1) {
        run.plan().arithmetic->dilated(l, rows, x.w, run.scratch(worker, scratch), out);
        continue;
      }
      run.plan().arithmetic->depthwise(l, {rows, x.w, 0, y.w}, out);
    }
  });
}

// A value's other form, a row at a time.
void run_convert(const Run &run, const Step &step) {
  const Value &v = run.plan().values[step.output];
  run.session->context->pool->run(run.plan().n * v.h, [&](int64_t piece, int) {
    int64_t at = piece * v.w;
    if (step.convert == Convert::kToStored) {
      run.plan().arithmetic->to_stored(run.read_floats(step.input) + at * v.c, v.w, v.c, run.write(step.output) + at * run.pixel_bytes(step.output));
    } else {
      run.plan().arithmetic->to_float(run.read(step.input) + at * run.pixel_bytes(step.input), v.w, v.c, run.write_floats(step.output) + at * v.c);
    }
  });
}

// input2 < 0: nothing is added.
void run_upsample_add(const Run &run, int layer, int output) {
  const Layer &l = run.plan().layers[layer];
  const Value &x = run.plan().values[l.input], &y = run.plan().values[output];
  const segnas_session::Axes &axes = run.session->layer_axes[layer];
  void *scratch = run.session->scratch.reserve(0);
  const int64_t pixel = run.pixel_bytes(l.input);
  run.session->context->pool->run(run.plan().n * y.h, [&](int64_t piece, int worker) {
    int64_t picture = piece / y.h, i = piece % y.h;
    const char *top = run.row(l.input, picture, axes.rows.lo[i]);
    UpsampleRow row{};
    row.top_weight = axes.rows.w0[i], row.bottom_weight = axes.rows.w1[i];
    row.channels = x.c, row.columns = axes.columns, row.relu = l.relu;
    const char *onto = l.input2 >= 0 ? run.read(l.input2) + piece * y.w * pixel : nullptr;
    run.plan().arithmetic->upsample_add(l, row, top, top + x.w * pixel, onto, run.write(output) + piece * y.w * pixel, run.scratch(worker, scratch));
  });
}

void run_nearest_add(const Run &run, int layer, int output) {
  const Layer &l = run.plan().layers[layer];
  const Value &x = run.plan().values[l.input], &y = run.plan().values[output];
  const segnas_session::Axes &axes = run.session->layer_axes[layer];
  run.session->context->pool->run(run.plan().n * y.h, [&](int64_t piece, int) {
    const int64_t picture = piece / y.h, from = axes.rows.lo[piece % y.h];
    const float *line = run.read_floats(l.input) + (picture * x.h + from) * x.w * x.c, *onto = run.read_floats(l.input2) + piece * y.w * y.c;
    run.plan().arithmetic->nearest_add(l, line, axes.columns.lo, onto, y.w, run.write(output) + piece * y.w * run.pixel_bytes(output));
  });
}

// Means over bins, by the kernel of ops/pool. A piece is one bin of one picture, of a few channels where a value may be written in parts.
void run_avg_pool(const Run &run, const Layer &l, int output) {
  const Plan &plan = run.plan();
  const Value &x = plan.values[l.input], &y = plan.values[output];
  const int64_t part = pool_channels(plan, l), parts = (x.c + part - 1) / part;
  void *scratch = run.session->scratch.reserve(0);
  run.session->context->pool->run(plan.n * y.h * y.w * parts, [&](int64_t piece, int worker) {
    const int64_t channel = piece % parts * part, pixel = piece / parts, i = pixel / y.w % y.h, j = pixel % y.w;
    const int64_t count = std::min(part, x.c - channel);
    const int64_t top = i * x.h / y.h, bottom = ((i + 1) * x.h + y.h - 1) / y.h, left = j * x.w / y.w, right = ((j + 1) * x.w + y.w - 1) / y.w;
    float *sum = reinterpret_cast<float *>(run.scratch(worker, scratch));
    const float *from = run.read_floats(l.input) + (pixel / (y.h * y.w) * x.h + top) * x.w * x.c + channel;
    const PoolBin columns = {left, right};
    run.session->context->kernels->pool.sum({from, x.c, x.w * x.c, count, bottom - top, &columns, 1, sum});
    const float share = 1.0f / static_cast<float>((bottom - top) * (right - left));
    for (int64_t c = 0; c < count; c++) sum[c] = l.relu ? std::max(sum[c] * share, 0.0f) : sum[c] * share;
    if (plan.arithmetic->plain()) {
      std::copy_n(sum, count, reinterpret_cast<float *>(run.write(output)) + pixel * x.c + channel);
    } else {
      plan.arithmetic->to_stored(sum, 1, x.c, run.write(output) + pixel * run.pixel_bytes(output));
    }
  });
}

void run_labels(const Run &run, int layer) {
  const Layer &l = run.plan().layers[layer];
  const Value &x = run.plan().values[l.input];
  const segnas_session::Axes &axes = run.session->layer_axes[layer];
  int64_t band = std::max<int64_t>(1, kLossBandRows * axes.rows.out / x.h), bands = (axes.rows.out + band - 1) / band;
  void *scratch = run.session->scratch.reserve(0);
  run.session->context->pool->run(run.plan().n * bands, [&](int64_t piece, int worker) {
    int64_t picture = piece / bands, begin = piece % bands * band;
    ArgmaxRows rows{};
    rows.logits = run.read_floats(l.input) + picture * x.h * x.w * x.c, rows.pitch = x.c, rows.classes = static_cast<int32_t>(x.c);
    rows.rows = axes.rows, rows.columns = axes.columns;
    rows.row_begin = begin, rows.row_end = std::min(axes.rows.out, begin + band);
    rows.labels = static_cast<uint8_t *>(run.output) + picture * axes.rows.out * axes.columns.out;
    rows.scratch = reinterpret_cast<float *>(run.scratch(worker, scratch));
    run.session->context->kernels->loss.argmax(rows);
  });
}

}  // namespace

void run_step(const Run &run, const Step &step) {
  if (step.convert != Convert::kNone) return run_convert(run, step);
  if (step.depthwise >= 0) return run_chain(run, step);
  const Layer &l = run.plan().layers[step.first];
  switch (l.kind) {
    case SEGNAS_LAYER_PWCONV: return run_pointwise(run, l, step.input, step.output);
    case SEGNAS_LAYER_CONV3X3:
    case SEGNAS_LAYER_DWCONV: return run_rows(run, l, step.input, step.output);
    case SEGNAS_LAYER_AVG_POOL: return run_avg_pool(run, l, step.output);
    case SEGNAS_LAYER_UPSAMPLE:
    case SEGNAS_LAYER_UPSAMPLE_ADD: return run_upsample_add(run, step.first, step.output);
    case SEGNAS_LAYER_NEAREST_ADD: return run_nearest_add(run, step.first, step.output);
    case SEGNAS_LAYER_LABELS: return run_labels(run, step.first);
  }
}

}  // namespace segnas
