#include <cmath>

#include "../ops/fakequant/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

enum Clips : int32_t { kOrdinary, kTies, kBroken };

struct Case {
  int64_t n, h, w, c;
  int32_t per_channel, in_place, bits, is_signed, step;
  float scale;
  int32_t accumulate, clips;
  std::vector<int64_t> activation() const {
    if (n == 0) return {h * w, c};
    return {n, h, w, c};
  }
  segnas_quantiser quantiser() const {
    return {sizeof(segnas_quantiser), bits, is_signed, step ? SEGNAS_CLIP_STEP : SEGNAS_CLIP_PACT, scale};
  }
  ref::QuantiserLevels<float> levels(double clip) const { return {bits, is_signed != 0, float(clip)}; }
  // Of element i, of all the clips.
  size_t clip_of(size_t i) const { return per_channel ? i % size_t(c) : 0; }
  std::string text() const {
    char line[200];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d per channel %d in place %d bits %d signed %d step %d scale %g accumulate %d clips %d", int(n), int(h),
                  int(w), int(c), per_channel, in_place, bits, is_signed, step, double(scale), accumulate, clips);
    return line;
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/fakequant/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  auto coin = [&r] { return int32_t(r.integer(0, 1)); };
  return {r.integer(0, 3), r.integer(1, 20), r.integer(1, 40), r.integer(1, 100), coin(), coin(), int32_t(r.integer(2, 8)), coin(), coin(),
          float(r.uniform(-1, 1)), coin(), int32_t(r.integer(0, 2))};
}

Argument pixels(const char *name, Role role, const Case &c) { return {name, Kind::kPixels, role, c.activation()}; }

double broken_clip(Random &r) {
  static const double kClips[] = {0, -0.0, -1, std::nan(""), INFINITY, -INFINITY, 0x1p-149, 0x1p-20, 0x1.fffffep-21, 0x1p-10, 3e38, 0x1.fffffep127};
  return r.pick(kClips);
}

Argument clip_argument(const Case &c) {
  Argument clip{"clip", Kind::kVector, Role::kIn, {c.per_channel ? c.c : 1}};
  clip.low = 0.2;
  clip.high = 1.2;
  if (c.clips == kBroken) clip.element = broken_clip;
  // Powers of two times L: r and s are exact, so that multiples of half a step are ties.
  if (c.clips == kTies) clip.element = [levels = double(c.levels(1).count)](Random &r) { return std::ldexp(levels, int(r.integer(-12, 3))); };
  return clip;
}

// Multiples of half a step, some of them beyond the clip.
void make_ties(const Case &c, Values &v) {
  Random r(mix(uint64_t(v[0].size()), "ties"));
  for (size_t i = 0; i < v[0].size(); i++)
    if (std::isfinite(v[0][i])) v[0][i] = double(c.levels(v[1][c.clip_of(i)]).s) * double(r.integer(-600, 600)) / 2;
}

Problem problem_of(const Case &c, std::vector<Argument> arguments, std::function<Call(const segnas_quantiser &)> call,
                   std::function<std::vector<Expected>(Data, const Values &)> expect) {
  Problem p{c.text(), std::move(arguments), call(c.quantiser()), std::move(expect)};
  auto refuse = [&](const std::string &what, auto &&change) {
    segnas_quantiser q = c.quantiser();
    change(q);
    p.refusals.push_back({what, call(q)});
  };
  for (int32_t bits : {1, 9, 0, -4, 1 << 30}) refuse("bits " + std::to_string(bits), [&](segnas_quantiser &q) { q.bits = bits; });
  for (int32_t sign : {2, -1}) refuse("is_signed " + std::to_string(sign), [&](segnas_quantiser &q) { q.is_signed = sign; });
  for (int32_t gradient : {2, -1}) refuse("gradient " + std::to_string(gradient), [&](segnas_quantiser &q) { q.gradient = gradient; });
  for (float scale : {INFINITY, NAN}) refuse("scale " + std::to_string(scale), [&](segnas_quantiser &q) { q.scale = scale; });
  refuse("size 0", [](segnas_quantiser &q) { q.size = 0; });
  refuse("a size beyond its own", [](segnas_quantiser &q) { q.size++; });
  return p;
}

std::vector<double> quantised(const Case &c, const std::vector<double> &x, const std::vector<double> &clip) {
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); i++) y.push_back(double(ref::fakequant_forward(c.levels(clip[c.clip_of(i)]), float(x[i]))));
  return y;
}

