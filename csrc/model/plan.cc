#include "plan.h"

#include <algorithm>

#include "../core/interpolation.h"

namespace segnas {
namespace {

// Whether layer `next` is the only reader of layer `index`'s value and may be fused behind it.
bool feeds_only(const Plan &plan, int index, int next, int32_t kind) {
  if (next >= static_cast<int>(plan.layers.size())) return false;
  const Layer &l = plan.layers[next];
  return l.kind == kind && l.input == index + 1 && l.input2 != index + 1 && l.group == plan.layers[index].group &&
         plan.values[index + 1].reader_count == 1;
}

// A block whose middle is no larger than this runs faster layer by layer: the middle stays in the cores' L2 anyway, and products over all
// pixels have fewer tails than products over rows of a tile.
constexpr int64_t kFuseBytes = 2 << 20;

bool widens(const Plan &plan, int i) {
  const Layer &l = plan.layers[i];
  return l.kind == SEGNAS_LAYER_CONV3X3 || (l.kind == SEGNAS_LAYER_PWCONV && l.input2 < 0);
}

// Whether layer i and the two behind it, or the rest of them, are fused: a block by its middle, a depthwise layer with no block before it always.
bool fuses(const Plan &plan, int i) {
  if (plan.fusion != SEGNAS_FUSION_AUTO) return plan.fusion == SEGNAS_FUSION_ALWAYS;
  int first = plan.layers[i].kind == SEGNAS_LAYER_DWCONV ? i - 1 : i;
  if (first < 0 || !widens(plan, first) || !feeds_only(plan, first, first + 1, SEGNAS_LAYER_DWCONV)) return true;
  if (plan.layers[first].kind == SEGNAS_LAYER_CONV3X3) return true;
  const Value &middle = plan.values[first + 1];
  return plan.n * middle.h * middle.w * plan.pixel_bytes(first + 1) > kFuseBytes;
}

int add_step(Plan *plan, int i) {
  Step step;
  step.first = i;
  step.group = plan->layers[i].group;
  step.input = plan->layers[i].input;
  int32_t kind = plan->layers[i].kind;
  int depthwise = kind == SEGNAS_LAYER_DWCONV ? i : widens(*plan, i) && feeds_only(*plan, i, i + 1, SEGNAS_LAYER_DWCONV) ? i + 1 : -1;
  // The taps of a dilated layer lie too far apart for a ring of rows.
  if (depthwise >= 0 && plan->layers[depthwise].dilation > 1) depthwise = -1;
  int last = i;
  if (depthwise >= 0 && fuses(*plan, i) && feeds_only(*plan, depthwise, depthwise + 1, SEGNAS_LAYER_PWCONV)) {
    step.depthwise = depthwise;
    step.project = last = depthwise + 1;
    step.expands = depthwise != i;
  }
  step.output = last + 1;
  plan->steps.push_back(step);
  return last + 1;
}

// Which forms of each value are read. Labels, averages and dense 3x3 layers read plain float32, everything else what is stored.
void note_forms(Plan *plan) {
  for (const Layer &l : plan->layers) {
    bool floats = l.kind == SEGNAS_LAYER_LABELS || l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_AVG_POOL;
    (floats ? plan->values[l.input].wants_floats : plan->values[l.input].wants_stored) = true;
    if (l.input2 >= 0) plan->values[l.input2].wants_stored = true;
  }
  plan->values.back().wants_floats = true;
  if (plan->arithmetic->plain())
    for (Value &v : plan->values) v.wants_stored |= v.wants_floats, v.wants_floats = false;
}

Step conversion(Convert convert, int value, int group) {
  Step step;
  step.convert = convert;
  step.input = step.output = value;
  step.group = group;
  return step;
}

// Adds the steps that make a value's other form: the input's before all others, a made value's behind the step that makes it. A pointwise
// product leaves its registers in either form, so it needs none unless both are read.
void add_conversions(Plan *plan) {
  if (plan->arithmetic->plain()) return;
  std::vector<Step> steps;
  if (plan->values[0].wants_stored) steps.push_back(conversion(Convert::kToStored, 0, plan->steps.front().group));
  for (const Step &s : plan->steps) {
    steps.push_back(s);
    Value &v = plan->values[s.output];
    const Layer &last = plan->layers[s.project >= 0 ? s.project : s.first];
    if (!v.wants_floats || last.kind == SEGNAS_LAYER_LABELS || (last.kind == SEGNAS_LAYER_PWCONV && !v.wants_stored)) continue;
    v.wants_stored = true;
    steps.push_back(conversion(Convert::kToFloats, s.output, s.group));
  }
  plan->steps = std::move(steps);
}

struct Placed {
  int64_t begin, end;
  int last_reader;
};

// First fit: the lowest place where nothing that is still read lies.
int64_t place(std::vector<Placed> *live, int64_t bytes, int last_reader) {
  int64_t at = 0, size = (bytes + 63) / 64 * 64;
  std::sort(live->begin(), live->end(), [](const Placed &a, const Placed &b) { return a.begin < b.begin; });
  for (const Placed &p : *live)
    if (p.begin < at + size) at = std::max(at, p.end);
  live->push_back({at, at + size, last_reader});
  return at;
}

void place_values(Plan *plan) {
  std::vector<Placed> live;
  const int output = static_cast<int>(plan->values.size()) - 1;
  for (size_t s = 0; s < plan->steps.size(); s++) {
    const Step &step = plan->steps[s];
    Value &v = plan->values[step.output];
    const Arithmetic &a = *plan->arithmetic;
    std::erase_if(live, [&](const Placed &p) { return p.last_reader < static_cast<int>(s); });
    int64_t pixels = plan->n * v.h * v.w;
    bool to_floats = step.convert == Convert::kToFloats;
    if (!to_floats && v.wants_stored && !(a.plain() && step.output == output))
      v.offset = place(&live, pixels * plan->pixel_bytes(step.output), v.last_reader);
    // The caller's memory holds the output.
    if (v.wants_floats && step.output != output && (to_floats || !v.wants_stored))
      v.float_offset = place(&live, pixels * v.c * 4, v.last_reader);
    for (const Placed &p : live) plan->activation_bytes = std::max(plan->activation_bytes, static_cast<size_t>(p.end));
  }
}

void note_readers(Plan *plan) {
  for (size_t s = 0; s < plan->steps.size(); s++) {
    const Step &step = plan->steps[s];
    plan->values[step.input].last_reader = static_cast<int>(s);
    if (step.convert != Convert::kNone) continue;
    int last = step.project >= 0 ? step.project : step.first;
    if (plan->layers[last].input2 >= 0) plan->values[plan->layers[last].input2].last_reader = static_cast<int>(s);
  }
}

// Scratch of one thread for a chain: the ring of middle rows, the line between depthwise and project, and what a dense 3x3 layer needs.
size_t chain_scratch(const Plan &plan, const Step &s) {
  const Layer &d = plan.layers[s.depthwise];
  const Arithmetic &a = *plan.arithmetic;
  int64_t tile = (plan.values[s.output].w + s.tiling.tiles - 1) / s.tiling.tiles;
  size_t bytes = cache_lines(static_cast<size_t>((s.expands ? d.kernel * s.tiling.ring_columns : 0) * plan.pixel_bytes(d.input))) +
                 cache_lines(static_cast<size_t>(tile * plan.pixel_bytes(s.depthwise + 1)));
  const Layer &first = plan.layers[s.first];
  if (first.kind == SEGNAS_LAYER_CONV3X3) bytes += a.dense_scratch(first, s.tiling.ring_columns, first.input == 0 ? &plan.picture : nullptr);
  return bytes;
}

// Scratch of one thread, and the memory of packed weights and axes.
void size_memory(Plan *plan) {
  const Arithmetic &a = *plan->arithmetic;
  for (size_t i = 0; i < plan->layers.size(); i++) {
    const Layer &l = plan->layers[i];
    plan->weight_bytes += a.weight_bytes(l) + a.bias_bytes(l);
    const Value &x = plan->values[l.input], &y = plan->values[i + 1];
    if (interpolates(l)) plan->axis_bytes += axis_bytes(x.h, y.h) + axis_bytes(x.w, y.w);
    if (l.kind == SEGNAS_LAYER_LABELS)
      plan->worker_bytes = std::max<size_t>(plan->worker_bytes, sizeof(float) * argmax_scratch_floats(static_cast<int32_t>(x.c)));
    else if (interpolates(l))
      plan->worker_bytes = std::max(plan->worker_bytes, a.upsample_scratch(x.w, x.c));
    if (l.dilation > 1) plan->worker_bytes = std::max(plan->worker_bytes, a.dilated_scratch(l, x.w));
    if (l.kind == SEGNAS_LAYER_AVG_POOL) plan->worker_bytes = std::max(plan->worker_bytes, cache_lines(sizeof(float) * static_cast<size_t>(pool_channels(*plan, l))));
  }
  for (const Step &s : plan->steps) {
    if (s.convert != Convert::kNone) continue;
    const Layer &l = plan->layers[s.first];
    if (s.depthwise >= 0) plan->worker_bytes = std::max(plan->worker_bytes, chain_scratch(*plan, s));
    if (s.depthwise < 0 && l.kind == SEGNAS_LAYER_CONV3X3)
      plan->worker_bytes = std::max(plan->worker_bytes, a.dense_scratch(l, plan->values[s.output].w, l.input == 0 ? &plan->picture : nullptr));
  }
  plan->worker_bytes = cache_lines(plan->worker_bytes);
}

}  // namespace

bool interpolates(const Layer &l) {
  return l.kind == SEGNAS_LAYER_UPSAMPLE_ADD || l.kind == SEGNAS_LAYER_NEAREST_ADD || l.kind == SEGNAS_LAYER_UPSAMPLE || l.kind == SEGNAS_LAYER_LABELS;
}

int64_t pool_channels(const Plan &plan, const Layer &l) { return plan.arithmetic->plain() ? std::min(l.cin, kPoolChannels) : l.cin; }

void make_plan(int threads, Plan *plan) {
  const int count = static_cast<int>(plan->layers.size());
  for (int i = 0; i < count;) i = add_step(plan, i);
  for (Step &s : plan->steps)
    if (s.depthwise >= 0) s.tiling = choose_tiling(*plan, s, threads);
  note_forms(plan);
  add_conversions(plan);
  note_readers(plan);
  place_values(plan);
  size_memory(plan);
}

}  // namespace segnas
