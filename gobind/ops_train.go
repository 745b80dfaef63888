package gobind

/*
#include "call.h"
*/
import "C"

// A convolution that batch norm follows leaves its raw result x and a norm, an F32 tensor [NormRows,C], from which readers of x compute
// the activation, and the gradient of x from the activation's, on the way. segnas.h gives the formulas. With QuantisedNormRows the activation is quantised.

// NormRows is the first size of a norm: mean, scale, beta, inverse deviation, and centre and slope of the gradient.
const NormRows = 6

// NormFromMoments makes a norm from moments F64 [2,C], mean and variance over so many pixels. runningMean and runningVar, which may both be
// left out, move by the share update.
func (s *Stream) NormFromMoments(moments Tensor, pixels int, gamma, beta Tensor, eps, update float32, runningMean, runningVar, norm Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_from_moments(s.c, s.arg(0, &moments), C.int64_t(pixels), s.arg(1, &gamma), s.arg(2, &beta), C.float(eps),
		C.float(update), s.arg(3, &runningMean), s.arg(4, &runningVar), s.arg(5, &norm), s.errAt()))
}

// NormFromStatistics makes a norm from given statistics.
func (s *Stream) NormFromStatistics(mean, variance, gamma, beta Tensor, eps float32, norm Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_from_statistics(s.c, s.arg(0, &mean), s.arg(1, &variance), s.arg(2, &gamma), s.arg(3, &beta), C.float(eps),
		s.arg(4, &norm), s.errAt()))
}

// NormForward computes the activation y of x; y may be x.
func (s *Stream) NormForward(x, norm Tensor, relu bool, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_forward(s.c, s.arg(0, &x), s.arg(1, &norm), flag(relu), s.arg(2, &y), s.errAt()))
}

// NormSums computes sums F64 [2,C], what NormBackward wants of the activation's gradient da.
func (s *Stream) NormSums(x, norm Tensor, relu bool, da, sums Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_sums(s.c, s.arg(0, &x), s.arg(1, &norm), flag(relu), s.arg(2, &da), s.arg(3, &sums), s.errAt()))
}

// NormBackward computes dgamma and dbeta from sums over so many pixels, and completes norm for readers of x's gradient.
func (s *Stream) NormBackward(sums Tensor, pixels int, frozen, accumulate bool, norm, dgamma, dbeta Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_backward(s.c, s.arg(0, &sums), C.int64_t(pixels), flag(frozen), flag(accumulate), s.arg(1, &norm),
		s.arg(2, &dgamma), s.arg(3, &dbeta), s.errAt()))
}

// NormGradient computes the gradient dx of x from the activation's; dx may be da.
func (s *Stream) NormGradient(x, norm Tensor, relu bool, da, dx Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_gradient(s.c, s.arg(0, &x), s.arg(1, &norm), flag(relu), s.arg(2, &da), s.arg(3, &dx), s.errAt()))
}

// Conv3x3NormForward is Conv3x3Forward that also takes the moments F64 [2,Cout] of y.
func (s *Stream) Conv3x3NormForward(x, w Tensor, stride int, y, moments Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_conv3x3_norm_forward(s.c, s.arg(0, &x), s.arg(1, &w), C.int32_t(stride), s.arg(2, &y), s.arg(3, &moments), s.errAt()))
}

// Conv3x3NormBackwardWeight computes dw from da, the gradient of y's activation.
func (s *Stream) Conv3x3NormBackwardWeight(x Tensor, stride int, y, yNorm Tensor, yReLU bool, da Tensor, accumulate bool, dw Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_conv3x3_norm_backward_weight(s.c, s.arg(0, &x), C.int32_t(stride), s.arg(1, &y), s.arg(2, &yNorm), flag(yReLU),
		s.arg(3, &da), flag(accumulate), s.arg(4, &dw), s.errAt()))
}

// DWConvNormForward computes the depthwise convolution y of the activation of x, of x itself without xNorm, and the moments of y unless left out.
func (s *Stream) DWConvNormForward(x, xNorm Tensor, xReLU bool, w Tensor, stride int, y, moments Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_dwconv_norm_forward(s.c, s.arg(0, &x), s.arg(1, &xNorm), flag(xReLU), s.arg(2, &w), C.int32_t(stride),
		s.arg(3, &y), s.arg(4, &moments), s.errAt()))
}

// DWConvNormBackward computes dw and, unless left out, the gradient dx of x's activation with its sums, from da, the gradient of y's activation.
func (s *Stream) DWConvNormBackward(x, xNorm Tensor, xReLU bool, w Tensor, stride int, y, yNorm Tensor, yReLU bool, da Tensor, accumulate bool,
	dw, dx, sums Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_dwconv_norm_backward(s.c, s.arg(0, &x), s.arg(1, &xNorm), flag(xReLU), s.arg(2, &w), C.int32_t(stride), s.arg(3, &y),
		s.arg(4, &yNorm), flag(yReLU), s.arg(5, &da), flag(accumulate), s.arg(6, &dw), s.arg(7, &dx), s.arg(8, &sums), s.errAt()))
}

// PWConvNormForward computes y = a w + bias, a the activation of x, or x itself without xNorm, and the moments of y. bias and moments may be
// left out.
func (s *Stream) PWConvNormForward(x, xNorm Tensor, xReLU bool, w, bias, y, moments Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_norm_forward(s.c, s.arg(0, &x), s.arg(1, &xNorm), flag(xReLU), s.arg(2, &w), s.arg(3, &bias), s.arg(4, &y),
		s.arg(5, &moments), s.errAt()))
}

// PWConvNormBackward computes dw and, unless left out, the gradient dx of x's activation with its sums, from da, the gradient of y's activation;
// with y and yNorm left out, da is y's own.
func (s *Stream) PWConvNormBackward(x, xNorm Tensor, xReLU bool, w, y, yNorm Tensor, yReLU bool, da Tensor, accumulate bool,
	dw, dx, sums Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_pwconv_norm_backward(s.c, s.arg(0, &x), s.arg(1, &xNorm), flag(xReLU), s.arg(2, &w), s.arg(3, &y), s.arg(4, &yNorm),
		flag(yReLU), s.arg(5, &da), flag(accumulate), s.arg(6, &dw), s.arg(7, &dx), s.arg(8, &sums), s.errAt()))
}
