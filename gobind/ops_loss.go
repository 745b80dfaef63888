package gobind

/*
#include "call.h"
*/
import "C"

// CrossEntropy computes the mean weighted cross-entropy of logits [N,h,w,K], upsampled bilinearly to the size of labels [N,H,W] (U8), over the
// pixels whose label is not ignore. result (F64 [2]) receives the loss and the sum of the pixels' weights; dlogits, which may be left out,
// scale times the gradient. classWeights [K] may be left out.
func (s *Stream) CrossEntropy(logits, labels Tensor, ignore int, classWeights Tensor, scale float32, result, dlogits Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_cross_entropy(s.c, s.arg(0, &logits), s.arg(1, &labels), C.int32_t(ignore),
		s.arg(2, &classWeights), C.float(scale), s.arg(3, &result), s.arg(4, &dlogits), s.errAt()))
}

// Distillation computes the mean cross-entropy of softmax(logits) against softmax(teacher), both F32 [N,h,w,K], over the N h w positions (in place
// distillation: Yu & Huang 2019, section 3.3). result (F64 [2]) receives the loss and the number of positions; dlogits, which may be left out, scale
// times the gradient.
func (s *Stream) Distillation(logits, teacher Tensor, scale float32, result, dlogits Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_distillation(s.c, s.arg(0, &logits), s.arg(1, &teacher), C.float(scale), s.arg(2, &result), s.arg(3, &dlogits), s.errAt()))
}

// HardPixels writes to hard (U8 [N,H,W]) the labels of the pixels whose loss, as in CrossEntropy, is at least the smaller of loss and the least-th largest
// of all labelled pixels' losses, and ignore elsewhere; hard may be labels (online hard example mining: Shrivastava et al. 2016; Wu et al. 2016,
// section 2.2). With fewer than least labelled pixels all are hard; pixels tied at the bound all are, and so are losses that are NaN.
func (s *Stream) HardPixels(logits, labels Tensor, ignore int, loss float32, least int, hard Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_hard_pixels(s.c, s.arg(0, &logits), s.arg(1, &labels), C.int32_t(ignore), C.float(loss), C.int64_t(least),
		s.arg(2, &hard), s.errAt()))
}

// Argmax writes the best class of the upsampled logits [N,h,w,K] to labels [N,H,W] (U8), the least among equals.
func (s *Stream) Argmax(logits, labels Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_argmax(s.c, s.arg(0, &logits), s.arg(1, &labels), s.errAt()))
}

// Confusion adds 1 to counts (I64 [K,K]) at [truth, predicted] for every pixel whose truth is not ignore.
func (s *Stream) Confusion(truth, predicted Tensor, ignore int, counts Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_confusion(s.c, s.arg(0, &truth), s.arg(1, &predicted), C.int32_t(ignore), s.arg(2, &counts), s.errAt()))
}

// SumSquares writes the sum of squares of x, or adds it, to result (F64 [1]).
func (s *Stream) SumSquares(x Tensor, accumulate bool, result Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_sum_squares(s.c, s.arg(0, &x), flag(accumulate), s.arg(1, &result), s.errAt()))
}

// SGD steps w by stochastic gradient descent with momentum: g' = g clip + decay w; m = momentum m + g'; w -= lr (nesterov ?
// g' + momentum m : m).
func (s *Stream) SGD(w, m, g Tensor, lr, momentum, decay, clip float32, nesterov bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_sgd(s.c, s.arg(0, &w), s.arg(1, &m), s.arg(2, &g), C.float(lr),
		C.float(momentum), C.float(decay), C.float(clip), flag(nesterov), s.errAt()))
}

// Fill sets x to value.
func (s *Stream) Fill(x Tensor, value float32) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_fill(s.c, s.arg(0, &x), C.float(value), s.errAt()))
}

// Copy copies x to y, of the same shape and any strides.
func (s *Stream) Copy(x, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_copy(s.c, s.arg(0, &x), s.arg(1, &y), s.errAt()))
}

// Axpy computes y += alpha x.
func (s *Stream) Axpy(alpha float32, x, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_axpy(s.c, C.float(alpha), s.arg(0, &x), s.arg(1, &y), s.errAt()))
}
