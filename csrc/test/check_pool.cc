#include "../ops/pool/ref.h"
#include "functions.h"

namespace segnas::check {
namespace {

struct Case {
  int64_t n, h, w, rows, columns, c;
  ref::PoolShape shape() const { return {n, h, w, rows, columns, c}; }
  std::vector<int64_t> large() const { return {n, h, w, c}; }
  std::vector<int64_t> small() const { return {n, rows, columns, c}; }
  std::string text() const { return sizes_text(large()) + "->" + sizes_text({rows, columns}); }
};

const Case kCases[] = {
#define SEGNAS_CASE(...) {__VA_ARGS__},
#include "../ops/pool/cases.inc"
#undef SEGNAS_CASE
};

Case draw(Random &r) {
  Case c{r.integer(1, 2), r.integer(1, 40), r.integer(1, 40), 0, 0, r.integer(1, 40)};
  c.rows = r.integer(1, c.h);
  c.columns = r.integer(1, c.w);
  return c;
}

// Whether every bin of an axis has a power of two of positions, so that integers are divided exactly.
bool dyadic(int64_t in, int64_t out) {
  for (int64_t i = 0; i < out; i++)
    if (int64_t size = ref::bin_of(in, out, i).size(); size & (size - 1)) return false;
  return true;
}

// Any sizes with no more bins than positions are legal.
Argument picture(const char *name, Role role, std::vector<int64_t> shape) {
  Argument a{name, Kind::kPixels, role, std::move(shape)};
  a.free_dims = 0b0110;
  return a;
}

Problem forward(const Case &c) {
  return {c.text(),
          {picture("x", Role::kIn, c.large()), picture("y", Role::kOut, c.small())},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_avg_pool_forward(s, t[0], t[1], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> y(size_t(elements(c.small())));
            ref::avg_pool_forward(c.shape(), v[0].data(), y.data());
            Expected expected = expected_sums(y);
            expected.exact = data == Data::kInteger && dyadic(c.h, c.rows) && dyadic(c.w, c.columns);
            return std::vector<Expected>{expected};
          }};
}

Problem backward(const Case &c) {
  return {c.text(),
          {picture("dy", Role::kIn, c.small()), picture("dx", Role::kOut, c.large())},
          [](segnas_stream *s, const segnas_tensor *const *t, segnas_error *err) { return segnas_avg_pool_backward(s, t[0], t[1], err); },
          [c](Data data, const Values &v) {
            std::vector<ref::Sum> dx(size_t(elements(c.large())));
            ref::avg_pool_backward(c.shape(), v[0].data(), dx.data());
            // The weight is rounded too: one rounding more than a dot product's terms have.
            Expected expected = expected_sums(dx, 1);
            expected.exact = data == Data::kInteger && dyadic(c.h, c.rows) && dyadic(c.w, c.columns);
            return std::vector<Expected>{expected};
          }};
}
}  // namespace

void add_pool(std::vector<Function> &functions) {
  Case more_rows = kCases[0], more_columns = kCases[0];
  more_rows.rows = more_rows.h + 1;
  more_columns.columns = more_columns.w + 1;
  add_functions(functions, "pool", kCases, draw, SameBits::kOnInstructionSets, {{"avg_pool_forward", forward}});
  functions.back().illegal = {forward(more_rows), forward(more_columns)};
  add_functions(functions, "pool", kCases, draw, SameBits::kOnEveryBackend, {{"avg_pool_backward", backward}});
  functions.back().illegal = {backward(more_rows), backward(more_columns)};
}

void prove_pool(GradientProof &proof) {
  for (ref::PoolShape s : {ref::PoolShape{2, 5, 7, 3, 4, 2}, ref::PoolShape{1, 4, 3, 1, 1, 3}, ref::PoolShape{1, 3, 4, 3, 2, 2}}) {
    std::vector<double> x = proof.draw(s.n * s.h * s.w * s.c), dy = proof.draw(s.n * s.rows * s.columns * s.c);
    auto loss = [&](const std::vector<double> &at) {
      std::vector<ref::Sum> y(dy.size());
      ref::avg_pool_forward(s, at.data(), y.data());
      return dot(values_of(y), dy);
    };
    std::vector<ref::Sum> dx(x.size());
    ref::avg_pool_backward(s, dy.data(), dx.data());
    proof.check("avg_pool_backward", loss, x, values_of(dx));
  }
}

}  // namespace segnas::check
