#include "plan.h"

#include <algorithm>

#include "../core/interpolation.h"

namespace segnas {
namespace {

constexpr int64_t kMostSide = 1 << 20, kMostChannels = 1 << 16;
constexpr int64_t kMostElements = int64_t{1} << 34;

segnas_status bad(segnas_error *err, int layer, const char *what) {
  return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: layer %d: %s", layer, what);
}

segnas_status check_layer(const segnas_layer &l, int index, int32_t count, segnas_error *err) {
  if (l.size != sizeof(segnas_layer)) return bad(err, index, "size is not sizeof(segnas_layer)");
  if (l.kind < SEGNAS_LAYER_CONV3X3 || l.kind > SEGNAS_LAYER_LABELS) return bad(err, index, "unknown kind");
  if (l.input < 0 || l.input > index || l.input2 > index) return bad(err, index, "reads a value that no earlier layer makes");
  bool convolution = l.kind <= SEGNAS_LAYER_PWCONV;
  if (convolution && (!l.weights || !l.bias)) return bad(err, index, "weights or bias is NULL");
  if ((l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_PWCONV) && (l.channels < 1 || l.channels > kMostChannels))
    return bad(err, index, "channels should be 1 to 65536");
  if (l.kind == SEGNAS_LAYER_DWCONV && l.kernel != 3 && l.kernel != 5 && l.kernel != 7) return bad(err, index, "kernel should be 3, 5 or 7");
  if ((l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_DWCONV) && l.stride != 1 && l.stride != 2)
    return bad(err, index, "stride should be 1 or 2");
  if (l.kind == SEGNAS_LAYER_UPSAMPLE_ADD && l.input2 < 0) return bad(err, index, "input2 is missing");
  if ((l.kind != SEGNAS_LAYER_PWCONV && l.kind != SEGNAS_LAYER_UPSAMPLE_ADD) && l.input2 >= 0) return bad(err, index, "takes no input2");
  if (l.kind == SEGNAS_LAYER_LABELS && index != count - 1) return bad(err, index, "labels must be the last layer");
  return SEGNAS_OK;
}

segnas_status infer(const Plan &plan, const Layer &l, int index, Value *out, segnas_error *err) {
  const Value &x = plan.values[l.input];
  *out = {x.h, x.w, x.c};
  const Value *second = l.input2 >= 0 ? &plan.values[l.input2] : nullptr;
  switch (l.kind) {
    case SEGNAS_LAYER_CONV3X3:
      if (x.c > kConv3x3MostChannels) return bad(err, index, "dense 3x3 takes at most 16 input channels");
      [[fallthrough]];
    case SEGNAS_LAYER_DWCONV:
      out->h = (x.h - 1) / l.stride + 1;
      out->w = (x.w - 1) / l.stride + 1;
      if (l.kind == SEGNAS_LAYER_CONV3X3) out->c = l.channels;
      break;
    case SEGNAS_LAYER_PWCONV:
      out->c = l.channels;
      if (second && (second->h != x.h || second->w != x.w || second->c != l.channels)) return bad(err, index, "input2 has another shape than the output");
      break;
    case SEGNAS_LAYER_UPSAMPLE_ADD:
      if (second->c != x.c) return bad(err, index, "input and input2 differ in channels");
      *out = {second->h, second->w, x.c};
      break;
    case SEGNAS_LAYER_LABELS:
      if (x.c > kMostClasses) return bad(err, index, "labels take at most 64 classes");
      *out = {plan.values[0].h, plan.values[0].w, 1};
      break;
  }
  if (plan.n * out->h * out->w > kMostElements / out->c) return bad(err, index, "its output is far too large");
  return SEGNAS_OK;
}

// Whether layer `next` is the only reader of layer `index`'s value and may be fused behind it.
bool feeds_only(const Plan &plan, int index, int next, int32_t kind) {
  if (next >= static_cast<int>(plan.layers.size())) return false;
  const Layer &l = plan.layers[next];
  return l.kind == kind && l.input == index + 1 && l.input2 != index + 1 && l.group == plan.layers[index].group &&
         plan.values[index + 1].reader_count == 1;
}

int add_step(Plan *plan, int i) {
  Step step;
  step.first = i;
  step.group = plan->layers[i].group;
  step.input = plan->layers[i].input;
  int32_t kind = plan->layers[i].kind;
  bool opens = kind == SEGNAS_LAYER_CONV3X3 || (kind == SEGNAS_LAYER_PWCONV && plan->layers[i].input2 < 0);
  int depthwise = kind == SEGNAS_LAYER_DWCONV ? i : opens && feeds_only(*plan, i, i + 1, SEGNAS_LAYER_DWCONV) ? i + 1 : -1;
  int last = i;
  if (depthwise >= 0 && feeds_only(*plan, depthwise, depthwise + 1, SEGNAS_LAYER_PWCONV)) {
    step.depthwise = depthwise;
    step.project = last = depthwise + 1;
    step.expands = depthwise != i;
  }
  step.output = last + 1;
  plan->steps.push_back(step);
  return last + 1;
}

// First fit by lifetime: a step's output is placed where no value that is still read lies.
void place_values(Plan *plan) {
  struct Placed {
    int64_t begin, end;
    int last_reader;
  };
  std::vector<Placed> live;
  int64_t top = 0;
  for (size_t s = 0; s + 1 < plan->steps.size(); s++) {
    Value &v = plan->values[plan->steps[s].output];
    int64_t size = (plan->n * v.h * v.w * v.c + 15) / 16 * 16, at = 0;
    std::erase_if(live, [&](const Placed &p) { return p.last_reader < static_cast<int>(s); });
    std::sort(live.begin(), live.end(), [](const Placed &a, const Placed &b) { return a.begin < b.begin; });
    for (const Placed &p : live)
      if (p.begin < at + size) at = std::max(at, p.end);
    v.offset = at;
    live.push_back({at, at + size, v.last_reader});
    top = std::max(top, at + size);
  }
  plan->activation_floats = top;
}

void note_readers(Plan *plan) {
  for (size_t s = 0; s < plan->steps.size(); s++) {
    const Step &step = plan->steps[s];
    plan->values[step.input].last_reader = static_cast<int>(s);
    int last = step.project >= 0 ? step.project : step.first;
    if (plan->layers[last].input2 >= 0) plan->values[plan->layers[last].input2].last_reader = static_cast<int>(s);
  }
}

// Scratch of one thread, and the memory of packed weights and axes.
void size_memory(const Kernels &kernels, Plan *plan) {
  for (const Layer &l : plan->layers) {
    int64_t floats = 0;
    if (l.kind == SEGNAS_LAYER_CONV3X3) floats = conv3x3_packed_floats(kernels.lanes, l.cin, l.channels);
    if (l.kind == SEGNAS_LAYER_PWCONV) floats = kernels.pwconv.packed_floats(l.cin, l.channels);
    if (l.kind == SEGNAS_LAYER_DWCONV) floats = l.kernel * l.kernel * l.cin;
    if (floats) plan->weight_floats += (floats + 15) / 16 * 16 + (l.channels + 15) / 16 * 16;
    const Value &x = plan->values[l.input];
    if (l.kind == SEGNAS_LAYER_UPSAMPLE_ADD) {
      const Value &y = plan->values[l.input2];
      plan->axis_bytes += axis_bytes(x.h, y.h) + axis_bytes(x.w, y.w);
      plan->worker_bytes = std::max(plan->worker_bytes, sizeof(float) * x.w * x.c);
    }
    if (l.kind == SEGNAS_LAYER_LABELS) {
      plan->axis_bytes += axis_bytes(x.h, plan->values[0].h) + axis_bytes(x.w, plan->values[0].w);
      plan->worker_bytes = std::max<size_t>(plan->worker_bytes, sizeof(float) * argmax_scratch_floats(static_cast<int32_t>(x.c)));
    }
  }
  for (const Step &s : plan->steps) {
    if (s.depthwise < 0) continue;
    const Layer &d = plan->layers[s.depthwise];
    int64_t tile = (plan->values[s.output].w + s.tiling.tiles - 1) / s.tiling.tiles;
    int64_t ring = s.expands ? d.kernel * s.tiling.ring_columns : 0;
    plan->worker_bytes = std::max<size_t>(plan->worker_bytes, sizeof(float) * (ring + tile) * d.cin);
  }
  plan->worker_bytes = cache_lines(plan->worker_bytes);
}

}  // namespace

segnas_status make_plan(const Kernels &kernels, int threads, const segnas_layer *layers, int32_t count, int64_t n, int64_t h, int64_t w, int64_t c,
                        Plan *plan, segnas_error *err) {
  if (n < 1 || h < 1 || w < 1 || c < 1 || n > kMostSide || h > kMostSide || w > kMostSide || c > kMostChannels)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: an input of %lld x %lld x %lld x %lld cannot be planned", static_cast<long long>(n),
                static_cast<long long>(h), static_cast<long long>(w), static_cast<long long>(c));
  plan->n = n;
  plan->values.push_back({h, w, c});
  for (int32_t i = 0; i < count; i++) {
    const segnas_layer &from = layers[i];
    SEGNAS_TRY(check_layer(from, i, count, err));
    Layer l;
    l.kind = from.kind, l.input = from.input, l.input2 = from.input2 < 0 ? -1 : from.input2, l.kernel = from.kernel, l.stride = from.stride;
    l.group = from.group, l.relu = from.relu != 0, l.cin = plan->values[from.input].c;
    if (l.group < 0 || l.group >= (1 << 16) || (i > 0 && l.group < plan->layers[i - 1].group)) return bad(err, i, "timing groups must not decrease");
    l.channels = l.kind == SEGNAS_LAYER_DWCONV ? l.cin : from.channels;
    Value out;
    SEGNAS_TRY(infer(*plan, l, i, &out, err));
    plan->values[l.input].reader_count++;
    if (l.input2 >= 0) plan->values[l.input2].reader_count++;
    plan->layers.push_back(l);
    plan->values.push_back(out);
    plan->groups = l.group + 1;
  }
  for (int i = 0; i < count;) i = add_step(plan, i);
  for (Step &s : plan->steps)
    if (s.depthwise >= 0) s.tiling = choose_tiling(*plan, s, threads);
  note_readers(plan);
  place_values(plan);
  size_memory(kernels, plan);
  return SEGNAS_OK;
}

}  // namespace segnas
