// What a network must be before anyone plans it: the CPU's planner or a plug-in.
#include "plan.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "../core/interpolation.h"

namespace segnas {
namespace {

constexpr int64_t kMostSide = 1 << 20, kMostChannels = 1 << 16;
constexpr int64_t kMostElements = int64_t{1} << 34;
constexpr int32_t kMostBins = 64, kMostDilation = 64;

segnas_status bad(segnas_error *err, int layer, const char *what) {
  return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: layer %d: %s", layer, what);
}

segnas_status check_layer(const segnas_layer &l, int index, int32_t count, segnas_error *err) {
  if (l.kind < SEGNAS_LAYER_CONV3X3 || l.kind > SEGNAS_LAYER_NEAREST_ADD) return bad(err, index, "unknown kind");
  if (l.input < 0 || l.input > index || l.input2 > index) return bad(err, index, "reads a value that no earlier layer makes");
  bool convolution = l.kind <= SEGNAS_LAYER_PWCONV;
  if (convolution && (!l.weights || !l.bias)) return bad(err, index, "weights or bias is NULL");
  if ((l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_PWCONV) && (l.channels < 1 || l.channels > kMostChannels))
    return bad(err, index, "channels should be 1 to 65536");
  if (l.kind == SEGNAS_LAYER_DWCONV && l.kernel != 3 && l.kernel != 5 && l.kernel != 7) return bad(err, index, "kernel should be 3, 5 or 7");
  if ((l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_DWCONV) && l.stride != 1 && l.stride != 2)
    return bad(err, index, "stride should be 1 or 2");
  if (l.dilation < 0 || l.dilation > kMostDilation || (l.dilation > 1 && (l.kind != SEGNAS_LAYER_DWCONV || l.stride != 1)))
    return bad(err, index, "dilation should be 0 or 1, and at most 64 for depthwise layers of stride 1");
  if (l.kind == SEGNAS_LAYER_AVG_POOL && (l.kernel < 1 || l.kernel > kMostBins)) return bad(err, index, "bins should be 1 to 64");
  const bool resizes = l.kind == SEGNAS_LAYER_UPSAMPLE_ADD || l.kind == SEGNAS_LAYER_UPSAMPLE || l.kind == SEGNAS_LAYER_NEAREST_ADD;
  if (resizes && l.input2 < 0) return bad(err, index, "input2 is missing");
  if (l.kind != SEGNAS_LAYER_PWCONV && !resizes && l.input2 >= 0) return bad(err, index, "takes no input2");
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
    case SEGNAS_LAYER_NEAREST_ADD:
      if (second->c != x.c) return bad(err, index, "input and input2 differ in channels");
      *out = {second->h, second->w, x.c};
      break;
    case SEGNAS_LAYER_AVG_POOL: *out = {std::min<int64_t>(l.kernel, x.h), std::min<int64_t>(l.kernel, x.w), x.c}; break;
    case SEGNAS_LAYER_UPSAMPLE: *out = {plan.values[l.like].h, plan.values[l.like].w, x.c}; break;
    case SEGNAS_LAYER_LABELS:
      if (x.c > kMostClasses) return bad(err, index, "labels take at most 64 classes");
      *out = {plan.values[0].h, plan.values[0].w, 1};
      break;
  }
  if (plan.n * out->h * out->w > kMostElements / out->c) return bad(err, index, "its output is far too large");
  return SEGNAS_OK;
}

// What a layer's struct was before it could tell of dilation, in whose place its trailing padding lies now, and before it could of integers.
constexpr uint32_t kFirstSize = offsetof(segnas_layer, dilation), kFloatSize = (offsetof(segnas_layer, weight_bits) + 7) / 8 * 8;

}  // namespace

segnas_status whole_layers(const segnas_layer *layers, int32_t count, std::vector<segnas_layer> *whole, segnas_error *err) {
  const uint32_t size = layers[0].size;
  if (size != kFirstSize && size != kFloatSize && size != sizeof(segnas_layer)) return bad(err, 0, "size is not sizeof(segnas_layer)");
  whole->assign(static_cast<size_t>(count), segnas_layer{});
  for (int32_t i = 0; i < count; i++) {
    segnas_layer &l = (*whole)[static_cast<size_t>(i)];
    memcpy(&l, reinterpret_cast<const char *>(layers) + static_cast<size_t>(i) * size, std::min<size_t>(size, size == kFloatSize ? offsetof(segnas_layer, weight_bits) : size));
    if (l.size != size) return bad(err, i, "size is not that of the layers before");
    l.size = sizeof(segnas_layer);
  }
  return SEGNAS_OK;
}

segnas_status read_network(const segnas_layer *layers, int32_t count, int64_t n, int64_t h, int64_t w, int64_t c, Plan *plan, segnas_error *err) {
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
    l.group = from.group, l.relu = from.relu != 0, l.cin = plan->values[from.input].c, l.dilation = std::max(from.dilation, 1);
    if (l.kind == SEGNAS_LAYER_UPSAMPLE) l.like = l.input2, l.input2 = -1;
    if (l.group < 0 || l.group >= (1 << 16) || (i > 0 && l.group < plan->layers[i - 1].group)) return bad(err, i, "timing groups must not decrease");
    l.channels = l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_PWCONV ? from.channels : l.cin;
    if (plan->picture.bytes && ((l.input == 0 && l.kind != SEGNAS_LAYER_CONV3X3) || l.input2 == 0))
      return bad(err, i, "reads a picture of bytes, which dense 3x3 layers alone do");
    if (l.kind == SEGNAS_LAYER_NEAREST_ADD && !plan->integers) return bad(err, i, "nearest neighbours are for sessions of integer arithmetic");
    Value out;
    SEGNAS_TRY(infer(*plan, l, i, &out, err));
    plan->values[l.input].reader_count++;
    if (l.input2 >= 0) plan->values[l.input2].reader_count++;
    plan->layers.push_back(l);
    plan->values.push_back(out);
    plan->groups = l.group + 1;
  }
  for (int32_t i = 0; i + 1 < count; i++)  // it would have no place
    if (plan->values[static_cast<size_t>(i) + 1].reader_count == 0) return bad(err, i, "no layer reads its value");
  return plan->integers ? assign_forms(layers, plan, err) : SEGNAS_OK;
}

}  // namespace segnas
