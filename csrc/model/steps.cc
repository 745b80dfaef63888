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
  int64_t rows = std::clamp<int64_t>((int64_t{1} << 21) / (l.cin * l.channels), 24, 1024) / 24 * 24;
  run.session->context->pool->run((pixels + rows - 1) / rows, [&](int64_t piece, int) {
    int64_t first = piece * rows, count = std::min(rows, pixels - first);
    const float *residual = l.input2 >= 0 ? run.read(l.input2) + first * y.c : nullptr;
    run.session->context->kernels->pwconv.rows(run.read(input) + first * l.cin, l.cin, count, l.weights, l.cin, l.channels, l.bias, residual, y.c,
                                               l.relu, run.write(output) + first * y.c, y.c);
  });
}

// A dense 3x3 or depthwise layer of its own.
void run_rows(const Run &run, const Layer &l, int input, int output) {
  const Value &x = run.plan().values[input], &y = run.plan().values[output];
  const Kernels &kernels = *run.session->context->kernels;
  int64_t kernel = l.kind == SEGNAS_LAYER_CONV3X3 ? 3 : l.kernel, bands = (y.h + kPieceRows - 1) / kPieceRows;
  run.session->context->pool->run(run.plan().n * bands, [&](int64_t piece, int) {
    int64_t picture = piece / bands, begin = piece % bands * kPieceRows, end = std::min(y.h, begin + kPieceRows);
    for (int64_t i = begin; i < end; i++) {
      const float *rows[7];
      for (int64_t u = 0; u < kernel; u++) {
        int64_t from = i * l.stride + u - kernel / 2;
        rows[u] = from >= 0 && from < x.h ? run.read(input) + (picture * x.h + from) * x.w * x.c : nullptr;
      }
      float *out = run.write(output) + (picture * y.h + i) * y.w * y.c;
      if (l.kind == SEGNAS_LAYER_CONV3X3) {
        kernels.conv3x3.row[l.stride - 1](rows, x.w, x.c, 0, l.cin, l.weights, l.bias, l.relu, l.channels, y.w, y.c, out);
      } else {
        kernels.dwconv.row[(l.kernel - 3) / 2][l.stride - 1](rows, x.w, x.c, 0, l.weights, l.cin, l.bias, l.relu, l.cin, y.w, y.c, out, nullptr);
      }
    }
  });
}

void run_upsample_add(const Run &run, int layer, int output) {
  const Layer &l = run.plan().layers[layer];
  const Value &x = run.plan().values[l.input], &y = run.plan().values[output];
  const segnas_session::Axes &axes = run.session->layer_axes[layer];
  void *scratch = run.session->scratch.reserve(0);
  run.session->context->pool->run(run.plan().n * y.h, [&](int64_t piece, int worker) {
    int64_t picture = piece / y.h, i = piece % y.h;
    const float *top = run.read(l.input) + (picture * x.h + axes.rows.lo[i]) * x.w * x.c;
    UpsampleRow row{};
    row.top = top, row.bottom = top + x.w * x.c, row.top_weight = axes.rows.w0[i], row.bottom_weight = axes.rows.w1[i];
    row.x_pitch = x.c, row.channels = x.c, row.columns = axes.columns;
    row.add = run.read(l.input2) + piece * y.w * y.c, row.add_pitch = y.c, row.relu = l.relu;
    row.y = run.write(output) + piece * y.w * y.c, row.y_pitch = y.c, row.line = run.scratch(worker, scratch);
    run.session->context->kernels->upsample.row(row);
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
    rows.logits = run.read(l.input) + picture * x.h * x.w * x.c, rows.pitch = x.c, rows.classes = static_cast<int32_t>(x.c);
    rows.rows = axes.rows, rows.columns = axes.columns;
    rows.row_begin = begin, rows.row_end = std::min(axes.rows.out, begin + band);
    rows.labels = static_cast<uint8_t *>(run.output) + picture * axes.rows.out * axes.columns.out;
    rows.scratch = run.scratch(worker, scratch);
    run.session->context->kernels->loss.argmax(rows);
  });
}

}  // namespace

void run_step(const Run &run, const Step &step) {
  if (step.depthwise >= 0) return run_chain(run, step);
  const Layer &l = run.plan().layers[step.first];
  switch (l.kind) {
    case SEGNAS_LAYER_PWCONV: return run_pointwise(run, l, step.input, step.output);
    case SEGNAS_LAYER_CONV3X3:
    case SEGNAS_LAYER_DWCONV: return run_rows(run, l, step.input, step.output);
    case SEGNAS_LAYER_UPSAMPLE_ADD: return run_upsample_add(run, step.first, step.output);
    case SEGNAS_LAYER_LABELS: return run_labels(run, step.first);
  }
}

}  // namespace segnas
