#include "session.h"

#include <chrono>
#include <cstring>
#include <new>

using namespace segnas;

namespace {

// Copies weights and biases into the session's own memory, packed as the kernels read them.
void pack_weights(segnas_session *session, const segnas_layer *layers) {
  const Kernels &kernels = *session->context->kernels;
  float *at = static_cast<float *>(session->weights.reserve(0));
  for (size_t i = 0; i < session->plan.layers.size(); i++) {
    Layer &l = session->plan.layers[i];
    int64_t floats = 0;
    switch (l.kind) {
      case SEGNAS_LAYER_CONV3X3:
        floats = conv3x3_packed_floats(kernels.lanes, l.cin, l.channels);
        kernels.conv3x3.pack(layers[i].weights, l.channels, l.cin, l.channels, at);
        break;
      case SEGNAS_LAYER_PWCONV:
        floats = kernels.pwconv.packed_floats(l.cin, l.channels);
        kernels.pwconv.pack(layers[i].weights, l.channels, false, l.cin, l.channels, at);
        break;
      case SEGNAS_LAYER_DWCONV:
        floats = l.kernel * l.kernel * l.cin;
        memcpy(at, layers[i].weights, sizeof(float) * static_cast<size_t>(floats));
        break;
      default: continue;
    }
    l.weights = at;
    at += (floats + 15) / 16 * 16;
    memcpy(at, layers[i].bias, sizeof(float) * static_cast<size_t>(l.channels));
    l.bias = at;
    at += (l.channels + 15) / 16 * 16;
  }
}

void make_axes(segnas_session *session) {
  char *at = static_cast<char *>(session->axes.reserve(0));
  session->layer_axes.resize(session->plan.layers.size());
  auto next = [&](int64_t in, int64_t out) {
    Axis axis = make_axis(false, in, out, at);
    at += axis_bytes(in, out);
    return axis;
  };
  for (size_t i = 0; i < session->plan.layers.size(); i++) {
    const Layer &l = session->plan.layers[i];
    if (l.kind != SEGNAS_LAYER_UPSAMPLE_ADD && l.kind != SEGNAS_LAYER_LABELS) continue;
    const Value &x = session->plan.values[l.input], &y = session->plan.values[l.kind == SEGNAS_LAYER_LABELS ? 0 : l.input2];
    session->layer_axes[i].rows = next(x.h, y.h);
    session->layer_axes[i].columns = next(x.w, y.w);
  }
}

segnas_status fill(segnas_session *session, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w, int32_t c, segnas_error *err) {
  Plan &plan = session->plan;
  int threads = session->context->pool->threads();
  SEGNAS_TRY(make_plan(*session->context->kernels, threads, layers, count, n, h, w, c, &plan, err));
  if (!session->weights.reserve(sizeof(float) * static_cast<size_t>(plan.weight_floats) + 64) ||
      !session->activations.reserve(sizeof(float) * static_cast<size_t>(plan.activation_floats) + 64) ||
      !session->scratch.reserve(plan.worker_bytes * static_cast<size_t>(threads) + 64) || !session->axes.reserve(plan.axis_bytes + 64))
    return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_session_create: no memory for %lld floats of weights and %lld of activations",
                static_cast<long long>(plan.weight_floats), static_cast<long long>(plan.activation_floats));
  pack_weights(session, layers);
  make_axes(session);
  return SEGNAS_OK;
}

}  // namespace

extern "C" {

SEGNAS_API segnas_status segnas_session_create(segnas_context *context, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w,
                                               int32_t c, segnas_session **session, segnas_error *err) {
  if (!context || !layers || count < 1 || !session)
    return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_create: context, layers or session is NULL, or there are no layers");
  *session = nullptr;
  if (context->backend)
    return fail(err, SEGNAS_NO_KERNEL, "segnas_session_create: sessions run on the CPU; %s has none", context->device_name);
  void *memory = allocate_zeroed(sizeof(segnas_session));
  if (!memory) return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_session_create: no memory");
  std::unique_ptr<segnas_session, void (*)(segnas_session *)> made(new (memory) segnas_session, segnas_session_destroy);
  made->context = context;
  try {
    SEGNAS_TRY(fill(made.get(), layers, count, n, h, w, c, err));
  } catch (const std::bad_alloc &) {
    return fail(err, SEGNAS_OUT_OF_MEMORY, "segnas_session_create: no memory for the plan of %d layers", count);
  }
  *session = made.release();
  return succeed(err);
}

SEGNAS_API void segnas_session_destroy(segnas_session *session) {
  if (!session) return;
  session->~segnas_session();
  release(session, sizeof *session);
}

SEGNAS_API segnas_status segnas_session_run(segnas_session *session, const float *input, void *output, int64_t *group_ns, segnas_error *err) {
  if (!session || !input || !output) return fail(err, SEGNAS_INVALID_ARGUMENT, "segnas_session_run: session, input or output is NULL");
  if (session->in_use.exchange(true, std::memory_order_acquire))
    return fail(err, SEGNAS_BUSY, "segnas_session_run: the session is in use by another thread");
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

SEGNAS_API size_t segnas_session_activation_bytes(const segnas_session *session) {
  return session ? session->activations.bytes() + session->scratch.bytes() + session->axes.bytes() : 0;
}

SEGNAS_API size_t segnas_session_weight_bytes(const segnas_session *session) { return session ? session->weights.bytes() : 0; }

}  // extern "C"
