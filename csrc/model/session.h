// What a segnas_session is: a plan and the memory it runs in.
#pragma once
#include <optional>

#include "plan.h"

#include "../core/interpolation.h"

struct segnas_session {
  segnas_context *context = nullptr;
  std::atomic<bool> in_use{false};
  void *backend_session = nullptr;  // a plug-in's; then the plan holds the network alone, and nothing below is there
  size_t activation_bytes = 0, weight_bytes = 0;
  segnas::Plan plan;
  std::optional<segnas::Float32> float32;
  std::optional<segnas::Bfloat16> bfloat16;
  std::optional<segnas::Integers> integers;  // one of the three is the plan's arithmetic
  segnas::Arena picture, weights, activations, scratch, axes;
  struct Axes {
    segnas::Axis rows, columns;
  };
  std::vector<Axes> layer_axes;  // by layer; empty but for upsampling and labels
};

namespace segnas {

// One run's addresses.
struct Run {
  segnas_session *session;
  const void *input;
  void *output;

  const Plan &plan() const { return session->plan; }
  int64_t pixel_bytes(int value) const { return plan().pixel_bytes(value); }

  // A value as it is stored.
  const char *read(int value) const {
    const Value &v = plan().values[value];
    return value == 0 && v.offset < 0 ? static_cast<const char *>(input) : at(v.offset);
  }
  const char *row(int value, int64_t picture, int64_t row) const {
    const Value &v = plan().values[value];
    return read(value) + (picture * v.h + row) * v.w * pixel_bytes(value);
  }
  // The same as plain float32.
  const float *read_floats(int value) const {
    const Value &v = plan().values[value];
    if (plan().arithmetic->plain()) return reinterpret_cast<const float *>(read(value));
    return value == 0 ? static_cast<const float *>(input) : reinterpret_cast<const float *>(at(v.float_offset));
  }
  // Whether the step that makes a value leaves it as plain float32 right away, and where it leaves it.
  bool makes_floats(int value) const { return plan().values[value].wants_floats && !plan().values[value].wants_stored; }
  char *write(int value) const {
    const Value &v = plan().values[value];
    return at(makes_floats(value) ? v.float_offset : v.offset);
  }
  float *write_floats(int value) const { return reinterpret_cast<float *>(at(plan().values[value].float_offset)); }
  // The rows that a dense 3x3 layer reads for its output row `row`: of a picture, or of plain float32.
  void dense_rows(const Layer &l, int64_t picture, int64_t row, const void *rows[3]) const {
    const Value &x = plan().values[l.input];
    bool bytes = l.input == 0 && plan().picture.bytes;
    const char *base = l.input == 0 ? static_cast<const char *>(input) : reinterpret_cast<const char *>(read_floats(l.input));
    for (int64_t u = 0; u < 3; u++) {
      int64_t from = row * l.stride + u - 1;
      rows[u] = from >= 0 && from < x.h ? base + (picture * x.h + from) * x.w * x.c * (bytes ? 1 : 4) : nullptr;
    }
  }
  // This thread's scratch.
  char *scratch(int worker, void *base) const { return static_cast<char *>(base) + static_cast<size_t>(worker) * plan().worker_bytes; }

 private:
  char *at(int64_t offset) const {
    return offset < 0 ? static_cast<char *>(output) : static_cast<char *>(session->activations.reserve(0)) + offset;
  }
};

void run_step(const Run &run, const Step &step);
// A fused chain: [expand | dense 3x3] -> depthwise -> project.
void run_chain(const Run &run, const Step &step);

}  // namespace segnas
