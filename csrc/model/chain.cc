// The fused chain. A piece is a column tile of a row band of one picture. Walking down, it keeps the k latest middle rows of its tile (halo
// columns included) in a ring; each output row is then one depthwise row and one small GEMM, both on data that never left L2.
//
// For 64 -> 384 -> 64 at 128x256 (k 3): 1.72 GMACs; bytes 8.4 MB read + 8.4 MB written, instead of 218 MB with the middle in memory. The
// halo costs (tile + 2) / tile of the expand.
#include <algorithm>

#include "session.h"

namespace segnas {
namespace {

struct Piece {
  const Run &run;
  const Step &step;
  int64_t picture, row_begin, row_end, column_begin, column_end;
  int64_t middle_begin, middle_end;  // middle columns in the ring
  char *ring, *line;  // [kernel][middle columns], [tile columns] pixels of the middle channels, stored
  void *dense_scratch;

  const Plan &plan() const { return run.plan(); }
  const Arithmetic &arithmetic() const { return *plan().arithmetic; }
  const Layer &first() const { return plan().layers[step.first]; }
  const Layer &depthwise() const { return plan().layers[step.depthwise]; }
  const Layer &project() const { return plan().layers[step.project]; }
  char *slot(int64_t row) const { return ring + row % depthwise().kernel * (middle_end - middle_begin) * run.pixel_bytes(depthwise().input); }
};

// Middle row `row` into its slot of the ring.
void make_middle_row(const Piece &p, int64_t row) {
  const Layer &e = p.first();
  const Value &x = p.plan().values[p.step.input];
  int64_t columns = p.middle_end - p.middle_begin;
  if (e.kind == SEGNAS_LAYER_PWCONV) {
    const char *from = p.run.row(p.step.input, p.picture, row) + p.middle_begin * p.run.pixel_bytes(p.step.input);
    return p.arithmetic().pointwise(e, from, columns, nullptr, false, p.slot(row), {});
  }
  const void *rows[3];
  p.run.dense_rows(e, p.picture, row, rows);
  p.arithmetic().dense(e, {rows, x.w, p.middle_begin * e.stride, columns}, e.input == 0 ? &p.plan().picture : nullptr, p.dense_scratch, p.slot(row));
}

// What the output row after `row` is the first to read of the input: a stretch of one row (of two, with stride 2, the last). Its products are long
// enough to fetch it behind them.
Ahead next_input(const Piece &p, int64_t row) {
  const Layer &d = p.depthwise();
  const int64_t next = (row + 1) * d.stride + d.kernel / 2;
  if (row + 1 == p.row_end || next >= p.plan().values[d.input].h || p.first().kind == SEGNAS_LAYER_CONV3X3) return {};
  const int64_t pixel = p.run.pixel_bytes(p.step.input);
  const char *at = p.run.row(p.step.input, p.picture, next);
  return {at + p.middle_begin * pixel, at + p.middle_end * pixel};
}

void make_output_row(const Piece &p, int64_t row, int64_t middle_h, int64_t middle_w) {
  const Layer &d = p.depthwise(), &e = p.project();
  const Value &y = p.plan().values[p.step.output];
  const void *rows[7];
  for (int64_t u = 0; u < d.kernel; u++) {
    int64_t from = row * d.stride + u - d.kernel / 2;
    bool inside = from >= 0 && from < middle_h;
    rows[u] = !inside ? nullptr : p.step.expands ? p.slot(from) : p.run.row(p.step.input, p.picture, from);
  }
  int64_t origin = p.step.expands ? p.middle_begin : 0;
  int64_t in_w = p.step.expands ? p.middle_end - p.middle_begin : middle_w, columns = p.column_end - p.column_begin;
  p.arithmetic().depthwise(d, {rows, in_w, p.column_begin * d.stride - origin, columns}, p.line);
  const void *residual = e.input2 >= 0 ? p.run.row(e.input2, p.picture, row) + p.column_begin * p.run.pixel_bytes(e.input2) : nullptr;
  bool floats = p.run.makes_floats(p.step.output);
  int64_t pixel = (p.picture * y.h + row) * y.w + p.column_begin;
  p.arithmetic().pointwise(e, p.line, columns, residual, floats, p.run.write(p.step.output) + pixel * (floats ? 4 * y.c : p.run.pixel_bytes(p.step.output)),
                           next_input(p, row));
}

void run_piece(const Piece &p) {
  const Layer &d = p.depthwise();
  const Value &middle = p.plan().values[d.input];
  int64_t made = std::max<int64_t>(0, p.row_begin * d.stride - d.kernel / 2);
  for (int64_t row = p.row_begin; row < p.row_end; row++) {
    if (p.step.expands) {
      int64_t needed = std::min(middle.h, row * d.stride + d.kernel / 2 + 1);
      for (; made < needed; made++) make_middle_row(p, made);
    }
    make_output_row(p, row, middle.h, middle.w);
  }
}

}  // namespace

void run_chain(const Run &run, const Step &step) {
  const Plan &plan = run.plan();
  const Value &y = plan.values[step.output];
  const Layer &d = plan.layers[step.depthwise];
  const Value &middle = plan.values[d.input];
  const Tiling &t = step.tiling;
  int64_t tile = (y.w + t.tiles - 1) / t.tiles, band = (y.h + t.bands - 1) / t.bands;
  void *scratch = run.session->scratch.reserve(0);
  run.session->context->pool->run(plan.n * t.tiles * t.bands, [&](int64_t i, int worker) {
    int64_t column = i % t.tiles * tile, row = i / t.tiles % t.bands * band;
    Piece p{run, step, i / (t.tiles * t.bands), row, std::min(y.h, row + band), column, std::min(y.w, column + tile), 0, 0, nullptr, nullptr, nullptr};
    if (p.row_begin >= p.row_end || p.column_begin >= p.column_end) return;
    middle_range(d.kernel, d.stride, middle.w, p.column_begin, p.column_end, &p.middle_begin, &p.middle_end);
    p.ring = run.scratch(worker, scratch);
    p.line = p.ring + cache_lines(static_cast<size_t>((step.expands ? d.kernel * t.ring_columns : 0) * run.pixel_bytes(d.input)));
    p.dense_scratch = p.line + cache_lines(static_cast<size_t>(tile * run.pixel_bytes(step.depthwise + 1)));
    run_piece(p);
  });
}

}  // namespace segnas
