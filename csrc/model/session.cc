#include "session.h"

#include <chrono>
#include <cstring>
#include <new>

using namespace segnas;

namespace {

// Copies weights and biases into the session's own memory, packed as the kernels read them.
void pack_weights(segnas_session *session, const segnas_layer *layers) {
  const Arithmetic &a = *session->plan.arithmetic;
  char *at = static_cast<char *>(session->weights.reserve(0));
  for (size_t i = 0; i < session->plan.layers.size(); i++) {
    Layer &l = session->plan.layers[i];
    if (a.weight_bytes(l) == 0) continue;
    float *bias = reinterpret_cast<float *>(at + a.weight_bytes(l));
    a.pack(l, layers[i], at, bias);
    l.weights = at;
    l.bias = bias;
    at += a.weight_bytes(l) + a.bias_bytes(l);
  }
}

void make_axes(segnas_session *session) {
  char *at = static_cast<char *>(session->axes.reserve(0));
  session->layer_axes.resize(session->plan.layers.size());
  auto next = [&](bool nearest, int64_t in, int64_t out) {
    Axis axis = make_axis(nearest, in, out, at);
    at += axis_bytes(in, out);
    return axis;
  };
  for (size_t i = 0; i < session->plan.layers.size(); i++) {
    const Layer &l = session->plan.layers[i];
    if (!interpolates(l)) continue;
    const Value &x = session->plan.values[l.input], &y = session->plan.values[i + 1];
    const bool nearest = l.kind == SEGNAS_LAYER_NEAREST_ADD;
    session->layer_axes[i].rows = next(nearest, x.h, y.h);
    session->layer_axes[i].columns = next(nearest, x.w, y.w);
  }
}

constexpr segnas_session_options kDefaults = {sizeof(segnas_session_options), SEGNAS_PRECISION_F32, SEGNAS_F32, nullptr, nullptr, SEGNAS_FUSION_AUTO};

segnas_status check_options(const segnas_session_options &o, const char *function, segnas_error *err) {
  if (o.size != sizeof o) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: options.size is %u, should be %zu", function, o.size, sizeof o);
  if (o.input != SEGNAS_F32 && o.input != SEGNAS_U8) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: options.input should be SEGNAS_F32 or SEGNAS_U8", function);
  if (o.input == SEGNAS_U8 && (!o.scale || !o.shift)) return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: pictures of bytes need options.scale and options.shift", function);
  if (o.fusion < SEGNAS_FUSION_AUTO || o.fusion > SEGNAS_FUSION_NEVER)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: options.fusion is %d, which is none", function, o.fusion);
  if (o.precision < SEGNAS_PRECISION_F32 || o.precision > SEGNAS_PRECISION_INT8)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "%s: options.precision is %d, which is none", function, o.precision);
  return SEGNAS_OK;
}

segnas_status lacks_precision(const segnas_context *context, int32_t precision, const char *function, segnas_error *err) {
  if (context->backend && !context->backend->session_create)
    return fail(err, SEGNAS_NO_KERNEL, "%s: %s has no sessions", function, context->device_name);
  if (context->backend) return fail(err, SEGNAS_NO_KERNEL, "%s: %s has no sessions of that precision", function, context->device_name);
  if (precision == SEGNAS_PRECISION_F16) return fail(err, SEGNAS_NO_KERNEL, "%s: half precision is for GPUs", function);
  return fail(err, SEGNAS_NO_KERNEL, "%s: bfloat16 needs AVX-512 BF16, which isa %s on this processor has not", function, isa_name(context->kernels->isa));
}

