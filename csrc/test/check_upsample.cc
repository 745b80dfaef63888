#include "../ops/upsample/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

struct Case {
  int64_t n, h, w, ho, wo, c;
  int32_t mode, in_place;
  bool nearest() const { return mode == SEGNAS_NEAREST; }
  ref::UpsampleShape shape() const { return {n, h, w, ho, wo, c}; }
  std::vector<int64_t> small() const { return {n, h, w, c}; }
  std::vector<int64_t> large() const { return {n, ho, wo, c}; }
  std::string text() const {
    char line[120];
    std::snprintf(line, sizeof line, "%dx%dx%dx%d->%dx%d %s in place %d", int(n), int(h), int(w), int(c), int(ho), int(wo),
                  nearest() ? "nearest" : "bilinear", in_place);
    return line;
  }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/upsample/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  return {r.integer(1, 2),  r.integer(1, 12), r.integer(1, 16),         r.integer(1, 40),
          r.integer(1, 40), r.integer(1, 40), int32_t(r.integer(0, 1)), int32_t(r.integer(0, 1))};
}

// Whether every weight is a small multiple of a power of two, so that integers are resized exactly.
bool dyadic(int64_t in, int64_t out, bool nearest) {
  for (int64_t i = 0; i < out; i++) {
    double scaled = ref::resize_tap(i, in, out, nearest).weight * 256;
    if (scaled != double(int64_t(scaled))) return false;
  }
  return true;
}

std::vector<Expected> resized(const Case &c, Data data, const std::vector<ref::Sum> &sums, int64_t extra) {
  Expected expected = expected_sums(sums, extra);
  expected.exact = data == Data::kInteger && dyadic(c.h, c.ho, c.nearest()) && dyadic(c.w, c.wo, c.nearest());
  return {expected};
}

std::vector<std::pair<std::string, Call>> mode_refusals(const std::function<Call(int32_t)> &call) {
  return {{"mode 2", call(2)}, {"mode -1", call(-1)}};
}

// The sizes are free: any resize is legal.
constexpr unsigned kSizes = 0b0110;

Argument resized_view(const char *name, Role role, std::vector<int64_t> shape) {
  Argument a{name, Kind::kPixels, role, std::move(shape)};
  a.free_dims = kSizes;
  return a;
}

Problem forward(const Case &c) {
  auto call = [](int32_t mode) -> Call {
    return [mode](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_upsample_forward(s, t[0], mode, t[1], err); };
  };
  Problem p{
      c.text(), {resized_view("x", Role::kIn, c.small()), resized_view("y", Role::kOut, c.large())}, call(c.mode), [c](Data data, const Values &v) {
        std::vector<ref::Sum> y(size_t(elements(c.large())));
        ref::upsample_forward(c.shape(), v[0].data(), nullptr, c.nearest(), y.data());
        return resized(c, data, y, 0);
      }};
  p.refusals = mode_refusals(call);
  return p;
}

Problem add_forward(const Case &c) {
  auto call = [](int32_t mode) -> Call {
    return [mode](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) {
      return segnas_upsample_add_forward(s, t[0], t[1], mode, t[2], err);
    };
  };
  Argument y{"y", Kind::kPixels, Role::kOut, c.large()};
  if (c.in_place) y.alias = 1;
  Problem p{c.text(),
            {resized_view("x", Role::kIn, c.small()), {"a", Kind::kPixels, Role::kIn, c.large()}, y},
            call(c.mode),
            [c](Data data, const Values &v) {
              std::vector<ref::Sum> sums(size_t(elements(c.large())));
              ref::upsample_forward(c.shape(), v[0].data(), v[1].data(), c.nearest(), sums.data());
              return resized(c, data, sums, 0);
            }};
  p.refusals = mode_refusals(call);
  return p;
}

Problem backward(const Case &c) {
  auto call = [](int32_t mode) -> Call {
    return [mode](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_upsample_backward(s, t[0], mode, t[1], err); };
  };
  Problem p{
      c.text(), {resized_view("dy", Role::kIn, c.large()), resized_view("dx", Role::kOut, c.small())}, call(c.mode), [c](Data data, const Values &v) {
        std::vector<ref::Sum> dx(size_t(elements(c.small())));
        ref::upsample_backward(c.shape(), v[0].data(), c.nearest(), dx.data());
        // A weight is a product of two rounded ones: one rounding more than a dot product's terms have.
        return resized(c, data, dx, 1);
      }};
  p.refusals = mode_refusals(call);
  return p;
}
}  // namespace

void add_upsample(std::vector<Function> &functions) {
  add_functions(functions, "upsample", kCases, draw, SameBits::kOnEveryBackend,
                {{"upsample_forward", forward}, {"upsample_add_forward", add_forward}, {"upsample_backward", backward}});
}

void prove_upsample(GradientProof &proof) {
  for (bool nearest : {false, true})
    for (int64_t in : {1, 3, 8}) {
      ref::UpsampleShape s{1, in, 4, 5, 7, 2};
      std::vector<double> x = proof.draw(s.n * s.h * s.w * s.c), dy = proof.draw(s.n * s.ho * s.wo * s.c);
      auto loss = [&](const std::vector<double> &at) {
        std::vector<ref::Sum> y(dy.size());
        ref::upsample_forward(s, at.data(), nullptr, nearest, y.data());
        return dot(values_of(y), dy);
      };
      std::vector<ref::Sum> dx(x.size());
      ref::upsample_backward(s, dy.data(), nearest, dx.data());
      proof.check(nearest ? "upsample_backward nearest" : "upsample_backward bilinear", loss, x, values_of(dx));
    }
}

}  // namespace segnas::check