Problem forward(const Case &c) {
  Argument y = pixels("y", Role::kOut, c);
  if (c.in_place) y.alias = 0;
  auto call = [](const segnas_quantiser &q) -> Call {
    return [q](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_fakequant_forward(s, &q, t[0], t[1], t[2], err); };
  };
  Problem p = problem_of(c, {pixels("x", Role::kIn, c), clip_argument(c), y}, call,
                         [c](Data, const Values &v) { return std::vector<Expected>{expected_exactly(quantised(c, v[0], v[1]))}; });
  if (c.clips == kTies) p.adjust = [c](Values &v) { make_ties(c, v); };
  p.refusals.push_back({"a NULL quantiser", [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
                          return segnas_fakequant_forward(s, nullptr, t[0], t[1], t[2], err);
                        }});
  return p;
}

// The rounding's error is a float difference without a rounding; the term has three: 1 / L, and two products.
constexpr int64_t kTermRoundings = 3;

std::vector<Expected> expect_backward(const Case &c, Data data, const Values &v) {
  const std::vector<double> &x = v[0], &clip = v[1], &dy = v[2];
  std::vector<double> dx;
  std::vector<ref::Sum> dclip = sums_onto(v.back(), int64_t(clip.size()), c.accumulate);
  for (size_t i = 0; i < x.size(); i++) {
    const ref::FakequantGradient g = ref::fakequant_backward(c.levels(clip[c.clip_of(i)]), c.step != 0, float(x[i]), dy[i]);
    dx.push_back(g.dx);
    dclip[c.clip_of(i)].add(double(c.scale) * g.dclip);
  }
  Expected sums = expected_sums(dclip, kTermRoundings);
  sums.exact = data == Data::kInteger && !c.step && c.scale * 8 == float(int(c.scale * 8));
  return {expected_exactly(dx), sums};
}

Problem backward(const Case &c) {
  Argument dx = pixels("dx", Role::kOut, c);
  if (c.in_place) dx.alias = 2;
  Argument dclip{"dclip", Kind::kVector, c.accumulate ? Role::kInOut : Role::kOut, {c.per_channel ? c.c : 1}};
  dclip.special = Special::kNaN;
  auto call = [accumulate = c.accumulate](const segnas_quantiser &q) -> Call {
    return [q, accumulate](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_fakequant_backward(s, &q, t[0], t[1], t[2], accumulate, t[3], t[4], err);
    };
  };
  Argument dy = pixels("dy", Role::kIn, c);
  dy.special = Special::kNaN;  // infinities of both signs in one sum make a NaN whose own sign hangs on the order of an addition's operands
  Problem p = problem_of(c, {pixels("x", Role::kIn, c), clip_argument(c), dy, dx, dclip}, call,
                         [c](Data data, const Values &v) { return expect_backward(c, data, v); });
  if (c.clips == kTies) p.adjust = [c](Values &v) { make_ties(c, v); };
  p.refusals.push_back({"accumulate 2", [q = c.quantiser()](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
                          return segnas_fakequant_backward(s, &q, t[0], t[1], t[2], 2, t[3], t[4], err);
                        }});
  p.refusals.push_back({"a NULL quantiser", [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
                          return segnas_fakequant_backward(s, nullptr, t[0], t[1], t[2], 0, t[3], t[4], err);
                        }});
  return p;
}

Expected anything(size_t count) {
  Expected expected;
  expected.value.resize(count);
  expected.accepts = [](size_t, double) { return true; };
  return expected;
}

// Quantising what is quantised changes nothing: the difference is zero to the bit, for clips of every size.
Problem idempotent(const Case &c) {
  auto call = [q = c.quantiser()](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) -> segnas_status {
    segnas_status status = segnas_fakequant_forward(s, &q, t[0], t[1], t[2], err);
    if (status == SEGNAS_OK) status = segnas_fakequant_forward(s, &q, t[2], t[1], t[3], err);
    if (status == SEGNAS_OK) status = segnas_axpy(s, -1, t[2], t[3], err);
    return status;
  };
  Argument clip{"clip", Kind::kVector, Role::kIn, {c.per_channel ? c.c : 1}};
  clip.element = [](Random &r) { return double(float(std::exp2(r.uniform(-22, 126)))); };
  Problem p{c.text(),
            {pixels("x", Role::kIn, c), clip, pixels("y", Role::kOut, c), pixels("difference", Role::kOut, c)},
            call,
            [c](Data, const Values &v) {
              return std::vector<Expected>{expected_exactly(quantised(c, v[0], v[1])), expected_exactly(std::vector<double>(v[0].size()))};
            }};
  p.data = {Data::kUniform};
  p.adjust = [c](Values &v) {
    for (size_t i = 0; i < v[0].size(); i++) v[0][i] = double(float(1.25 * v[0][i] * v[1][c.clip_of(i)]));
  };
  return p;
}

