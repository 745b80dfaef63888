package gobind

/*
#include "call.h"
*/
import "C"

// Conv3x3Forward computes the dense 3x3 convolution y of x [N,H,W,Cin], Cin <= 16, with w [9*Cin,Cout].
func (s *Stream) Conv3x3Forward(x, w Tensor, stride int, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_conv3x3_forward(s.c, s.arg(0, &x), s.arg(1, &w), C.int32_t(stride), s.arg(2, &y), s.errAt()))
}

// Conv3x3BackwardInput computes dx from dy.
func (s *Stream) Conv3x3BackwardInput(dy, w Tensor, stride int, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_conv3x3_backward_input(s.c, s.arg(0, &dy), s.arg(1, &w), C.int32_t(stride), s.arg(2, &dx), s.errAt()))
}

// Conv3x3BackwardWeight computes dw from x and dy.
func (s *Stream) Conv3x3BackwardWeight(x, dy Tensor, stride int, accumulate bool, dw Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_conv3x3_backward_weight(s.c, s.arg(0, &x), s.arg(1, &dy),
		C.int32_t(stride), flag(accumulate), s.arg(2, &dw), s.errAt()))
}

// DWConvForward computes the depthwise convolution y of x [N,H,W,C] with w [k*k,C], k in {3,5,7}.
func (s *Stream) DWConvForward(x, w Tensor, stride int, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_dwconv_forward(s.c, s.arg(0, &x), s.arg(1, &w), C.int32_t(stride), s.arg(2, &y), s.errAt()))
}

// DWConvBackwardInput computes dx from dy.
func (s *Stream) DWConvBackwardInput(dy, w Tensor, stride int, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_dwconv_backward_input(s.c, s.arg(0, &dy), s.arg(1, &w), C.int32_t(stride), s.arg(2, &dx), s.errAt()))
}

// DWConvBackwardWeight computes dw from x and dy.
func (s *Stream) DWConvBackwardWeight(x, dy Tensor, stride int, accumulate bool, dw Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_dwconv_backward_weight(s.c, s.arg(0, &x), s.arg(1, &dy),
		C.int32_t(stride), flag(accumulate), s.arg(2, &dw), s.errAt()))
}

// PWConvForward computes y = x w + bias for x [N,H,W,Cin] or [P,Cin] and w [Cin,Cout]; bias [Cout] may be left out.
func (s *Stream) PWConvForward(x, w, bias, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_forward(s.c, s.arg(0, &x), s.arg(1, &w), s.arg(2, &bias), s.arg(3, &y), s.errAt()))
}

// PWConvBackwardInput computes dx from dy.
func (s *Stream) PWConvBackwardInput(dy, w, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_backward_input(s.c, s.arg(0, &dy), s.arg(1, &w), s.arg(2, &dx), s.errAt()))
}

// PWConvBackwardWeight computes dw from x and dy.
func (s *Stream) PWConvBackwardWeight(x, dy Tensor, accumulate bool, dw Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_backward_weight(s.c, s.arg(0, &x), s.arg(1, &dy), flag(accumulate), s.arg(2, &dw), s.errAt()))
}

// PWConvBackwardBias computes db, the sum of dy over the pixels.
func (s *Stream) PWConvBackwardBias(dy Tensor, accumulate bool, db Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_backward_bias(s.c, s.arg(0, &dy), flag(accumulate), s.arg(1, &db), s.errAt()))
}

// KTransformForward makes the small depthwise kernels wSmall [ks*ks,C] from the centre of wLarge [kl*kl,C] and t [ks*ks,ks*ks], (kl,ks) in {(5,3),(7,5)}
// (Cai et al. 2020, section 3.3).
func (s *Stream) KTransformForward(wLarge, t, wSmall Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_ktransform_forward(s.c, s.arg(0, &wLarge), s.arg(1, &t), s.arg(2, &wSmall), s.errAt()))
}

// KTransformBackward adds the gradients to dwLarge, whose outer ring is left alone, and to dt.
func (s *Stream) KTransformBackward(wLarge, t, dwSmall, dwLarge, dt Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_ktransform_backward(s.c, s.arg(0, &wLarge), s.arg(1, &t),
		s.arg(2, &dwSmall), s.arg(3, &dwLarge), s.arg(4, &dt), s.errAt()))
}
