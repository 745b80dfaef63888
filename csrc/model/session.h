// What a segnas_session is: a plan and the memory it runs in.
#pragma once
#include "plan.h"

#include "../core/interpolation.h"

struct segnas_session {
  segnas_context *context = nullptr;
  std::atomic<bool> in_use{false};
  segnas::Plan plan;
  segnas::Arena weights, activations, scratch, axes;
  struct Axes {
    segnas::Axis rows, columns;
  };
  std::vector<Axes> layer_axes;  // by layer; empty but for upsampling and labels
};

namespace segnas {

// One run's addresses.
struct Run {
  segnas_session *session;
  const float *input;
  void *output;

  const Plan &plan() const { return session->plan; }
  const float *read(int value) const { return value == 0 ? input : static_cast<const float *>(at(value)); }
  float *write(int value) const { return static_cast<float *>(at(value)); }
  // This thread's scratch.
  float *scratch(int worker, void *base) const {
    return reinterpret_cast<float *>(static_cast<char *>(base) + static_cast<size_t>(worker) * plan().worker_bytes);
  }

 private:
  void *at(int value) const {
    int64_t offset = plan().values[value].offset;
    return offset < 0 ? output : static_cast<float *>(session->activations.reserve(0)) + offset;
  }
};

void run_step(const Run &run, const Step &step);
// A fused chain: [expand | dense 3x3] -> depthwise -> project.
void run_chain(const Run &run, const Step &step);

}  // namespace segnas
