// Visits one to three f32 views of one shape together, as runs of consecutive floats. Pieces are ranges of elements in row-major order, so
// they depend on the shape alone; strides decide only how a piece falls into runs.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "view.h"

namespace segnas {

class Walk {
 public:
  static constexpr int kMostViews = 3;

  // views: checked, of equal shape.
  explicit Walk(std::initializer_list<const segnas_tensor *> views) {
    for (const segnas_tensor *t : views) base_[views_++] = f32(*t);
    const segnas_tensor &first = **views.begin();
    for (int axis = 0; axis < first.rank; axis++) {
      total_ *= first.shape[axis];
      if (first.shape[axis] == 1) continue;
      if (axes_ > 0 && joins(views, axis)) {
        shape_[axes_ - 1] *= first.shape[axis];
      } else {
        shape_[axes_++] = first.shape[axis];
      }
      int view = 0;
      for (const segnas_tensor *t : views) stride_[view++][axes_ - 1] = t->stride[axis];
    }
    take_run(views.size());
  }

  int64_t total() const { return total_; }
  // One run covers everything.
  bool contiguous() const { return axes_ == 0; }

  // body(n, pointers) for the runs of elements [begin, end), in order; pointers[i] belongs to view i.
  template <class Body>
  void runs(int64_t begin, int64_t end, Body &&body) const {
    while (begin < end) {
      int64_t row = begin / run_, inside = begin - row * run_;
      int64_t n = std::min(run_ - inside, end - begin);
      float *at[kMostViews] = {};
      for (int view = 0; view < views_; view++) at[view] = base_[view] + inside + offset(view, row);
      body(n, at);
      begin += n;
    }
  }

 private:
  // Whether the axis continues the last one kept in every view.
  bool joins(std::initializer_list<const segnas_tensor *> views, int axis) const {
    int view = 0;
    for (const segnas_tensor *t : views)
      if (stride_[view++][axes_ - 1] != t->shape[axis] * t->stride[axis]) return false;
    return true;
  }

  // The innermost axis is the run when it is dense in every view.
  void take_run(size_t views) {
    if (axes_ == 0) return;
    for (size_t view = 0; view < views; view++)
      if (stride_[view][axes_ - 1] != 1) return;
    run_ = shape_[--axes_];
  }

  int64_t offset(int view, int64_t row) const {
    int64_t sum = 0;
    for (int axis = axes_ - 1; axis >= 0; axis--) {
      sum += row % shape_[axis] * stride_[view][axis];
      row /= shape_[axis];
    }
    return sum;
  }

  int views_ = 0;
  float *base_[kMostViews] = {};
  int64_t total_ = 1, run_ = 1;
  int axes_ = 0;  // outside the run
  int64_t shape_[SEGNAS_MAX_RANK] = {};
  int64_t stride_[kMostViews][SEGNAS_MAX_RANK] = {};
};

}  // namespace segnas
