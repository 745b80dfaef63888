#include "placement.h"

#include <algorithm>
#include <cstring>

#include "sixteen.h"

namespace segnas::check {
namespace {
constexpr int64_t kGuard = 64;  // elements on either side; a multiple of every alignment

// A quiet NaN with a payload that no operation makes; 165 for bytes (no class has it).
std::array<uint8_t, 8> poison(segnas_dtype dtype) {
  const std::array<uint8_t, 8> narrow = {0xa5, 0x7f}, single = {0xa5, 0xa5, 0xc5, 0x7f}, wide = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xfd, 0x7f};
  switch (dtype) {
    case SEGNAS_F32:
      return single;
    case SEGNAS_U8:
      return {0xa5};
    case SEGNAS_I64:
    case SEGNAS_F64:
      return wide;
    case SEGNAS_F16:
    case SEGNAS_BF16:
      return narrow;
  }
  return {};
}

// Elements full of poison. In doubling copies: element by element it would be what opcheck does most, and so would the loops below.
std::vector<uint8_t> poisoned(size_t elements, segnas_dtype dtype) {
  std::vector<uint8_t> image(elements * segnas_dtype_bytes(dtype));
  size_t done = std::min(segnas_dtype_bytes(dtype), image.size());
  std::memcpy(image.data(), poison(dtype).data(), done);
  for (size_t more; done < image.size(); done += more) {
    more = std::min(done, image.size() - done);
    std::memcpy(image.data() + done, image.data(), more);
  }
  return image;
}

template <class T>
int64_t first_equal(const uint8_t *at, int64_t count, const uint8_t *element) {
  T wanted, found;
  std::memcpy(&wanted, element, sizeof wanted);
  for (int64_t i = 0; i < count; i++) {
    std::memcpy(&found, at + i * static_cast<int64_t>(sizeof found), sizeof found);
    if (found == wanted) return i;
  }
  return count;
}

// The first of some elements that is poison, or their count.
int64_t first_poison(const uint8_t *at, int64_t count, segnas_dtype dtype) {
  const std::array<uint8_t, 8> element = poison(dtype);
  switch (segnas_dtype_bytes(dtype)) {
    case 1:
      return first_equal<uint8_t>(at, count, element.data());
    case 2:
      return first_equal<uint16_t>(at, count, element.data());
    case 4:
      return first_equal<uint32_t>(at, count, element.data());
    default:
      return first_equal<uint64_t>(at, count, element.data());
  }
}

template <class Convert>
void encode_each(const double *values, int64_t count, uint8_t *to, Convert convert) {
  for (int64_t i = 0; i < count; i++) {
    const auto element = convert(values[i]);
    std::memcpy(to + i * static_cast<int64_t>(sizeof element), &element, sizeof element);
  }
}

void encode(const double *values, int64_t count, uint8_t *to, segnas_dtype dtype) {
  switch (dtype) {
    case SEGNAS_F32:
      return encode_each(values, count, to, [](double value) { return static_cast<float>(value); });
    case SEGNAS_U8:
      return encode_each(values, count, to, [](double value) { return static_cast<uint8_t>(value); });
    case SEGNAS_I64:
      return encode_each(values, count, to, [](double value) { return static_cast<int64_t>(value); });
    case SEGNAS_F64:
      return encode_each(values, count, to, [](double value) { return value; });
    case SEGNAS_F16:
    case SEGNAS_BF16:
      return encode_each(values, count, to, [=](double value) { return encode_narrow(value, dtype); });
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

// visit(row-major number, element from the buffer's start, count) for every run of neighbouring elements of a view.
template <class Visit>
void each_run(const segnas_tensor &t, Visit visit) {
  // Dimensions from `inner` on touch.
  int inner = t.rank;
  int64_t run = 1;
  while (inner > 0 && t.stride[inner - 1] == run) run *= t.shape[--inner];
  int64_t index[SEGNAS_MAX_RANK] = {}, number = 0, at = t.offset;
  for (;;) {
    visit(number, at, run);
    number += run;
    int d = inner - 1;
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
  image = poisoned(static_cast<size_t>(held), argument.dtype);
  if (argument.role != Role::kOut)
    each_run(t, [&](int64_t number, int64_t at, int64_t count) { encode(values.data() + number, count, image.data() + at * size, argument.dtype); });
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
  const int64_t size = static_cast<int64_t>(segnas_dtype_bytes(argument.dtype));
  const segnas_tensor &t = tensors_[a];
  const bool written = !unchanged && (is_output(argument) || aliased_output(a));
  std::vector<uint8_t> before = images_[home], after(before.size());
  segnas_error err;
  require(segnas_buffer_read(stream_, buffers_[home].get(), 0, after.data(), after.size(), &err), err, "buffer_read");
  std::vector<uint8_t> dense(is_output(argument) ? static_cast<size_t>(elements(argument.shape) * size) : 0);
  each_run(t, [&](int64_t number, int64_t at, int64_t count) {
    const uint8_t *from = after.data() + at * size;
    if (is_output(argument)) std::memcpy(dense.data() + number * size, from, static_cast<size_t>(count * size));
    if (!written) return;
    std::memcpy(before.data() + at * size, from, static_cast<size_t>(count * size));
    const int64_t unwritten = first_poison(from, count, argument.dtype);
    if (unwritten < count && outcome->damage.empty())
      outcome->damage = std::string(argument.name) + ": element " + std::to_string(number + unwritten) + " was left unwritten, or read from outside a view";
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