// ---------------------------------------------------------------- in passing

// Rows of a norm that quantises.
constexpr int64_t kRows = 10, kRangeAt = 6;

Argument norm_argument(const Case &c) {
  Argument norm{"norm", Kind::kMatrix, Role::kInOut, {kRows, c.c}};
  norm.element = [](Random &r) { return r.uniform(0.25, 1.25) * (r.one_in(2) ? 1 : -1); };
  return norm;
}

Problem norm_quantise(const Case &c) {
  auto call = [](const segnas_quantiser &q) -> Call {
    return [q](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_norm_quantise(s, &q, t[0], t[1], err); };
  };
  return problem_of(c, {clip_argument(c), norm_argument(c)}, call, [c](Data, const Values &v) {
    std::vector<double> norm = v[1];
    for (int64_t i = 0; i < c.c; i++) {
      const ref::QuantiserLevels<float> q = c.levels(v[0][c.clip_of(size_t(i))]);
      int64_t row = kRangeAt;
      for (float value : {q.low, q.high, q.r, q.s}) norm[size_t(row++ * c.c + i)] = double(value);
    }
    return std::vector<Expected>{expected_exactly(norm)};
  });
}

Problem norm_quantise_backward(const Case &given) {
  Case c = given;
  c.step = 0;
  auto call = [accumulate = c.accumulate](const segnas_quantiser &q) -> Call {
    return [q, accumulate](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_norm_quantise_backward(s, &q, t[0], accumulate, t[1], err);
    };
  };
  Argument dclip{"dclip", Kind::kVector, c.accumulate ? Role::kInOut : Role::kOut, {c.per_channel ? c.c : 1}};
  dclip.special = Special::kNone;
  Problem p = problem_of(c, {{"sums", Kind::kMatrix, Role::kIn, {3, c.c}, SEGNAS_F64}, dclip}, call, [c](Data, const Values &v) {
    std::vector<ref::Sum> sums = sums_onto(v[1], c.per_channel ? c.c : 1, c.accumulate);
    for (int64_t i = 0; i < c.c; i++) sums[c.clip_of(size_t(i))].add(double(c.scale) * v[0][size_t(2 * c.c + i)]);
    return std::vector<Expected>{expected_sums(sums)};
  });
  segnas_quantiser steps = c.quantiser();
  steps.gradient = SEGNAS_CLIP_STEP;
  p.refusals.push_back({"learned steps", call(steps)});
  return p;
}

// An activation that is quantised in passing has the bits of one that is normalised and then quantised, and so has its gradient: the differences are zero.
Problem in_passing(const Case &c) {
  auto call = [c, q = c.quantiser()](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) -> segnas_status {
    const segnas_tensor *x = t[0], *clip = t[1], *norm = t[2], *da = t[3], *y = t[4], *y_apart = t[5], *dx = t[6], *dx_apart = t[7], *dclip = t[8];
    segnas_tensor plain = *norm;
    plain.shape[0] = kRangeAt;
    const int32_t relu = c.in_place;
    segnas_status status = segnas_norm_quantise(s, &q, clip, norm, err);
    if (status == SEGNAS_OK) status = segnas_norm_forward(s, x, norm, relu, y, err);
    if (status == SEGNAS_OK) status = segnas_norm_gradient(s, x, norm, relu, da, dx, err);
    if (status == SEGNAS_OK) status = segnas_norm_forward(s, x, &plain, relu, y_apart, err);
    if (status == SEGNAS_OK) status = segnas_fakequant_backward(s, &q, y_apart, clip, da, 0, dx_apart, dclip, err);
    if (status == SEGNAS_OK) status = segnas_norm_gradient(s, x, &plain, relu, dx_apart, dx_apart, err);
    if (status == SEGNAS_OK) status = segnas_fakequant_forward(s, &q, y_apart, clip, y_apart, err);
    if (status == SEGNAS_OK) status = segnas_axpy(s, -1, y, y_apart, err);
    if (status == SEGNAS_OK) status = segnas_axpy(s, -1, dx, dx_apart, err);
    return status;
  };
  Case ordinary = c;
  ordinary.clips = kOrdinary;
  Problem p{c.text(),
            {pixels("x", Role::kIn, c), clip_argument(ordinary), norm_argument(c), pixels("da", Role::kIn, c), pixels("y", Role::kOut, c),
             pixels("y, difference", Role::kOut, c), pixels("dx", Role::kOut, c), pixels("dx, difference", Role::kOut, c),
             {"dclip", Kind::kVector, Role::kOut, {c.per_channel ? c.c : 1}}},
            call,
            [](Data, const Values &v) {
              const Expected zeros = expected_exactly(std::vector<double>(v[0].size()));
              return std::vector<Expected>{anything(v[2].size()), anything(v[0].size()), zeros, anything(v[0].size()), zeros, anything(v[1].size())};
            }};
  p.data = {Data::kUniform};
  return p;
}

