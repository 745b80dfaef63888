#include "refusals.h"

#include <cstring>

#include "placement.h"

namespace segnas::check {
namespace {

struct Mutation {
  std::string name;
  segnas_tensor tensor;
};

bool spaced(const Argument &a) { return a.kind == Kind::kPixels || a.kind == Kind::kMatrix; }
bool free_strides(const Argument &a) { return a.kind == Kind::kFree || a.kind == Kind::kAny; }

void mutate_head(const segnas_tensor &t, std::vector<Mutation> *mutations) {
  auto add = [&](const char *name) -> segnas_tensor & {
    mutations->push_back({name, t});
    return mutations->back().tensor;
  };
  int64_t last = 0;
  for (int d = 0; d < t.rank; d++) last += (t.shape[d] - 1) * t.stride[d];
  auto type = static_cast<segnas_dtype>(t.dtype);
  int64_t held = static_cast<int64_t>(segnas_buffer_bytes(t.buffer) / segnas_dtype_bytes(type));
  add("without a buffer").buffer = nullptr;
  add("of another dtype").dtype = t.dtype == SEGNAS_F32 ? SEGNAS_U8 : SEGNAS_F32;
  add("of an unknown dtype").dtype = 99;
  add("of rank 0").rank = 0;
  add("of rank 6").rank = SEGNAS_MAX_RANK + 1;
  add("with a negative offset").offset = -1;
  add("one element beyond its buffer").offset = held - last;
  add("with a huge offset").offset = INT64_MAX;
}

void mutate_sizes(const Argument &a, const segnas_tensor &t, std::vector<Mutation> *mutations) {
  auto add = [&](const std::string &name) -> segnas_tensor & {
    mutations->push_back({name, t});
    return mutations->back().tensor;
  };
  for (int d = 0; d < t.rank; d++) {
    std::string axis = " along dimension " + std::to_string(d);
    add("of size 0" + axis).shape[d] = 0;
    add("of size -1" + axis).shape[d] = -1;
    add("of size 2^62" + axis).shape[d] = int64_t{1} << 62;
    if (t.shape[d] > 1 && !(a.free_dims >> d & 1)) add("one short" + axis).shape[d]--;
    if (t.shape[d] > 1) add("of stride 0" + axis).stride[d] = 0;
    if (t.shape[d] > 1) add("of stride -1" + axis).stride[d] = -1;
    if (t.shape[d] > 1) add("of stride 2^62" + axis).stride[d] = int64_t{1} << 62;
  }
  segnas_tensor &wrap = add("whose reach overflows");
  wrap.shape[0] = wrap.stride[0] = int64_t{1} << 40;
}

void mutate_strides(const Argument &a, const segnas_tensor &t, std::vector<Mutation> *mutations) {
  const int last = t.rank - 1;
  if (free_strides(a)) return;
  if (t.shape[last] > 1) {
    mutations->push_back({"with an innermost stride of 2", t});
    mutations->back().tensor.stride[last] = 2;
  }
  if (spaced(a) && t.shape[last] > 1 && t.shape[last - 1] > 1) {
    mutations->push_back({"whose pixels or rows overlap", t});
    for (int d = 0; d < last; d++) mutations->back().tensor.stride[d] = t.stride[d] / t.shape[last] * (t.shape[last] - 1);
  }
  if (a.kind == Kind::kPixels && t.rank == 4 && t.shape[1] > 1) {
    mutations->push_back({"whose rows do not follow each other", t});
    mutations->back().tensor.stride[1]++;
  }
}

class Refusing {
 public:
  Refusing(Places &places, const std::string &place, const Function &function, uint64_t seed, Report &report)
      : function_(function),
        seed_(seed),
        report_(report),
        place_(place),
        context_(places.context(place, 2)),
        other_(places.context(place, 1)),
        stream_(Places::stream(context_)) {}

