// Making a session: plan, weights onto the device, and the steps recorded twice: as they are, and with an event behind each timing group. Running
// it: copy in, replay, copy out. Nothing is allocated and nothing waits in between.
#include "session.h"

#include <memory>
#include <vector>

#include "apart.h"
#include "convert.h"
#include "plan.h"

namespace segnas::gpu {
namespace {

struct Session {
  Stream stream = {};
  void *weights = nullptr, *activations = nullptr;
  RawGraph plain = nullptr, timed = nullptr;
  std::vector<RawEvent> events;   // the first before all steps, then one behind each group that has steps
  std::vector<int> event_groups;  // of events 1, 2, ...
  int groups = 0;
  void *input = nullptr, *output = nullptr;  // in activations
  size_t input_bytes = 0, output_bytes = 0;

  Session() = default;
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  // Waits first: memory goes back when nothing uses it.
  ~Session() {
    if (!stream.device || set_device(stream.device->index, nullptr) != SEGNAS_OK) return;
    if (stream.raw) stream_synchronize(stream.raw, nullptr);
    if (plain) graph_destroy(plain);
    if (timed) graph_destroy(timed);
    for (RawEvent event : events) event_destroy(event);
    for (void *memory : {weights, activations, stream.scratch})
      if (memory) release(memory);
    if (opened) stream_destroy(stream.raw);
  }
  bool opened = false;
};

// Memory that is gone at the end of its block.
struct Temporary {
  void *at = nullptr;
  ~Temporary() {
    if (at) release(at);
  }
};

class Maker {
 public:
  Maker(Session *session, const SessionPlan &plan, segnas_error *err) : session_(*session), plan_(plan), err_(err) {}

  segnas_status make() {
    Stream &s = session_.stream;
    SEGNAS_GPU_TRY(stream_create(&s.raw, err_));
    session_.opened = true;
    SEGNAS_GPU_TRY(allocate(plan_.weight_bytes, &session_.weights, err_));
    SEGNAS_GPU_TRY(allocate(plan_.activation_bytes, &session_.activations, err_));
    session_.groups = plan_.network->groups;
    session_.input = memory_of(0, plan_.stored != Stored::kFloat);
    session_.input_bytes = static_cast<size_t>(numbers(0)) * (plan_.bytes() ? 1 : 4);
    const int last = plan_.network->count;
    const bool labels = plan_.layer(last - 1).kind == SEGNAS_LAYER_LABELS;
    session_.output = memory_of(last, !labels && plan_.stored != Stored::kFloat);
    session_.output_bytes = static_cast<size_t>(numbers(last)) * (labels ? 1 : 4);
    SEGNAS_GPU_TRY(load_weights());
    SEGNAS_GPU_TRY(make_events());
    SEGNAS_GPU_TRY(capture(false, &session_.plain));
    SEGNAS_GPU_TRY(capture(true, &session_.timed));
    return stream_synchronize(s.raw, err_);
  }

 private:
  const PlannedValue &value(int i) const { return plan_.values[static_cast<size_t>(i)]; }
  int64_t numbers(int i) const { return plan_.network->n * value(i).h * value(i).w * value(i).c; }
  void *memory_of(int i, bool floats) const { return static_cast<char *>(session_.activations) + (floats ? value(i).float_offset : value(i).offset); }
  float *floats_of(int i) const { return static_cast<float *>(memory_of(i, plan_.stored != Stored::kFloat)); }
  void *weight_at(int64_t offset) const { return static_cast<char *>(session_.weights) + offset; }
  Image image(int i, bool floats) const {
    Image made = plan_.image(i, floats);
    made.at = memory_of(i, floats && plan_.stored != Stored::kFloat);
    return made;
  }
  // Where a float32 step leaves what it makes: beside the bytes that it is rounded to, if it is.
  Image made_by(const PlannedStep &step) const {
    Image made = image(step.output, plan_.stored != Stored::kFloat && !value(step.output).wants_stored);
    if (plan_.leaves_floats(step)) made.at = memory_of(step.output, true);
    return made;
  }
  Convolution convolution(int i) const {
    Convolution made = plan_.convolution(i);
    made.weights = weight_at(plan_.weights[static_cast<size_t>(i)].weights);
    made.bias = static_cast<const float *>(weight_at(plan_.weights[static_cast<size_t>(i)].bias));
    return made;
  }

