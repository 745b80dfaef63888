// Four neighbouring channels of a pixel, or of a row of weights: what a thread reads, computes and writes at a time. Where a matrix's rows lie on
// four elements' bytes a quad moves in one access, elsewhere in up to four; the values and what is computed from them are the same.
#pragma once
#include "quantiser.h"
#include "storage.h"

namespace segnas::gpu {

struct Quad {
  float at[4];
};

// The first n of four values; zeros for the others, which are not read. n may be anything.
template <class Stored>
SEGNAS_DEVICE Quad load_quad(const Stored *p, int64_t n, bool aligned) {
  Quad q = {};
  if (aligned && n >= 4) {
    load_pack<4>(p, q.at);
    return q;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < n) q.at[i] = load(p + i);
  return q;
}

// The first n of four values; the others are left alone.
template <class Stored>
SEGNAS_DEVICE void store_quad(Stored *p, const Quad &q, int64_t n, bool aligned) {
  if (aligned && n >= 4) {
    store_pack<4>(p, q.at);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < n) store(p + i, q.at[i]);
}

// Rows `pitch` elements apart. aligned: every fourth column of every row lies on four elements' bytes.
template <class Stored>
struct Matrix {
  Stored *at = nullptr;
  int64_t pitch = 0;
  bool aligned = false;

  SEGNAS_DEVICE Quad load(int64_t row, int64_t column, int64_t n) const { return load_quad(at + row * pitch + column, n, aligned); }
  SEGNAS_DEVICE void store(int64_t row, int64_t column, const Quad &q, int64_t n) const { store_quad(at + row * pitch + column, q, n, aligned); }
};

template <class Stored>
Matrix<Stored> matrix_at(Stored *at, int64_t pitch) {
  return {at, pitch, packs<4>(at, pitch)};
}
// Of weights, or where the stored type has been found out. t NULL: an empty one.
template <class Stored = float>
Matrix<Stored> matrix_of(const segnas_tensor &t) {
  return matrix_at(stored<Stored>(t), pitch_of(t));
}
template <class Stored>
Matrix<Stored> matrix_of(const segnas_tensor *t) {
  return t ? matrix_of<Stored>(*t) : Matrix<Stored>{};
}

// A norm's view for quads. gamma: where scale is yet inv_std, what it is multiplied by; NULL elsewhere.
struct QuadNorms {
  Norm rows;
  const float *gamma = nullptr;
  bool aligned = false;
  SEGNAS_DEVICE bool any() const { return rows.mean != nullptr; }
};
inline QuadNorms quad_norms_of(const segnas_tensor *t, int32_t relu) {
  return {norm_of(t, relu), nullptr, t && matrix_at(f32(*t), t->stride[0]).aligned};
}

// The norm of four channels.
struct QuadNorm {
  Quad mean, scale, beta;
};
// What the gradient needs besides.
struct QuadBend {
  Quad centre, slope;
};

// And the range of a norm that quantises; of one that does not it is not used.
struct QuadRange {
  Quad low, high, r, s;
  SEGNAS_DEVICE Range of(int i) const { return {low.at[i], high.at[i], r.at[i], s.at[i]}; }
};

SEGNAS_DEVICE QuadNorm load_norm(const QuadNorms &n, int64_t channel, int64_t left) {
  QuadNorm q = {load_quad(n.rows.mean + channel, left, n.aligned), load_quad(n.rows.scale + channel, left, n.aligned),
                load_quad(n.rows.beta + channel, left, n.aligned)};
  if (n.gamma) {
    const Quad gamma = load_quad(n.gamma + channel, left, n.aligned);
#pragma unroll
    for (int i = 0; i < 4; i++) q.scale.at[i] *= gamma.at[i];
  }
  return q;
}
SEGNAS_DEVICE QuadBend load_bend(const QuadNorms &n, int64_t channel, int64_t left) {
  return {load_quad(n.rows.centre + channel, left, n.aligned), load_quad(n.rows.slope + channel, left, n.aligned)};
}

SEGNAS_DEVICE QuadRange load_range(const QuadNorms &n, int64_t channel, int64_t left) {
  if (!n.rows.low) return {};
  return {load_quad(n.rows.low + channel, left, n.aligned), load_quad(n.rows.high + channel, left, n.aligned),
          load_quad(n.rows.r + channel, left, n.aligned), load_quad(n.rows.s + channel, left, n.aligned)};
}

SEGNAS_DEVICE Quad activations(const Quad &x, const QuadNorm &n, int32_t relu) {
  Quad a;
#pragma unroll
  for (int i = 0; i < 4; i++) a.at[i] = activation(x.at[i], n.mean.at[i], n.scale.at[i], n.beta.at[i], relu);
  return a;
}

// g: da where the activation is positive; without ReLU all of it.
SEGNAS_DEVICE Quad masked(const Quad &x, const Quad &da, const QuadNorm &n, int32_t relu) {
  if (!relu) return da;
  Quad g;
#pragma unroll
  for (int i = 0; i < 4; i++) g.at[i] = activation(x.at[i], n.mean.at[i], n.scale.at[i], n.beta.at[i], 0) > 0 ? da.at[i] : 0.0f;
  return g;
}

// x's gradient from g: scale (g - centre - (x - mean) slope).
SEGNAS_DEVICE Quad raw_gradients(const Quad &x, const Quad &g, const QuadNorm &n, const QuadBend &b) {
  Quad dx;
#pragma unroll
  for (int i = 0; i < 4; i++) dx.at[i] = n.scale.at[i] * (g.at[i] - b.centre.at[i] - (x.at[i] - n.mean.at[i]) * b.slope.at[i]);
  return dx;
}
SEGNAS_DEVICE Quad gradients(const Quad &x, const Quad &da, const QuadNorm &n, const QuadBend &b, int32_t relu) {
  return raw_gradients(x, masked(x, da, n, relu), n, b);
}

// The same where the norm may quantise.
SEGNAS_DEVICE Quad activations(const Quad &x, const QuadNorm &n, const QuadRange &range, const Norm &norm) {
  Quad a = activations(x, n, norm.relu);
  if (norm.low) {
#pragma unroll
    for (int i = 0; i < 4; i++) a.at[i] = quantised(a.at[i], range.of(i));
  }
  return a;
}
// beyond: what an element adds to its clip's gradient.
SEGNAS_DEVICE Quad masked(const Quad &x, const Quad &da, const QuadNorm &n, const QuadRange &range, const Norm &norm, Quad &beyond) {
  Quad g = da;
  beyond = {};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float a = activation(x.at[i], n.mean.at[i], n.scale.at[i], n.beta.at[i], 0);
    if (norm.relu) g.at[i] = a > 0 ? g.at[i] : 0.0f;
    if (!norm.low) continue;
    g.at[i] = within(a, g.at[i], range.low.at[i], range.high.at[i]);
    beyond.at[i] = clip_term(a, da.at[i], range.low.at[i], range.high.at[i], norm.relu);
  }
  return g;
}
SEGNAS_DEVICE Quad gradients(const Quad &x, const Quad &da, const QuadNorm &n, const QuadBend &b, const QuadRange &range, const Norm &norm) {
  Quad beyond;
  return raw_gradients(x, masked(x, da, n, range, norm, beyond), n, b);
}

}  // namespace segnas::gpu
