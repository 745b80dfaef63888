// Small networks for sessions, and what they compute: every layer through its op's reference in double, with a bound on the error of a
// float32 run carried along.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../include/segnas/segnas.h"
#include "random.h"

namespace segnas::check {

struct Network {
  std::string text;
  int32_t n = 1, h = 1, w = 1, c = 1;
  std::vector<segnas_layer> layers;
  std::vector<std::unique_ptr<std::vector<float>>> parameters;  // what the layers' pointers point to
  std::vector<float> input;

  bool labels() const { return layers.back().kind == SEGNAS_LAYER_LABELS; }
  int32_t groups() const { return layers.back().group + 1; }
};

// Stem, searched blocks, detail branch, fuse and head in small, with or without labels; sizes, widths, kernels, strides, groups from random.
Network draw_network(Random &random);

struct NetworkValue {
  int64_t n = 0, h = 0, w = 0, c = 0;
  std::vector<double> value;
  std::vector<double> bound;  // how far a float32 run may be off
  double energy = 0;          // sum of squares: of the values, or of the terms they were summed from where those are larger (see expected_sums)
  int64_t roundings = 0;      // sum of the summation depths on the longest way here
};

// The last layer's value; for LABELS the logits, upsampled to the input's size.
NetworkValue evaluate(const Network &network);

}  // namespace segnas::check