  IntegerConvolution integer_convolution(int i) const {
    const Convolution l = plan_.convolution(i);
    const Form &in = value(plan_.layer(i).input).form, &out = value(i + 1).form;
    const int64_t at = plan_.weights[static_cast<size_t>(i)].weights;
    const IntegerParts parts = plan_.integer_parts(i);
    auto floats = [&](int64_t offset) { return static_cast<const float *>(weight_at(at + offset)); };
    return {weight_at(at), static_cast<const int32_t *>(weight_at(at + parts.start)), floats(parts.m), floats(parts.b), l.cin, l.channels, l.kernel, l.stride,
            in.zero(), kept_as(out, l.relu)};
  }
  Rounding rounding_of(const PlannedStep &step) const {
    const Form &form = value(step.output).form;
    return {static_cast<float>(1.0 / static_cast<double>(form.step)), kept_as(form, plan_.layer(step.layer).relu)};
  }

  // ---------------------------------------------------------------- weights

  segnas_status load_floats(int64_t offset, const float *from, int64_t count) {
    return copy_to_device(session_.stream.raw, weight_at(offset), from, static_cast<size_t>(count) * sizeof(float), err_);
  }

  segnas_status load_weights() {
    const bool half = plan_.stored != Stored::kFloat;
    Temporary staged;
    int64_t most = 0;
    for (int i = 0; half && i < plan_.network->count; i++)
      if (plan_.layer(i).kind == SEGNAS_LAYER_PWCONV && plan_.weight_count(i) > most) most = plan_.weight_count(i);
    if (most > 0) SEGNAS_GPU_TRY(allocate(static_cast<size_t>(most) * sizeof(float), &staged.at, err_));
    for (int i = 0; i < plan_.network->count; i++) {
      const segnas_layer &l = plan_.layer(i);
      const int64_t count = plan_.weight_count(i);
      if (count == 0) continue;
      const PlannedWeights &at = plan_.weights[static_cast<size_t>(i)];
      if (plan_.in_integers(i)) {
        const std::vector<char> piece = pack_integers(l, plan_.input_channels(i), plan_.convolution(i).channels, value(l.input).form, value(i + 1).form);
        SEGNAS_GPU_TRY(copy_to_device(session_.stream.raw, weight_at(at.weights), piece.data(), piece.size(), err_));
        continue;
      }
      SEGNAS_GPU_TRY(load_floats(at.bias, l.bias, plan_.convolution(i).channels));
      if (half && l.kind == SEGNAS_LAYER_PWCONV) {
        SEGNAS_GPU_TRY(copy_to_device(session_.stream.raw, staged.at, l.weights, static_cast<size_t>(count) * sizeof(float), err_));
        SEGNAS_GPU_TRY(session_to_stored(&session_.stream, static_cast<const float *>(staged.at), plan_.stored, weight_at(at.weights), count, err_));
      } else {
        SEGNAS_GPU_TRY(load_floats(at.weights, l.weights, count));
      }
    }
    if (plan_.bytes()) {
      SEGNAS_GPU_TRY(load_floats(plan_.scale, plan_.network->options->scale, value(0).c));
      SEGNAS_GPU_TRY(load_floats(plan_.shift, plan_.network->options->shift, value(0).c));
    }
    return stream_synchronize(session_.stream.raw, err_);
  }

  // ---------------------------------------------------------------- steps

  segnas_status make_events() {
    auto add = [&]() -> segnas_status {
      session_.events.push_back(nullptr);
      return event_create(&session_.events.back(), err_);
    };
    SEGNAS_GPU_TRY(add());
    for (const PlannedStep &s : plan_.steps) {
      if (!session_.event_groups.empty() && session_.event_groups.back() == s.group) continue;
      session_.event_groups.push_back(s.group);
      SEGNAS_GPU_TRY(add());
    }
    return SEGNAS_OK;
  }