// ---------------------------------------------------------------- tables and proof

// Clips that are neither one for all nor one for each channel.
std::vector<Problem> misfits(Problem (*problem)(const Case &), size_t clip) {
  std::vector<Problem> misfits;
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{2}, {kCases[0].c + 1}, {1, kCases[0].c}, {1, 1}}) {
    misfits.push_back(problem(kCases[0]));
    misfits.back().text = "a clip " + sizes_text(shape);
    misfits.back().arguments[clip].shape = shape;
  }
  return misfits;
}

// What the gradients are those of, straight through the rounding: a constant, the rounding's error, added before the product with s. PACT's clip sees
// no rounding at all.
double surrogate(const Case &c, double x, double a, double error) {
  const ref::QuantiserLevels<double> q(c.bits, c.is_signed != 0, a);
  const double clipped = x < q.low ? q.low : x > q.high ? q.high : x;
  return c.step ? (clipped * q.r + error) * q.s : clipped;
}

void prove(GradientProof &proof, const Case &c) {
  std::vector<double> x = proof.draw(24), dy = proof.draw(24), clip = proof.draw(1, 0.4, 0.6), dx, dclip(1), error;
  const ref::QuantiserLevels<double> q(c.bits, c.is_signed != 0, clip[0]);
  for (size_t i = 0; i < x.size(); i++) {
    const ref::FakequantGradient g = ref::fakequant_backward(q, c.step != 0, x[i], dy[i]);
    const bool inside = q.low < x[i] && x[i] < q.high;
    dx.push_back(g.dx);
    dclip[0] += g.dclip;
    error.push_back(inside ? std::nearbyint(x[i] * q.r) - x[i] * q.r : 0);
  }
  auto loss = [&](const std::vector<double> &x_at, const std::vector<double> &clip_at) {
    double sum = 0;
    for (size_t i = 0; i < x_at.size(); i++) sum += dy[i] * surrogate(c, x_at[i], clip_at[0], error[i]);
    return sum;
  };
  const std::string name = std::string("fakequant_backward ") + (c.is_signed ? "signed " : "") + (c.step ? "step " : "");
  proof.check(name + "dx", [&](const std::vector<double> &at) { return loss(at, clip); }, x, dx);
  proof.check(name + "dclip", [&](const std::vector<double> &at) { return loss(x, at); }, clip, dclip);
}
}  // namespace

void add_fakequant(std::vector<Function> &functions) {
  auto add = [&](SameBits same_bits, const NamedProblem<Case> &problem) -> Function & {
    add_functions(functions, "fakequant", kCases, draw, same_bits, {problem});
    return functions.back();
  };
  add(SameBits::kOnEveryBackend, {"fakequant_forward", forward}).illegal = misfits(forward, 1);
  add(SameBits::kOnInstructionSets, {"fakequant_backward", backward}).illegal = misfits(backward, 1);
  add(SameBits::kOnEveryBackend, {"fakequant_idempotent", idempotent}).composed = true;
  add(SameBits::kOnEveryBackend, {"norm_quantise", norm_quantise}).illegal = misfits(norm_quantise, 0);
  add(SameBits::kOnInstructionSets, {"norm_quantise_backward", norm_quantise_backward}).illegal = misfits(norm_quantise_backward, 1);
  add(SameBits::kNowhere, {"fakequant_in_passing", in_passing}).composed = true;
}

void prove_fakequant(GradientProof &proof) {
  for (int32_t bits : {2, 4, 8})
    for (int32_t is_signed : {0, 1})
      for (int32_t step : {0, 1}) prove(proof, {0, 1, 24, 1, 0, 0, bits, is_signed, step, 1, 0, kOrdinary});
}

}  // namespace segnas::check