// The picture's scale and shift in the session's memory, kNormalisePixels times over.
segnas_status copy_normalisation(segnas_session *session, const segnas_session_options &o, int64_t c, segnas_error *err) {
  if (!session->plan.picture.bytes) return SEGNAS_OK;
  int64_t values = c * kNormalisePixels;
  float *scale = static_cast<float *>(session->picture.reserve(2 * sizeof(float) * static_cast<size_t>(values)));
  if (!scale) return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_session_create: no memory for %lld channels", static_cast<long long>(c));
  float *shift = scale + values;
  for (int64_t i = 0; i < values; i++) scale[i] = o.scale[i % c], shift[i] = o.shift[i % c];
  session->plan.picture.scale = scale, session->plan.picture.shift = shift;
  return SEGNAS_OK;
}

segnas_status fill(segnas_session *session, const segnas_layer *layers, segnas_error *err) {
  Plan &plan = session->plan;
  size_t threads = static_cast<size_t>(session->context->pool->threads());
  if (!session->weights.reserve(plan.weight_bytes + 64) || !session->activations.reserve(plan.activation_bytes + 64) ||
      !session->scratch.reserve(plan.worker_bytes * threads + 64) || !session->axes.reserve(plan.axis_bytes + 64))
    return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_session_create: no memory for %zu bytes of weights and %zu of activations", plan.weight_bytes,
                plan.activation_bytes);
  pack_weights(session, layers);
  make_axes(session);
  return SEGNAS_OK;
}

// The CPU's planning. What it takes is known then, and no memory is there yet.
void plan_on_cpu(segnas_session *session, int32_t precision) {
  Plan &plan = session->plan;
  const segnas_context &context = *session->context;
  switch (precision) {
    case SEGNAS_PRECISION_F32: plan.arithmetic = &session->float32.emplace(*context.kernels); break;
    case SEGNAS_PRECISION_BF16: plan.arithmetic = &session->bfloat16.emplace(*bf16_kernels_of(*context.kernels)); break;
    case SEGNAS_PRECISION_INT8: plan.arithmetic = &session->integers.emplace(*context.kernels, *int8_kernels_of(*context.kernels)); break;
  }
  make_plan(context.pool->threads(), &plan);
  session->activation_bytes = plan.activation_bytes + plan.worker_bytes * static_cast<size_t>(context.pool->threads()) + plan.axis_bytes;
  session->weight_bytes = plan.weight_bytes;
}

// A plug-in's session, or what it would take.
segnas_status ask_backend(segnas_session *session, const segnas_layer *layers, const segnas_session_options &o, bool make, segnas_error *err) {
  std::vector<segnas_value_shape> values;
  for (const Value &v : session->plan.values) values.push_back({v.h, v.w, v.c});
  const segnas_context &context = *session->context;
  const segnas_network network = {layers, static_cast<int32_t>(session->plan.layers.size()), session->plan.groups, static_cast<int32_t>(session->plan.n), values.data(), &o};
  return context.backend->session_create(context.backend_device, &network, make ? &session->backend_session : nullptr, &session->activation_bytes,
                                         &session->weight_bytes, err);
}

using Owned = std::unique_ptr<segnas_session, void (*)(segnas_session *)>;

// A session, or what is known of one that is not made.
segnas_status prepare(segnas_context *context, const segnas_layer *given, int32_t count, int32_t n, int32_t h, int32_t w, int32_t c,
                      const segnas_session_options &o, bool make, const char *function, Owned *made, segnas_error *err) {
  SEGNAS_TRY(check_options(o, function, err));
  if (!segnas_context_precision(context, o.precision)) return lacks_precision(context, o.precision, function, err);
  void *memory = allocate_zeroed(sizeof(segnas_session));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory", function);
  made->reset(new (memory) segnas_session);
  segnas_session *session = made->get();
  session->context = context;
  session->plan.fusion = o.fusion;
  session->plan.picture.bytes = o.input == SEGNAS_U8;
  session->plan.integers = o.precision == SEGNAS_PRECISION_INT8;
  try {
    std::vector<segnas_layer> whole;
    SEGNAS_TRY(whole_layers(given, count, &whole, err));
    const segnas_layer *layers = whole.data();
    SEGNAS_TRY(read_network(layers, count, n, h, w, c, &session->plan, err));
    if (make && session->plan.integers) SEGNAS_TRY(check_levels(layers, session->plan, err));
    if (context->backend) return ask_backend(session, layers, o, make, err);
    plan_on_cpu(session, o.precision);
    if (!make) return SEGNAS_OK;
    SEGNAS_TRY(copy_normalisation(session, o, c, err));
    return fill(session, layers, err);
  } catch (const std::bad_alloc &) {
    return fail(err, SEGNAS_OUT_OF_MEMORY, "%s: no memory for the plan of %d layers", function, count);
  }
}

}  // namespace

