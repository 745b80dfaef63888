// The weights of int8.inl.h's Form::kPairs, inside its namespace.
//
// A sum of two products of bytes fits 16 bits where those of the two weights that have the same sign add up to at most 32767 / most: to 128 beside bytes of 8 bits. What
// is more is taken from the larger one and comes back in a step of its own, of one vector of columns: the same four bytes of each row once more, against what was taken.
// Weights of 8 bits share a step's size in all of a layer, so that few are large: in networks as they are trained, one vector in twenty comes twice.
struct More {
  int32_t *first;  // [2 panels + 1] number of each vector's first; first[0] < 0: the layer has no pairs
  int32_t *at;     // where in a row they read
  int8_t *groups;  // [][kLanes][4]
};

// With more, sums of two would gain nothing over bytes widened to 16 bits.
static inline int pair_limit(const Int8Input &x) { return 32767 / x.most; }
static inline int64_t most_more(int64_t k, int64_t n, const Int8Input &x) { return 2 * x.most_weight > pair_limit(x) ? 2 * groups(k) * panels(n) / 5 : 0; }
static inline int64_t whole_lines(int64_t words) { return (words + 15) / 16 * 16; }
static inline int64_t more_bytes(int64_t k, int64_t n, const Int8Input &x) {
  return 4 * (whole_lines(2 * panels(n) + 1) + whole_lines(most_more(k, n, x)) + most_more(k, n, x) * kLanes);
}
static inline More more_at(void *to, int64_t k, int64_t n, const Int8Input &x) {
  int32_t *first = (int32_t *)to, *at = first + whole_lines(2 * panels(n) + 1);
  return {first, at, (int8_t *)(at + whole_lines(most_more(k, n, x)))};
}

// Cuts a pair of weights; whether there was something to take.
static inline bool cut(int8_t *pair, int limit, int8_t *taken) {
  const int sum = pair[0] + pair[1], excess = (sum < 0 ? -sum : sum) - limit;
  if (excess <= 0) return false;
  const int larger = (pair[0] < pair[1]) == (sum > 0), take = sum < 0 ? -excess : excess;
  pair[larger] = (int8_t)(pair[larger] - take);
  taken[larger] = (int8_t)take;
  return true;
}

// Cuts a vector's groups; adds a step to `more` where that took something. False where there is no room left.
static inline bool cut_vector(int8_t *groups, int limit, int64_t at, int32_t *count, int64_t most, const More &more) {
  int8_t taken[4 * kLanes] = {};
  bool any = false;
  for (int64_t i = 0; i < 4 * kLanes; i += 2) any |= cut(groups + i, limit, taken + i);
  if (!any) return true;
  if (*count == most) return false;
  more.at[*count] = (int32_t)at;
  __builtin_memcpy(more.groups + *count * 4 * kLanes, taken, sizeof taken);
  ++*count;
  return true;
}

// Cuts the panels' groups; false where too many had to be, which leaves them half cut.
static bool pack_pairs(int64_t k, int64_t n, const Int8Input &x, int8_t *panel, const More &more) {
  __builtin_memset(more.first, 0, (size_t)(4 * (2 * panels(n) + 1)));
  if (most_more(k, n, x) == 0) return true;  // nothing is too large
  int32_t count = 0;
  for (int64_t v = 0; v < 2 * panels(n); v++) {
    more.first[v] = count;
    for (int64_t step = 0; step < groups(k); step++)
      if (!cut_vector(panel + ((v / 2 * groups(k) + step) * 2 + v % 2) * 4 * kLanes, pair_limit(x), 4 * step, &count, most_more(k, n, x), more)) return false;
  }
  more.first[2 * panels(n)] = count;
  return true;
}