  void check_row() {
    const Problem problem = function_.problem(0);
    for (size_t a = 0; a < problem.arguments.size(); a++) check_argument(problem, a);
    expect(problem, "a NULL stream", nullptr, [](std::vector<const segnas_tensor *> &) {}, problem.call);
    for (const auto &[name, call] : problem.refusals) expect(problem, name, stream_.get(), [](std::vector<const segnas_tensor *> &) {}, call);
  }

  void check_illegal(const Problem &problem) {
    expect(problem, problem.text, stream_.get(), [](std::vector<const segnas_tensor *> &) {}, problem.call);
  }

 private:
  void check_argument(const Problem &problem, size_t a) {
    const Argument &argument = problem.arguments[a];
    if (argument.null) return;
    Placement model(stream_.get(), context_, problem, draw_values(problem, Data::kUniform, seed_), View::kDense, seed_);
    const segnas_tensor good = model.tensor(a);
    std::vector<Mutation> mutations;
    mutate_head(good, &mutations);
    mutate_sizes(argument, good, &mutations);
    mutate_strides(argument, good, &mutations);
    for (Mutation &mutation : mutations) {
      bool buffer_kept = mutation.tensor.buffer != nullptr;
      expect(
          problem, std::string(argument.name) + " " + mutation.name, stream_.get(),
          [&, a](std::vector<const segnas_tensor *> &tensors) {
            if (buffer_kept) mutation.tensor.buffer = tensors[a]->buffer;
            tensors[a] = &mutation.tensor;
          },
          problem.call);
    }
    if (!argument.optional)
      expect(
          problem, std::string(argument.name) + " is NULL", stream_.get(), [a](std::vector<const segnas_tensor *> &t) { t[a] = nullptr; },
          problem.call);
    check_foreign(problem, a);
  }

  void check_foreign(const Problem &problem, size_t a) {
    Stream stream = Places::stream(other_);
    Placement foreign(stream.get(), other_, problem, draw_values(problem, Data::kUniform, seed_), View::kDense, seed_);
    segnas_tensor tensor = foreign.tensor(a);
    expect(
        problem, std::string(problem.arguments[a].name) + " of another context", stream_.get(),
        [&](std::vector<const segnas_tensor *> &tensors) { tensors[a] = &tensor; }, problem.call);
  }

  // break_tensors changes the pointers to legal tensors that the call gets.
  template <class Break>
  void expect(const Problem &problem, const std::string &what, segnas_stream *stream, Break break_tensors, const Call &call) {
    Placement placement(stream_.get(), context_, problem, draw_values(problem, Data::kUniform, seed_), View::kDense, seed_);
    std::vector<const segnas_tensor *> tensors(placement.tensors(), placement.tensors() + problem.arguments.size());
    break_tensors(tensors);
    segnas_error err = {SEGNAS_OK, ""};
    segnas_status status = call(stream, tensors.data(), &err);
    segnas_status silent = call(stream, tensors.data(), nullptr);
    Outcome outcome;
    placement.inspect(&outcome, !problem.clobbers);
    std::string wrong;
    if (status != SEGNAS_INVALID_ARGUMENT)
      wrong = std::string("status is ") + segnas_status_name(status);
    else if (silent != status)
      wrong = "another status without an error to fill";
    else if (err.status != status)
      wrong = "the error's status is not the call's";
    else if (err.text[0] == 0 || std::strchr(err.text, '\n'))
      wrong = "the text is not one line";
    else if (!problem.clobbers && !outcome.damage.empty())
      wrong = outcome.damage;
    if (wrong.empty()) {
      report_.pass("refusals");
    } else {
      report_.fail("refusals", function_.name + " with " + what + ": " + wrong,
                   "opcheck --only refusals --op " + function_.name + " " + place_option(place_));
    }
  }

  const Function &function_;
  const uint64_t seed_;
  Report &report_;
  const std::string place_;
  segnas_context *context_, *other_;
  Stream stream_;
};
}  // namespace

void check_refusals(Places &places, const std::string &place, const Function &function, uint64_t seed, Report &report) {
  Refusing refusing(places, place, function, seed, report);
  refusing.check_row();
  for (const Problem &problem : function.illegal) refusing.check_illegal(problem);
}

}  // namespace segnas::check
