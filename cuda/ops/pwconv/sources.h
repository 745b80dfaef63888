// What the products of pointwise convolutions read: rows of quads as they are, or made of a raw tensor and its norm on the way into shared memory.
// raw() asks memory for values a step before value() makes of them what is multiplied, so that the arithmetic waits for nothing; parameters() are
// those of four channels; Type is what is stored; kQuantised: norms may quantise. Columns beyond the matrix are zero
// whatever the norm says: they are multiplied with zeros of the other side.
#pragma once
#include "../../plugin/quad.h"

namespace segnas::gpu {

template <class Stored>
struct Plain {
  Matrix<Stored> x;

  using Type = Stored;
  using Raw = Quad;
  struct Parameters {};
  SEGNAS_DEVICE Parameters parameters(int64_t, int64_t) const { return {}; }
  SEGNAS_DEVICE Raw raw(int64_t row, int64_t column, int n) const { return x.load(row, column, n); }
  SEGNAS_DEVICE Quad value(const Raw &raw, const Parameters &, int) const { return raw; }
};

SEGNAS_DEVICE Quad first_of(const Quad &q, int n) {
  Quad first;
#pragma unroll
  for (int i = 0; i < 4; i++) first.at[i] = i < n ? q.at[i] : 0.0f;
  return first;
}

// The activation of x; x itself where there is no norm.
// Nothing, where a norm does not quantise.
struct NoRange {};
template <bool kQuantised>
using RangeOf = std::conditional_t<kQuantised, QuadRange, NoRange>;
template <bool kQuantised>
SEGNAS_DEVICE RangeOf<kQuantised> load_range_of(const QuadNorms &norm, int64_t column, int64_t left) {
  if constexpr (kQuantised) {
    return load_range(norm, column, left);
  } else {
    return {};
  }
}

template <class Stored, bool kQuantised = false>
struct Activated {
  Matrix<Stored> x;
  QuadNorms norm;

  using Type = Stored;
  using Raw = Quad;
  struct Parameters {
    QuadNorm norm;
    RangeOf<kQuantised> range;
  };
  SEGNAS_DEVICE Parameters parameters(int64_t column, int64_t left) const {
    return norm.any() ? Parameters{load_norm(norm, column, left), load_range_of<kQuantised>(norm, column, left)} : Parameters{};
  }
  SEGNAS_DEVICE Raw raw(int64_t row, int64_t column, int n) const { return x.load(row, column, n); }
  SEGNAS_DEVICE Quad value(const Raw &raw, const Parameters &p, int n) const {
    if constexpr (kQuantised) {
      return norm.any() ? first_of(activations(raw, p.norm, p.range, norm.rows), n) : raw;
    } else {
      return norm.any() ? first_of(activations(raw, p.norm, norm.rows.relu), n) : raw;
    }
  }
};

// The gradient of raw y from da, its activation's; da itself where there is no norm.
template <class Stored, bool kQuantised = false>
struct Differentiated {
  Matrix<Stored> y, da;
  QuadNorms norm;

  using Type = Stored;
  struct Raw {
    Quad y, da;
  };
  struct Parameters {
    QuadNorm norm;
    QuadBend bend;
    RangeOf<kQuantised> range;
  };
  SEGNAS_DEVICE Parameters parameters(int64_t column, int64_t left) const {
    return norm.any() ? Parameters{load_norm(norm, column, left), load_bend(norm, column, left), load_range_of<kQuantised>(norm, column, left)}
                      : Parameters{};
  }
  SEGNAS_DEVICE Raw raw(int64_t row, int64_t column, int n) const {
    return {norm.any() ? y.load(row, column, n) : Quad{}, da.load(row, column, n)};
  }
  SEGNAS_DEVICE Quad value(const Raw &raw, const Parameters &p, int n) const {
    if constexpr (kQuantised) {
      return norm.any() ? first_of(gradients(raw.y, raw.da, p.norm, p.bend, p.range, norm.rows), n) : raw.da;
    } else {
      return norm.any() ? first_of(gradients(raw.y, raw.da, p.norm, p.bend, norm.rows.relu), n) : raw.da;
    }
  }
};

}  // namespace segnas::gpu
