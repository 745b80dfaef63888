#include "plan.h"

#include <algorithm>

namespace segnas::gpu {
namespace {

constexpr int64_t kAlignment = 256;
int64_t aligned(int64_t bytes) { return ceil_div(bytes, kAlignment) * kAlignment; }

// Whether layer `next` is all that reads layer i's value, and may run in one step with it.
bool feeds_only(const SessionPlan &plan, int i, int next, int32_t kind) {
  if (next >= plan.network->count) return false;
  const segnas_layer &l = plan.layer(next);
  return l.kind == kind && l.input == i + 1 && plan.input2(next) != i + 1 && l.group == plan.layer(i).group && plan.values[static_cast<size_t>(i) + 1].readers == 1;
}

// Blocks begin at an expanding layer or at a depthwise one. Returns the layer behind the block, or `first` where there is none to fuse.
int add_block(const DeviceFacts &device, SessionPlan *plan, int first) {
  const segnas_layer &l = plan->layer(first);
  const bool expands = l.kind == SEGNAS_LAYER_PWCONV && l.input2 < 0 && feeds_only(*plan, first, first + 1, SEGNAS_LAYER_DWCONV);
  const int depthwise = expands ? first + 1 : first, project = depthwise + 1;
  const int32_t fusion = plan->network->options->fusion;
  if (fusion == SEGNAS_FUSION_NEVER || plan->layer(depthwise).kind != SEGNAS_LAYER_DWCONV || plan->layer(depthwise).dilation > 1 || !feeds_only(*plan, depthwise, project, SEGNAS_LAYER_PWCONV)) return first;
  if (plan->in_integers(first) || plan->in_integers(depthwise) || plan->in_integers(project)) return first;  // their layers run one by one
  // What leaves a block is stored; only a pointwise layer of its own can leave float32 instead.
  if (!plan->values[static_cast<size_t>(project) + 1].wants_stored) return first;
  const Convolution expand = plan->convolution(first);
  const BlockFit fit = session_block_fit(device, expands ? &expand : nullptr, plan->convolution(depthwise), plan->convolution(project), plan->image(l.input, false),
                                         plan->image(project + 1, false));
  if (!fit.possible || (fusion == SEGNAS_FUSION_AUTO && !fit.faster)) return first;
  plan->steps.push_back({StepKind::kBlock, project, depthwise, expands ? first : -1, l.input, plan->layer(project).input2, project + 1, l.group});
  return project + 1;
}

int add_layer(SessionPlan *plan, int i) {
  const segnas_layer &l = plan->layer(i);
  const StepKind kind = plan->in_integers(i)                  ? (l.kind == SEGNAS_LAYER_DWCONV ? StepKind::kIntegerDepthwise : StepKind::kIntegerPointwise)
                        : l.kind == SEGNAS_LAYER_NEAREST_ADD  ? StepKind::kNearestAdd
                        : l.kind == SEGNAS_LAYER_CONV3X3      ? StepKind::kDense
                        : l.kind == SEGNAS_LAYER_DWCONV       ? (l.dilation > 1 ? StepKind::kDilated : StepKind::kDepthwise)
                        : l.kind == SEGNAS_LAYER_PWCONV       ? StepKind::kPointwise
                        : l.kind == SEGNAS_LAYER_AVG_POOL     ? StepKind::kAvgPool
                        : l.kind == SEGNAS_LAYER_UPSAMPLE     ? StepKind::kUpsample
                        : l.kind == SEGNAS_LAYER_UPSAMPLE_ADD ? StepKind::kUpsampleAdd
                                                              : StepKind::kLabels;
  plan->steps.push_back({kind, i, -1, -1, l.input, plan->input2(i), i + 1, l.group});
  return i + 1;
}

// The forms that readers in integers ask for; the host has checked that they agree.
void note_integers(SessionPlan *plan) {
  for (int i = 0; i < plan->network->count; i++) {
    const segnas_layer &l = plan->layer(i);
    if (plan->in_integers(i)) plan->values[static_cast<size_t>(l.input)].form = {l.input_bits, l.input_signed != 0, l.input_step};
  }
}

// Steps that round what float32 layers make for readers in integers, right behind them.
void add_rounding(SessionPlan *plan) {
  std::vector<PlannedStep> steps;
  for (const PlannedStep &s : plan->steps) {
    steps.push_back(s);
    if (plan->leaves_floats(s)) steps.push_back({StepKind::kQuantise, s.layer, -1, -1, s.output, -1, s.output, s.group});
  }
  plan->steps = std::move(steps);
}

// Which forms of a value are read.
void note_forms(SessionPlan *plan) {
  for (int i = 0; i < plan->network->count; i++) {
    const segnas_layer &l = plan->layer(i);
    PlannedValue &x = plan->values[static_cast<size_t>(l.input)];
    (l.kind == SEGNAS_LAYER_LABELS || l.kind == SEGNAS_LAYER_CONV3X3 ? x.wants_floats : x.wants_stored) = true;
    if (plan->input2(i) >= 0) plan->values[static_cast<size_t>(plan->input2(i))].wants_stored = true;
  }
  plan->values.back().wants_floats = true;
  if (plan->stored != Stored::kFloat) return;
  for (PlannedValue &v : plan->values) v.wants_floats = false, v.wants_stored = true;
}

// Steps that make the other form: of the picture before all others, of a value behind the step that makes it. A pointwise layer leaves either form
// right away, so it needs none unless both are read; labels are neither.
void add_conversions(SessionPlan *plan) {
  if (plan->stored == Stored::kFloat) return;
  std::vector<PlannedStep> steps;
  auto convert = [&](StepKind kind, int value, int group) { steps.push_back({kind, -1, -1, -1, value, -1, value, group}); };
  plan->values[0].wants_floats = true;
  if (plan->values[0].wants_stored) convert(StepKind::kToStored, 0, plan->steps.front().group);
  for (const PlannedStep &s : plan->steps) {
    steps.push_back(s);
    PlannedValue &v = plan->values[static_cast<size_t>(s.output)];
    if (!v.wants_floats || s.kind == StepKind::kLabels || (s.kind == StepKind::kPointwise && !v.wants_stored)) continue;
    v.wants_stored = true;
    convert(StepKind::kToFloats, s.output, s.group);
  }
  plan->steps = std::move(steps);
}

class Places {
 public:
  // First fit: the lowest place where nothing lies that is still read. last: the last step that reads it.
  int64_t place(int64_t bytes, int last) {
    int64_t at = 0;
    const int64_t size = aligned(bytes);
    std::sort(live_.begin(), live_.end(), [](const Piece &a, const Piece &b) { return a.begin < b.begin; });
    for (const Piece &p : live_)
      if (p.begin < at + size) at = std::max(at, p.end);
    live_.push_back({at, at + size, last});
    end_ = std::max(end_, at + size);
    return at;
  }
  void free_before(int step) {
    std::erase_if(live_, [&](const Piece &p) { return p.last < step; });
  }
  int64_t end() const { return end_; }

