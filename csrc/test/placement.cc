#include "placement.h"

#include <cstring>

#include "sixteen.h"

namespace segnas::check {
namespace {
constexpr int64_t kGuard = 64;  // elements on either side; a multiple of every alignment

// Quiet NaNs with a payload that no operation makes; 165 for bytes (no class has it).
void poison(uint8_t *at, segnas_dtype dtype) {
  static const uint32_t kF32 = 0x7fc5a5a5;
  static const uint64_t kWide = 0x7ffda5a5a5a5a5a5;
  static const uint16_t kNarrow = 0x7fa5;
  switch (dtype) {
    case SEGNAS_F32:
      std::memcpy(at, &kF32, 4);
      break;
    case SEGNAS_U8:
      *at = 0xa5;
      break;
    case SEGNAS_I64:
    case SEGNAS_F64:
      std::memcpy(at, &kWide, 8);
      break;
    case SEGNAS_F16:
    case SEGNAS_BF16:
      std::memcpy(at, &kNarrow, 2);
      break;
  }
}

void encode(double value, uint8_t *at, segnas_dtype dtype) {
  float f = static_cast<float>(value);
  int64_t i = dtype == SEGNAS_I64 ? static_cast<int64_t>(value) : 0;
  uint16_t narrow = is_narrow(dtype) ? encode_narrow(value, dtype) : 0;
  switch (dtype) {
    case SEGNAS_F32:
      std::memcpy(at, &f, 4);
      break;
    case SEGNAS_U8:
      *at = static_cast<uint8_t>(value);
      break;
    case SEGNAS_I64:
      std::memcpy(at, &i, 8);
      break;
    case SEGNAS_F64:
      std::memcpy(at, &value, 8);
      break;
    case SEGNAS_F16:
    case SEGNAS_BF16:
      std::memcpy(at, &narrow, 2);
      break;
  }
}

double decode_one(const uint8_t *at, segnas_dtype dtype) {
  float f;
  double d;
  int64_t i;
  uint16_t narrow;
  switch (dtype) {
    case SEGNAS_F16:
    case SEGNAS_BF16:
      std::memcpy(&narrow, at, 2);
      return decode_narrow(narrow, dtype);
    case SEGNAS_F32:
      std::memcpy(&f, at, 4);
      return f;
    case SEGNAS_U8:
      return *at;
    case SEGNAS_I64:
      std::memcpy(&i, at, 8);
      return static_cast<double>(i);
    case SEGNAS_F64:
      std::memcpy(&d, at, 8);
      return d;
  }
  return 0;
}

// visit(row-major number, element from the buffer's start) for every element of a view.
template <class Visit>
void each_element(const segnas_tensor &t, Visit visit) {
  int64_t index[SEGNAS_MAX_RANK] = {}, number = 0, at = t.offset;
  for (;;) {
    visit(number++, at);
    int d = t.rank - 1;
    for (; d >= 0; d--) {
      at += t.stride[d];
      if (++index[d] < t.shape[d]) break;
      at -= t.stride[d] * t.shape[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

int64_t gap_of(const Argument &argument, size_t dim, Random &random) {
  const int64_t inner = argument.shape.back();
  const int64_t gaps[] = {1, 3, 8, 13, inner, 5 * inner};
  bool before_last = dim + 2 == argument.shape.size();
  switch (argument.kind) {
    case Kind::kPixels:
    case Kind::kMatrix:
      return before_last ? random.pick(gaps) : 0;
    case Kind::kAny:
    case Kind::kFree:
      return random.integer(0, 9);
    case Kind::kVector:
    case Kind::kLabels:
      break;
  }
  return 0;
}

void set_strides(segnas_tensor *t, const Argument &argument, bool apart, Random &random) {
  const size_t rank = argument.shape.size();
  // The dimensions, the fastest one last; a free view starts at any of them.
  const size_t turn = apart && argument.kind == Kind::kFree ? static_cast<size_t>(random.integer(0, static_cast<int64_t>(rank) - 1)) : 0;
  int64_t stride = turn ? random.integer(1, 3) : 1;
  for (size_t d = rank; d-- > 0;) {
    const size_t dim = (d + turn) % rank;
    t->shape[dim] = argument.shape[dim];
    t->stride[dim] = stride;
    stride *= argument.shape[dim];
    if (apart && d > 0) stride += gap_of(argument, d - 1, random);
  }
}

int64_t reach(const segnas_tensor &t) {
  int64_t last = 0;
  for (int d = 0; d < t.rank; d++) last += (t.shape[d] - 1) * t.stride[d];
  return last + 1;
}

void require(segnas_status status, const segnas_error &err, const char *what) {
  if (status != SEGNAS_OK) throw LibraryError(what, err);
}
}  // namespace

const char *view_name(View view) {
  switch (view) {
    case View::kDense:
      return "dense";
    case View::kStrided:
      return "strided";
    case View::kTight:
      return "tight";
  }
  return "unknown";
}

Placement::Placement(segnas_stream *stream, segnas_context *context, const Problem &problem, const Values &values, View view, uint64_t seed)
    : stream_(stream), context_(context), problem_(problem) {
  size_t count = problem.arguments.size();
  buffers_.resize(count);
  images_.resize(count);
  tensors_.resize(count);
  pointers_.assign(count, nullptr);
  for (size_t a = 0; a < count; a++) {
    const Argument &argument = problem.arguments[a];
    if (argument.null) continue;
    Random random(mix(mix(seed, a), "layout"));
    if (argument.alias >= 0) {
      tensors_[a] = tensors_[static_cast<size_t>(argument.alias)];
    } else {
      place(a, values[a], view, random);
    }
    pointers_[a] = &tensors_[a];
  }
}

void Placement::place(size_t a, const std::vector<double> &values, View view, Random &random) {
  const Argument &argument = problem_.arguments[a];
  const int64_t size = static_cast<int64_t>(segnas_dtype_bytes(argument.dtype));
  segnas_tensor &t = tensors_[a];
  t.dtype = argument.dtype;
  t.rank = static_cast<int32_t>(argument.shape.size());
  set_strides(&t, argument, view == View::kStrided, random);
  t.offset = kGuard + (view == View::kStrided ? random.integer(1, 15) : 0);
  int64_t held = t.offset + reach(t) + kGuard;
  if (view == View::kTight) {
    held = (kGuard + reach(t) + kGuard - 1) / kGuard * kGuard;
    t.offset = held - reach(t);
  }
  std::vector<uint8_t> &image = images_[a];
  image.resize(static_cast<size_t>(held * size));
  for (int64_t i = 0; i < held; i++) poison(image.data() + i * size, argument.dtype);
  if (argument.role != Role::kOut)
    each_element(t, [&](int64_t number, int64_t at) { encode(values[static_cast<size_t>(number)], image.data() + at * size, argument.dtype); });
  segnas_error err;
  segnas_buffer *buffer = nullptr;
  require(segnas_buffer_create(context_, image.size(), &buffer, &err), err, "buffer_create");
  buffers_[a].reset(buffer);
  t.buffer = buffer;
  require(segnas_buffer_write(stream_, buffer, 0, image.data(), image.size(), &err), err, "buffer_write");
}

bool Placement::aliased_output(size_t argument) const {
  for (const Argument &other : problem_.arguments)
    if (other.alias == static_cast<int>(argument) && is_output(other)) return true;
  return false;
}

void Placement::inspect_argument(size_t a, Outcome *outcome, bool unchanged) const {
  const Argument &argument = problem_.arguments[a];
  const size_t home = argument.alias >= 0 ? static_cast<size_t>(argument.alias) : a;
  const size_t size = segnas_dtype_bytes(argument.dtype);
  const segnas_tensor &t = tensors_[a];
  const bool written = !unchanged && (is_output(argument) || aliased_output(a));
  std::vector<uint8_t> before = images_[home], after(before.size());
  segnas_error err;
  require(segnas_buffer_read(stream_, buffers_[home].get(), 0, after.data(), after.size(), &err), err, "buffer_read");
  std::vector<uint8_t> dense(static_cast<size_t>(elements(argument.shape)) * size);
  uint8_t unwritten[8];
  poison(unwritten, argument.dtype);
  each_element(t, [&](int64_t number, int64_t at) {
    const uint8_t *from = after.data() + static_cast<size_t>(at) * size;
    std::memcpy(dense.data() + static_cast<size_t>(number) * size, from, size);
    if (!written) return;
    std::memcpy(before.data() + static_cast<size_t>(at) * size, from, size);
    if (std::memcmp(from, unwritten, size) == 0 && outcome->damage.empty())
      outcome->damage = std::string(argument.name) + ": element " + std::to_string(number) + " was left unwritten, or read from outside a view";
  });
  if (before != after && outcome->damage.empty())
    outcome->damage = std::string(argument.name) + (written ? ": memory outside the view was written" : ": was changed");
  if (is_output(argument)) outcome->outputs.push_back(std::move(dense));
}

void Placement::inspect(Outcome *outcome, bool unchanged) const {
  for (size_t a = 0; a < problem_.arguments.size(); a++)
    if (!problem_.arguments[a].null) inspect_argument(a, outcome, unchanged);
}

Outcome run_once(segnas_stream *stream, segnas_context *context, const Problem &problem, const Values &values, View view, uint64_t seed) {
  Placement placement(stream, context, problem, values, view, seed);
  Outcome outcome;
  segnas_error err = {SEGNAS_INTERNAL, "the error was not filled"};
  outcome.status = problem.call(stream, placement.tensors(), &err);
  outcome.text = err.text;
  if (err.status != outcome.status) outcome.damage = "the error's status is not the call's";
  if (outcome.status == SEGNAS_OK && err.text[0] != 0) outcome.damage = "a success has an error text";
  segnas_error waited;
  require(segnas_stream_synchronize(stream, &waited), waited, "stream_synchronize");
  if (outcome.status == SEGNAS_OK) placement.inspect(&outcome);
  return outcome;
}

std::vector<double> decode(const std::vector<uint8_t> &raw, segnas_dtype dtype) {
  const size_t size = segnas_dtype_bytes(dtype);
  std::vector<double> values(raw.size() / size);
  for (size_t i = 0; i < values.size(); i++) values[i] = decode_one(raw.data() + i * size, dtype);
  return values;
}

}  // namespace segnas::check
