// Integer arithmetic: what each value of a network is kept as, and whether its weights are the levels that they should be.
#include <cmath>

#include "plan.h"

namespace segnas {
namespace {

constexpr float kLeastStep = 0x1p-40f, kMostStep = 0x1p40f;
// How far a weight may lie from a level, as a share of a step: what float32 makes of a level times a step.
constexpr double kLevelError = 1e-4;

segnas_status misfit(segnas_error *err, size_t layer, const char *what) {
  return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: layer %zu: %s", layer, what);
}

segnas_status check_bits(const segnas_layer &l, const Layer &layer, size_t index, segnas_error *err) {
  if (l.weight_bits < 2 || l.weight_bits > 8 || l.input_bits < 2 || l.input_bits > 8) return misfit(err, index, "weight_bits and input_bits should be 2 to 8");
  if (l.kind != SEGNAS_LAYER_PWCONV && (l.kind != SEGNAS_LAYER_DWCONV || layer.dilation > 1))
    return misfit(err, index, "only pointwise layers, and depthwise ones that are not dilated, are computed in integers");
  if (l.input_signed != 0 && l.input_signed != 1) return misfit(err, index, "input_signed should be 0 or 1");
  if (!(l.input_step >= kLeastStep && l.input_step <= kMostStep)) return misfit(err, index, "input_step should be 2^-40 to 2^40");
  if (!l.weight_steps) return misfit(err, index, "weight_steps is NULL");
  if (layer.cin > kIntegerChannels || layer.channels > kIntegerChannels) return misfit(err, index, "layers in integers have at most 2048 channels");
  return SEGNAS_OK;
}

// Whether a layer can make a value in integers: those that are computed so, and those whose float32 result is rounded as it is made.
bool makes_levels(const Layer &l) {
  return l.dilation == 1 && (l.kind == SEGNAS_LAYER_CONV3X3 || l.kind == SEGNAS_LAYER_DWCONV || l.kind == SEGNAS_LAYER_PWCONV || l.kind == SEGNAS_LAYER_NEAREST_ADD);
}

// Gives values the forms that their integer readers ask for.
segnas_status ask(const segnas_layer *layers, Plan *plan, segnas_error *err) {
  for (size_t i = 0; i < plan->layers.size(); i++) {
    Layer &l = plan->layers[i];
    l.weight_bits = layers[i].weight_bits;
    if (!l.weight_bits) continue;
    SEGNAS_TRY(check_bits(layers[i], l, i, err));
    const Form asked = {layers[i].input_bits, layers[i].input_signed != 0, layers[i].input_step};
    if (l.input == 0) return misfit(err, i, "the input is not kept in integers");
    Form &form = plan->values[l.input].form;
    if (form.bits && form != asked) return misfit(err, i, "reads its input in other steps than an earlier layer");
    form = asked;
  }
  return SEGNAS_OK;
}

}  // namespace

segnas_status assign_forms(const segnas_layer *layers, Plan *plan, segnas_error *err) {
  SEGNAS_TRY(ask(layers, plan, err));
  if (plan->values.back().form.bits) return misfit(err, plan->layers.size() - 1, "the output is not kept in integers");
  for (size_t i = 0; i < plan->layers.size(); i++) {
    Layer &l = plan->layers[i];
    l.in = plan->values[l.input].form, l.out = plan->values[i + 1].form;
    if (l.input2 >= 0) l.residual = plan->values[l.input2].form;
    if (!l.weight_bits && l.in.bits) return misfit(err, i, "reads in float32 what another layer reads in integers");
    if (l.input2 >= 0 && (l.weight_bits != 0) != (l.residual.bits != 0))
      return misfit(err, i, l.weight_bits ? "adds a value that no layer reads in integers" : "adds in float32 what a layer reads in integers");
    if (l.out.bits && !makes_levels(l)) return misfit(err, i, "makes a value that cannot be read in integers");
    if (l.weight_bits && l.kind == SEGNAS_LAYER_DWCONV && !l.out.bits) return misfit(err, i, "is depthwise, in integers, and read in float32");
  }
  return SEGNAS_OK;
}

segnas_status check_levels(const segnas_layer *layers, const Plan &plan, segnas_error *err) {
  for (size_t i = 0; i < plan.layers.size(); i++) {
    const Layer &l = plan.layers[i];
    if (!l.weight_bits) continue;
    const int64_t each = l.kind == SEGNAS_LAYER_DWCONV ? l.kernel * l.kernel : l.cin, most = (1 << (l.weight_bits - 1)) - 1;
    for (int64_t c = 0; c < l.channels; c++) {
      const double step = layers[i].weight_steps[c];
      if (!(step > 0 && std::isfinite(step))) return misfit(err, i, "weight_steps should be above 0");
      for (int64_t k = 0; k < each; k++) {
        const double n = static_cast<double>(layers[i].weights[k * l.channels + c]) / step;
        if (!(std::fabs(n - std::nearbyint(n)) <= kLevelError && std::fabs(n) < static_cast<double>(most) + 0.5))
          return misfit(err, i, "a weight is no whole multiple of its step, or one of more than weight_bits");
      }
    }
  }
  return SEGNAS_OK;
}

}  // namespace segnas
