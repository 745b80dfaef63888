package gobind

/*
#include "call.h"
*/
import "C"

// Resize is a method of resizing, with half-pixel centres.
type Resize int32

const (
	Bilinear Resize = iota
	Nearest
)

// BatchNormForward normalises x by its own statistics: y = (x-mean) invStd gamma + beta, clipped below at 0 with relu. It writes mean and
// invStd and moves runningMean and runningVar, which may both be left out, by the share update. y may be x.
func (s *Stream) BatchNormForward(x, gamma, beta Tensor, eps, update float32, relu bool, runningMean, runningVar, mean, invStd, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_batchnorm_forward(s.c, s.arg(0, &x), s.arg(1, &gamma), s.arg(2, &beta), C.float(eps), C.float(update),
		flag(relu), s.arg(3, &runningMean), s.arg(4, &runningVar), s.arg(5, &mean), s.arg(6, &invStd), s.arg(7, &y), s.errAt()))
}

// BatchNormInference normalises x by given statistics. y may be x.
func (s *Stream) BatchNormInference(x, gamma, beta, mean, variance Tensor, eps float32, relu bool, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_batchnorm_inference(s.c, s.arg(0, &x), s.arg(1, &gamma), s.arg(2, &beta), s.arg(3, &mean),
		s.arg(4, &variance), C.float(eps), flag(relu), s.arg(5, &y), s.errAt()))
}

// BatchNormBackward computes the gradients of BatchNormForward or, when frozen, of constant statistics. dx may be dy.
func (s *Stream) BatchNormBackward(x, dy, gamma, beta, mean, invStd Tensor, relu, frozen, accumulate bool, dgamma, dbeta, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_batchnorm_backward(s.c, s.arg(0, &x), s.arg(1, &dy), s.arg(2, &gamma), s.arg(3, &beta), s.arg(4, &mean), s.arg(5, &invStd),
		flag(relu), flag(frozen), flag(accumulate), s.arg(6, &dgamma), s.arg(7, &dbeta), s.arg(8, &dx), s.errAt()))
}

// ReLUForward computes y = max(x, 0); y may be x.
func (s *Stream) ReLUForward(x, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_relu_forward(s.c, s.arg(0, &x), s.arg(1, &y), s.errAt()))
}

// ReLUBackward computes dx = dy where y > 0, else 0; dx may be dy.
func (s *Stream) ReLUBackward(y, dy, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_relu_backward(s.c, s.arg(0, &y), s.arg(1, &dy), s.arg(2, &dx), s.errAt()))
}

// AddForward computes y = a + b, clipped below at 0 with relu; y may be a or b.
func (s *Stream) AddForward(a, b Tensor, relu bool, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_add_forward(s.c, s.arg(0, &a), s.arg(1, &b), flag(relu), s.arg(2, &y), s.errAt()))
}

// UpsampleForward resizes x [N,H,W,C] to the size of y.
func (s *Stream) UpsampleForward(x Tensor, mode Resize, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_upsample_forward(s.c, s.arg(0, &x), C.int32_t(mode), s.arg(1, &y), s.errAt()))
}

// UpsampleAddForward computes y = a + x resized to a's size; y may be a.
func (s *Stream) UpsampleAddForward(x, a Tensor, mode Resize, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_upsample_add_forward(s.c, s.arg(0, &x), s.arg(1, &a), C.int32_t(mode), s.arg(2, &y), s.errAt()))
}

// UpsampleBackward computes dx from dy.
func (s *Stream) UpsampleBackward(dy Tensor, mode Resize, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_upsample_backward(s.c, s.arg(0, &dy), C.int32_t(mode), s.arg(1, &dx), s.errAt()))
}

// AvgPoolForward averages x [N,H,W,C] over the bins of y [N,b,b',C], 1 <= b <= H, 1 <= b' <= W: bin i holds rows floor(i H/b) to ceil((i+1) H/b),
// the latter not included, and columns likewise (adaptive average pooling; Zhao et al. 2017, section 3.2).
func (s *Stream) AvgPoolForward(x, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_avg_pool_forward(s.c, s.arg(0, &x), s.arg(1, &y), s.errAt()))
}

// AvgPoolBackward computes dx from dy.
func (s *Stream) AvgPoolBackward(dy, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_avg_pool_backward(s.c, s.arg(0, &dy), s.arg(1, &dx), s.errAt()))
}
