// What tiles of products leave where their columns do not fill the vectors: the first cols columns of [rows][vectors] whole ones. The last columns are stored
// with some before them once more, since AVX2's masked stores take 12 cycles on AMD's processors up to Zen 3.
[[gnu::noinline]] static void store_rows(const float *from, int rows, int vectors, int cols, float *c, int64_t ldc) {
  for (int r = 0; r < rows; r++, from += vectors * kLanes, c += ldc) {
    if (cols < kLanes) {
      store_first(c, load(from), cols);
      continue;
    }
    for (int i = 0; i + kLanes <= cols; i += kLanes) store(c + i, load(from + i));
    store(c + cols - kLanes, load(from + cols - kLanes));
  }
}