 private:
  struct Piece {
    int64_t begin, end;
    int last;
  };
  std::vector<Piece> live_;
  int64_t end_ = 0;
};

void place_values(SessionPlan *plan) {
  const int steps = static_cast<int>(plan->steps.size());
  for (int s = 0; s < steps; s++) {
    const PlannedStep &step = plan->steps[static_cast<size_t>(s)];
    plan->values[static_cast<size_t>(step.input)].last_reader = s;
    if (step.input2 >= 0) plan->values[static_cast<size_t>(step.input2)].last_reader = s;
  }
  plan->values.back().last_reader = steps;  // the caller
  Places places;
  const int64_t n = plan->network->n;
  PlannedValue &picture = plan->values[0];
  const int64_t at = places.place(n * picture.h * picture.w * picture.c * (plan->bytes() ? 1 : 4), picture.last_reader);
  (plan->stored == Stored::kFloat ? picture.offset : picture.float_offset) = at;
  for (int s = 0; s < steps; s++) {
    const PlannedStep &step = plan->steps[static_cast<size_t>(s)];
    PlannedValue &v = plan->values[static_cast<size_t>(step.output)];
    const int64_t numbers = n * v.h * v.w * v.c;
    places.free_before(s);
    if (step.kind == StepKind::kLabels) {
      v.offset = places.place(numbers, v.last_reader);
    } else if (plan->leaves_floats(step)) {
      v.float_offset = places.place(numbers * 4, s + 1);
    } else if (v.form.bits > 0) {
      v.offset = places.place(n * v.h * v.w * stored_bytes(v.c), v.last_reader);
    } else if (step.kind == StepKind::kToFloats || !v.wants_stored) {
      v.float_offset = places.place(numbers * 4, v.last_reader);
    } else {
      v.offset = places.place(numbers * static_cast<int64_t>(bytes_of(plan->stored)), v.last_reader);
    }
  }
  plan->activation_bytes = static_cast<size_t>(places.end());
}

void place_weights(SessionPlan *plan) {
  int64_t at = 0;
  auto next = [&](int64_t bytes) {
    const int64_t begin = at;
    at += aligned(bytes);
    return begin;
  };
  for (int i = 0; i < plan->network->count; i++) {
    PlannedWeights &w = plan->weights[static_cast<size_t>(i)];
    const int64_t count = plan->weight_count(i);
    if (count == 0) continue;
    if (plan->in_integers(i)) {
      w.weights = next(plan->integer_parts(i).bytes);
      continue;
    }
    w.weights = next(count * (plan->layer(i).kind == SEGNAS_LAYER_PWCONV ? static_cast<int64_t>(bytes_of(plan->stored)) : 4));
    w.bias = next(plan->convolution(i).channels * 4);
  }
  if (plan->bytes()) {
    plan->scale = next(plan->values[0].c * 4);
    plan->shift = next(plan->values[0].c * 4);
  }
  plan->weight_bytes = static_cast<size_t>(at);
}

}  // namespace

bool SessionPlan::leaves_floats(const PlannedStep &step) const {
  if (values[static_cast<size_t>(step.output)].form.bits == 0) return false;
  return step.kind == StepKind::kDepthwise || step.kind == StepKind::kPointwise || step.kind == StepKind::kBlock;
}

int64_t SessionPlan::weight_count(int i) const {
  const segnas_layer &l = layer(i);
  switch (l.kind) {
    case SEGNAS_LAYER_CONV3X3: return 9 * input_channels(i) * l.channels;
    case SEGNAS_LAYER_DWCONV: return int64_t{l.kernel} * l.kernel * input_channels(i);
    case SEGNAS_LAYER_PWCONV: return input_channels(i) * l.channels;
  }
  return 0;
}

Convolution SessionPlan::convolution(int i) const {
  const segnas_layer &l = layer(i);
  const int32_t kernel = l.kind == SEGNAS_LAYER_CONV3X3 ? 3 : l.kind == SEGNAS_LAYER_DWCONV ? l.kernel : 1;
  const int64_t cin = input_channels(i);
  return {nullptr, nullptr, cin, l.kind == SEGNAS_LAYER_DWCONV ? cin : l.channels, kernel, l.kind == SEGNAS_LAYER_PWCONV ? 1 : l.stride, l.relu != 0};
}

Image SessionPlan::image(int value, bool floats) const {
  const PlannedValue &v = values[static_cast<size_t>(value)];
  return {nullptr, network->n, v.h, v.w, v.c, floats ? Stored::kFloat : stored};
}

SessionPlan plan_session(const DeviceFacts &device, const segnas_network &network) {
  SessionPlan plan;
  plan.network = &network;
  const int32_t precision = network.options->precision;
  plan.stored = precision == SEGNAS_PRECISION_F16 ? Stored::kHalf : precision == SEGNAS_PRECISION_BF16 ? Stored::kBfloat16 : Stored::kFloat;
  plan.integers = precision == SEGNAS_PRECISION_INT8;
  plan.values.resize(static_cast<size_t>(network.count) + 1);
  plan.weights.resize(static_cast<size_t>(network.count));
  for (size_t i = 0; i < plan.values.size(); i++) {
    PlannedValue &v = plan.values[i];
    v.h = network.values[i].h, v.w = network.values[i].w, v.c = network.values[i].c;
  }
  for (int i = 0; i < network.count; i++) {
    plan.values[static_cast<size_t>(plan.layer(i).input)].readers++;
    if (plan.input2(i) >= 0) plan.values[static_cast<size_t>(plan.input2(i))].readers++;
  }
  note_integers(&plan);
  note_forms(&plan);
  for (int i = 0; i < network.count;) {
    const int behind = add_block(device, &plan, i);
    i = behind > i ? behind : add_layer(&plan, i);
  }
  add_conversions(&plan);
  add_rounding(&plan);
  place_values(&plan);
  place_weights(&plan);
  return plan;
}

}  // namespace segnas::gpu
