// A deployed network, planned: shapes, fusion, tiling, memory. Planning happens once; running a plan allocates nothing.
//
// Fusion. A chain [pointwise | dense 3x3] -> depthwise -> pointwise whose inner values nobody else reads becomes one step: column tiles of the
// output walk down the picture with a ring of the k latest middle rows, which stay in L2; the middle tensor (six times the block's
// width) never reaches memory. Results are the same bits as unfused: each output is one chain of FMAs either way.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../core/context.h"

namespace segnas {

struct Value {
  int64_t h = 0, w = 0, c = 0;
  int64_t offset = -1;  // floats into the activations; -1: the input, the output, or fused away
  int reader_count = 0;
  int last_reader = -1;  // step
};

// A layer with its weights in the plan's own memory.
struct Layer {
  int32_t kind = 0, input = 0, input2 = -1, kernel = 0, stride = 1, group = 0;
  bool relu = false;
  int64_t cin = 0, channels = 0;
  const float *weights = nullptr;  // packed for pointwise and dense 3x3
  const float *bias = nullptr;
};

// How a fused step is cut: `tiles` column tiles by `bands` row bands of a picture.
struct Tiling {
  int64_t tiles = 1, bands = 1;
  int64_t ring_columns = 0;  // widest stretch of middle columns
};

struct Step {
  int first = -1;  // layer: the expand or dense 3x3 of a chain, or the step's only layer
  int depthwise = -1, project = -1;  // layers of a chain; -1: not a chain
  bool expands = false;              // the chain has a layer before its depthwise
  int input = 0, output = 0;         // values
  int group = 0;
  Tiling tiling;
};

struct Plan {
  int64_t n = 0;
  std::vector<Layer> layers;
  std::vector<Value> values;
  std::vector<Step> steps;
  int groups = 0;
  int64_t activation_floats = 0, weight_floats = 0;
  size_t worker_bytes = 0;  // scratch of one thread
  size_t axis_bytes = 0;    // of all interpolated axes
};

// Checks the layers and plans them for inputs [n,h,w,c] on `threads` threads. Layer weights are not packed yet.
segnas_status make_plan(const Kernels &kernels, int threads, const segnas_layer *layers, int32_t count, int64_t n, int64_t h, int64_t w, int64_t c,
                        Plan *plan, segnas_error *err);

// Cuts a chain so that the slowest thread ends early: weighs halo columns and rows computed twice, tile tails, and what fits L2.
Tiling choose_tiling(const Plan &plan, const Step &step, int threads);
// The middle columns [begin, end) that output columns [out_begin, out_end) of a depthwise layer read.
void middle_range(int64_t kernel, int64_t stride, int64_t width, int64_t out_begin, int64_t out_end, int64_t *begin, int64_t *end);

}  // namespace segnas
