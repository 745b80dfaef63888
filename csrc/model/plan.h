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
#include "arithmetic.h"

namespace segnas {

struct Value {
  int64_t h = 0, w = 0, c = 0;
  Form form = {};
  // Bytes into the activations; -1: the input, the output, or fused away. A value may lie there twice: as stored, and as plain float32.
  int64_t offset = -1, float_offset = -1;
  bool wants_stored = false, wants_floats = false;  // by its readers; the output is read by the caller
  int reader_count = 0;
  int last_reader = -1;  // step
};

// How a fused step is cut: `tiles` column tiles by `bands` row bands of a picture.
struct Tiling {
  int64_t tiles = 1, bands = 1;
  int64_t ring_columns = 0;  // widest stretch of middle columns
};

enum class Convert { kNone, kToStored, kToFloats };

struct Step {
  Convert convert = Convert::kNone;  // the step is no layer: it makes value `output`'s other form
  int first = -1;  // layer: the expand or dense 3x3 of a chain, or the step's only layer
  int depthwise = -1, project = -1;  // layers of a chain; -1: not a chain
  bool expands = false;              // the chain has a layer before its depthwise
  int input = 0, output = 0;         // values
  int group = 0;
  Tiling tiling;
};

struct Plan {
  int64_t n = 0;
  const Arithmetic *arithmetic = nullptr;
  Picture picture;
  int32_t fusion = 0;     // segnas_fusion
  bool integers = false;  // layers' bits count
  std::vector<Layer> layers;
  std::vector<Value> values;
  std::vector<Step> steps;
  int groups = 0;
  size_t activation_bytes = 0, weight_bytes = 0;
  size_t worker_bytes = 0;  // scratch of one thread
  size_t axis_bytes = 0;    // of all interpolated axes

  int64_t pixel_bytes(int value) const { return arithmetic->pixel_bytes(values[value].form, values[value].c); }
};

// The layers as this version of the library has them: callers of an earlier one pass shorter structs.
segnas_status whole_layers(const segnas_layer *layers, int32_t count, std::vector<segnas_layer> *whole, segnas_error *err);
// Checks a network for inputs [n,h,w,c] of the plan's picture and fills in its layers, values and groups. Weights are not read.
segnas_status read_network(const segnas_layer *layers, int32_t count, int64_t n, int64_t h, int64_t w, int64_t c, Plan *plan, segnas_error *err);
// Gives the values of a network that is to be computed in integers their forms.
segnas_status assign_forms(const segnas_layer *layers, Plan *plan, segnas_error *err);
// Refuses weights that are not what their layers' steps and bits say.
segnas_status check_levels(const segnas_layer *layers, const Plan &plan, segnas_error *err);
// Plans what was read, for the plan's arithmetic on `threads` threads: steps, places, memory.
void make_plan(int threads, Plan *plan);

// Whether a layer reads its input by interpolated axes.
bool interpolates(const Layer &l);
// Channels that one piece of an average takes: in float32 a few, so that one bin is work for several threads; stored pixels are whole.
constexpr int64_t kPoolChannels = 64;
int64_t pool_channels(const Plan &plan, const Layer &l);

// Cuts a chain so that the slowest thread ends early: weighs halo columns and rows computed twice, tile tails, and what fits L2.
Tiling choose_tiling(const Plan &plan, const Step &step, int threads);
// The middle columns [begin, end) that output columns [out_begin, out_end) of a depthwise layer read.
void middle_range(int64_t kernel, int64_t stride, int64_t width, int64_t out_begin, int64_t out_end, int64_t *begin, int64_t *end);

}  // namespace segnas