  // The capture ends whatever happens in it: the stream would be of no use otherwise.
  segnas_status capture(bool with_events, RawGraph *graph) {
    const RawStream raw = session_.stream.raw;
    SEGNAS_GPU_TRY(capture_begin(raw, err_));
    const segnas_status recorded = record(with_events);
    segnas_error later = {};
    const segnas_status ended = capture_end(raw, graph, recorded == SEGNAS_OK ? err_ : &later);
    return recorded == SEGNAS_OK ? ended : recorded;
  }

  segnas_status record(bool with_events) {
    const RawStream raw = session_.stream.raw;
    size_t event = 0;
    if (with_events) SEGNAS_GPU_TRY(capture_event(raw, session_.events[event++], err_));
    for (size_t i = 0; i < plan_.steps.size(); i++) {
      const PlannedStep &s = plan_.steps[i];
      SEGNAS_GPU_TRY(run(s));
      const bool ends = i + 1 == plan_.steps.size() || plan_.steps[i + 1].group != s.group;
      if (with_events && ends) SEGNAS_GPU_TRY(capture_event(raw, session_.events[event++], err_));
    }
    return SEGNAS_OK;
  }

  segnas_status run(const PlannedStep &step) {
    Stream *s = &session_.stream;
    const PlannedValue &y = value(step.output);
    Image residual;
    if (step.input2 >= 0) residual = image(step.input2, false);
    const Image *second = step.input2 >= 0 ? &residual : nullptr;
    switch (step.kind) {
      case StepKind::kDense: return run_dense(step);
      case StepKind::kDepthwise: return session_depthwise(s, convolution(step.layer), image(step.input, false), made_by(step), err_);
      case StepKind::kPointwise: return session_pointwise(s, convolution(step.layer), image(step.input, false), second, made_by(step), err_);
      case StepKind::kBlock: {
        Convolution expand;
        if (step.expand >= 0) expand = convolution(step.expand);
        return session_block(s, step.expand >= 0 ? &expand : nullptr, convolution(step.depthwise), convolution(step.layer), image(step.input, false), second,
                             made_by(step), err_);
      }
      case StepKind::kDilated:
        return session_dilated(s, convolution(step.layer), plan_.layer(step.layer).dilation, image(step.input, false), image(step.output, false), err_);
      case StepKind::kAvgPool: return session_avg_pool(s, image(step.input, false), plan_.layer(step.layer).relu != 0, image(step.output, false), err_);
      case StepKind::kUpsample: return session_upsample(s, image(step.input, false), plan_.layer(step.layer).relu != 0, image(step.output, false), err_);
      case StepKind::kUpsampleAdd:
        return session_upsample_add(s, image(step.input, false), residual, plan_.layer(step.layer).relu != 0, image(step.output, false), err_);
      case StepKind::kLabels: return session_labels(s, image(step.input, true), static_cast<uint8_t *>(session_.output), y.h, y.w, err_);
      case StepKind::kToStored: return session_to_stored(s, floats_of(step.input), plan_.stored, memory_of(step.output, false), numbers(step.input), err_);
      case StepKind::kToFloats: return session_to_floats(s, memory_of(step.input, false), plan_.stored, floats_of(step.output), numbers(step.input), err_);
      case StepKind::kIntegerPointwise:
      case StepKind::kIntegerDepthwise:
      case StepKind::kNearestAdd:
      case StepKind::kQuantise: return run_integers(step, residual);
    }
    return fail(err_, SEGNAS_INTERNAL, "a step of no kind");
  }