extern "C" {

SEGNAS_API segnas_status segnas_session_create(segnas_context *context, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w,
                                               int32_t c, const segnas_session_options *options, segnas_session **session, segnas_error *err) {
  if (!context || !layers || count < 1 || !session)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: context, layers or session is NULL, or there are no layers");
  *session = nullptr;
  Owned made(nullptr, segnas_session_destroy);
  SEGNAS_TRY(prepare(context, layers, count, n, h, w, c, options ? *options : kDefaults, true, "segnas_session_create", &made, err));
  *session = made.release();
  return succeed(err);
}

SEGNAS_API segnas_status segnas_session_measure(segnas_context *context, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w,
                                                int32_t c, const segnas_session_options *options, size_t *activation_bytes, size_t *weight_bytes,
                                                segnas_error *err) {
  if (!context || !layers || count < 1 || !activation_bytes || !weight_bytes)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_measure: an argument is NULL, or there are no layers");
  Owned made(nullptr, segnas_session_destroy);
  SEGNAS_TRY(prepare(context, layers, count, n, h, w, c, options ? *options : kDefaults, false, "segnas_session_measure", &made, err));
  *activation_bytes = made->activation_bytes;
  *weight_bytes = made->weight_bytes;
  return succeed(err);
}

SEGNAS_API void segnas_session_destroy(segnas_session *session) {
  if (!session) return;
  if (session->backend_session) session->context->backend->session_destroy(session->backend_session);
  session->~segnas_session();
  release(session, sizeof *session);
}

SEGNAS_API segnas_status segnas_session_run(segnas_session *session, const void *input, void *output, int64_t *group_ns, segnas_error *err) {
  if (!session || !input || !output) return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_run: session, input or output is NULL");
  if (session->in_use.exchange(true, std::memory_order_acquire))
    return fail(err, SEGNAS_BUSY, "segnas_session_run: the session is in use by another thread");
  if (session->backend_session) {
    segnas_status status = session->context->backend->session_run(session->backend_session, input, output, group_ns, err);
    session->in_use.store(false, std::memory_order_release);
    return status;
  }
  Run run{session, input, output};
  auto stamp = std::chrono::steady_clock::now();
  if (group_ns) memset(group_ns, 0, sizeof *group_ns * static_cast<size_t>(session->plan.groups));
  for (const Step &step : session->plan.steps) {
    run_step(run, step);
    if (!group_ns) continue;
    auto now = std::chrono::steady_clock::now();
    group_ns[step.group] += std::chrono::duration_cast<std::chrono::nanoseconds>(now - stamp).count();
    stamp = now;
  }
  session->in_use.store(false, std::memory_order_release);
  return succeed(err);
}

SEGNAS_API size_t segnas_session_output_bytes(const segnas_session *session) {
  if (!session) return 0;
  const Value &y = session->plan.values.back();
  size_t values = static_cast<size_t>(session->plan.n * y.h * y.w * y.c);
  return session->plan.layers.back().kind == SEGNAS_LAYER_LABELS ? values : sizeof(float) * values;
}

SEGNAS_API size_t segnas_session_activation_bytes(const segnas_session *session) { return session ? session->activation_bytes : 0; }

SEGNAS_API size_t segnas_session_weight_bytes(const segnas_session *session) { return session ? session->weight_bytes : 0; }

}  // extern "C"
