// Small networks for sessions, and what they compute: every layer through its op's reference in double, with a bound on the error of a
// float32 run carried along.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../include/segnas/segnas.h"
#include "random.h"

namespace segnas::check {

// How a session runs a network: its precision, and whether pictures come as bytes.
struct Variant {
  const char *name;
  int32_t precision;
  bool bytes;
};
constexpr Variant kVariants[] = {{"f32", SEGNAS_PRECISION_F32, false},
                                 {"f32 of bytes", SEGNAS_PRECISION_F32, true},
                                 {"bf16", SEGNAS_PRECISION_BF16, false},
                                 {"bf16 of bytes", SEGNAS_PRECISION_BF16, true},
                                 {"f16", SEGNAS_PRECISION_F16, false},
                                 {"f16 of bytes", SEGNAS_PRECISION_F16, true}};
// How far a value moves at most when it is kept in the variant's precision, as a share of it.
constexpr double narrowing(const Variant &v) { return v.precision == SEGNAS_PRECISION_BF16 ? 0x1p-8 : v.precision == SEGNAS_PRECISION_F16 ? 0x1p-11 : 0; }

struct Network {
  std::string text;
  int32_t n = 1, h = 1, w = 1, c = 1;
  std::vector<segnas_layer> layers;
  std::vector<std::unique_ptr<std::vector<float>>> parameters;  // what the layers' pointers point to
  std::vector<float> input;
  // The picture as bytes, read as byte * scale[c] + shift[c]: another input, not the same one.
  std::vector<uint8_t> bytes;
  std::vector<float> scale, shift;

  // Bytes are for dense 3x3 layers alone.
  bool takes_bytes() const;
  const void *input_of(const Variant &v) const { return v.bytes ? static_cast<const void *>(bytes.data()) : input.data(); }
  segnas_session_options options(const Variant &v) const {
    return {sizeof(segnas_session_options), v.precision, v.bytes ? SEGNAS_U8 : SEGNAS_F32, scale.data(), shift.data(), SEGNAS_FUSION_ALWAYS};
  }
  bool labels() const { return layers.back().kind == SEGNAS_LAYER_LABELS; }
  int32_t groups() const { return layers.back().group + 1; }
};

// Stem, searched blocks, detail branch, fuse and head in small, with or without labels; sizes, widths, kernels, strides, groups from random. A
// few begin without a stem, or end where no trained network does.
Network draw_network(Random &random);

struct NetworkValue {
  int64_t n = 0, h = 0, w = 0, c = 0;
  std::vector<double> value;
  std::vector<double> bound;  // how far a run may be off
  double energy = 0;          // sum of squares: of the values, or of the terms they were summed from where those are larger (see expected_sums)
  int64_t roundings = 0;      // sum of the summation depths on the longest way here
  int64_t narrowings = 0;     // roundings to 16 bits on the longest way here
};

// The last layer's value; for LABELS the logits, upsampled to the input's size.
NetworkValue evaluate(const Network &network, const Variant &variant);

}  // namespace segnas::check