  segnas_status run_integers(const PlannedStep &step, const Image &second) {
    Stream *s = &session_.stream;
    const Form &form = value(step.output).form;
    const Image x = image(step.input, false), y = image(step.output, false);
    if (step.kind == StepKind::kQuantise)
      return session_quantise(s, static_cast<const float *>(memory_of(step.input, true)), y.pixels(), y.c, rounding_of(step), static_cast<uint8_t *>(y.at), err_);
    if (step.kind == StepKind::kNearestAdd) return session_nearest_add(s, x, second, rounding_of(step), y, err_);
    if (step.kind == StepKind::kIntegerDepthwise) return session_integer_depthwise(s, integer_convolution(step.layer), x, y, err_);
    IntegerResidual residual;
    if (step.input2 >= 0) residual = {static_cast<const uint8_t *>(second.at), value(step.input2).form.zero(), residual_factor(value(step.input2).form, form)};
    return session_integer_pointwise(s, integer_convolution(step.layer), static_cast<const uint8_t *>(x.at), x.pixels(), residual, y.at, err_);
  }

  segnas_status run_dense(const PlannedStep &step) {
    const PlannedValue &x = value(step.input);
    PictureInput input;
    if (step.input == 0 && plan_.bytes()) {
      input.bytes = static_cast<const uint8_t *>(session_.input);
      input.scale = static_cast<const float *>(weight_at(plan_.scale)), input.shift = static_cast<const float *>(weight_at(plan_.shift));
    } else {
      input.floats = floats_of(step.input);
    }
    const Rounding rounding = rounding_of(step);
    const bool rounds = value(step.output).form.bits > 0;
    return session_dense(&session_.stream, convolution(step.layer), input, x.h, x.w, rounds ? &rounding : nullptr, image(step.output, false), err_);
  }

  Session &session_;
  const SessionPlan &plan_;
  segnas_error *err_;
};

}  // namespace

// bfloat16 products need tensor cores that have them; half precision and bytes are everywhere (sim runs all of them in plain arithmetic).
int32_t device_precision(void *device, int32_t precision) {
  const DeviceFacts &facts = static_cast<Device *>(device)->facts;
  switch (precision) {
    case SEGNAS_PRECISION_F32:
    case SEGNAS_PRECISION_F16:
    case SEGNAS_PRECISION_INT8: return 1;
    case SEGNAS_PRECISION_BF16: return facts.major >= 8;
  }
  return 0;
}

segnas_status session_create(void *device, const segnas_network *network, void **session, size_t *activation_bytes, size_t *weight_bytes, segnas_error *err) {
  Device *d = static_cast<Device *>(device);
  const SessionPlan plan = plan_session(d->facts, *network);
  *activation_bytes = plan.activation_bytes;
  *weight_bytes = plan.weight_bytes;
  if (!session) return succeed(err);
  SEGNAS_GPU_TRY(set_device(d->index, err));
  auto made = std::make_unique<Session>();
  made->stream.device = d;
  SEGNAS_GPU_TRY(Maker(made.get(), plan, err).make());
  *session = made.release();
  return succeed(err);
}

void session_destroy(void *session) { delete static_cast<Session *>(session); }

segnas_status session_run(void *session, const void *input, void *output, int64_t *group_ns, segnas_error *err) {
  Session *s = static_cast<Session *>(session);
  const RawStream raw = s->stream.raw;
  SEGNAS_GPU_TRY(set_device(s->stream.device->index, err));
  SEGNAS_GPU_TRY(copy_to_device(raw, s->input, input, s->input_bytes, err));
  SEGNAS_GPU_TRY(graph_launch(raw, group_ns ? s->timed : s->plain, err));
  SEGNAS_GPU_TRY(copy_to_host(raw, output, s->output, s->output_bytes, err));
  if (!group_ns) return succeed(err);
  for (int g = 0; g < s->groups; g++) group_ns[g] = 0;
  for (size_t i = 0; i < s->event_groups.size(); i++) {
    int64_t nanoseconds;
    SEGNAS_GPU_TRY(elapsed(s->events[i], s->events[i + 1], &nanoseconds, err));
    group_ns[s->event_groups[i]] += nanoseconds;
  }
  return succeed(err);
}

}  // namespace segnas::gpu
