// A network planned for a device: which layers run as one step, and where every value and weight lies. Nothing here touches the device.
//
// A value may be wanted in the session's stored type, as plain float32 (by labels, by dense layers, by the caller), or both; with float they are one.
// In integers a value has one form, floats or bytes, which its readers give it; of some float32 layers its floats are there for a step, until they are rounded.
// Value 0 is the caller's picture, copied to the device as it comes: float32 or bytes.
#pragma once
#include <vector>

#include "integers.h"

namespace segnas::gpu {

struct PlannedValue {
  int64_t h = 0, w = 0, c = 0;
  Form form = {};  // bits in integers alone
  bool wants_stored = false, wants_floats = false;
  int64_t offset = -1, float_offset = -1;  // bytes into the activations; -1: it does not lie there
  int readers = 0, last_reader = -1;       // the latter a step
};

enum class StepKind {
  kDense, kDepthwise, kPointwise, kBlock, kDilated, kAvgPool, kUpsample, kUpsampleAdd, kLabels, kToStored, kToFloats,
  kIntegerPointwise, kIntegerDepthwise, kNearestAdd, kQuantise,
};

struct PlannedStep {
  StepKind kind = StepKind::kPointwise;
  int layer = -1;                          // its only one, or a block's last; -1: a value's other form is made
  int depthwise = -1, expand = -1;         // a block's others; expand may be -1
  int input = 0, input2 = -1, output = 0;  // values
  int group = 0;
};

struct PlannedWeights {
  int64_t weights = -1, bias = -1;  // bytes into the session's weights; in integers the former has all (IntegerParts)
};

struct SessionPlan {
  const segnas_network *network = nullptr;  // borrowed
  Stored stored = Stored::kFloat;
  bool integers = false;  // layers' bits count
  std::vector<PlannedValue> values;
  std::vector<PlannedStep> steps;
  std::vector<PlannedWeights> weights;  // by layer
  int64_t scale = -1, shift = -1;       // of a picture of bytes, beside the weights
  size_t activation_bytes = 0, weight_bytes = 0;

  bool bytes() const { return network->options->input == SEGNAS_U8; }
  const segnas_layer &layer(int i) const { return network->layers[i]; }
  // The second value whose numbers a layer reads; -1: none. Of an upsampling's only the size counts.
  int32_t input2(int i) const { return layer(i).input2 < 0 || layer(i).kind == SEGNAS_LAYER_UPSAMPLE ? -1 : layer(i).input2; }
  int64_t input_channels(int i) const { return values[static_cast<size_t>(layer(i).input)].c; }
  // Whether a layer computes in integers.
  bool in_integers(int i) const { return integers && layer(i).weight_bits > 0; }
  // Whether a step leaves floats of a value that is kept in bytes.
  bool leaves_floats(const PlannedStep &step) const;
  // How many numbers a layer's weights are; 0: it has none.
  int64_t weight_count(int i) const;
  // The layer without its memory.
  Convolution convolution(int i) const;
  IntegerParts integer_parts(int i) const { return gpu::integer_parts(layer(i), input_channels(i), convolution(i).channels); }
  // A value's shape, in the stored type or as float32; bytes are told by its form.
  Image image(int value, bool floats) const;
};

// Throws std::bad_alloc.
SessionPlan plan_session(const DeviceFacts &device, const segnas_network &network);

}  // namespace segnas::gpu
