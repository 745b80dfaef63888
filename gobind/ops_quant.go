package gobind

/*
#include "call.h"
*/
import "C"

import "unsafe"

// ClipGradient says what the gradient of a quantiser's clip is made of.
type ClipGradient int32

const (
	// ClipPACT sums dy where x is beyond the clip, times its sign (Choi et al. 2018, equation 3).
	ClipPACT ClipGradient = iota
	// ClipStep sums inside the clip, too, dy times the rounding's error as a share of the largest level: learned step sizes (Esser et al. 2020, equation
	// 3, of a clip that is the largest level times the step).
	ClipStep
)

// Quantiser describes fake quantisation, float32 values rounded to the levels of an integer: with a clip a and L = 2^Bits - 1 (2^(Bits-1) - 1 when
// Signed), round(clip(x) L/a) a/L, where clip cuts at 0 and a, or at -a and a when Signed.
type Quantiser struct {
	Bits     int  // 2 to 8
	Signed   bool // weights and sums of activations; else what comes after ReLU
	Gradient ClipGradient
	Scale    float32 // the clip's gradient is multiplied by it: 1, or with learned steps 1/sqrt(elements L); forward alone needs none
}

// FakeQuantForward computes y, what is left of x after quantisation. clip is of the whole tensor, [1], or of each channel, [C]; values below 2^-20
// count as 2^-20. x is an activation or a weight [rows,C]; y may be x.
func (s *Stream) FakeQuantForward(q Quantiser, x, clip, y Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_fakequant_forward(s.c, s.quantiser(q), s.arg(0, &x), s.arg(1, &clip), s.arg(2, &y), s.errAt()))
}

// FakeQuantBackward computes dx, which is dy inside the clip and 0 at it and beyond, and the clip's gradient; dx may be dy.
func (s *Stream) FakeQuantBackward(q Quantiser, x, clip, dy Tensor, accumulate bool, dx, dclip Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_fakequant_backward(s.c, s.quantiser(q), s.arg(0, &x), s.arg(1, &clip), s.arg(2, &dy), flag(accumulate), s.arg(3, &dx),
		s.arg(4, &dclip), s.errAt()))
}

// QuantisedNormRows is the first size of a norm whose readers quantise the activation, too: NormRows, and the range that NormQuantise writes. Its sums
// are F64 [3,C].
const QuantisedNormRows = 10

// NormQuantise makes readers of norm [QuantisedNormRows,C] quantise the activation, with a clip [1] or [C].
func (s *Stream) NormQuantise(q Quantiser, clip, norm Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_quantise(s.c, s.quantiser(q), s.arg(0, &clip), s.arg(1, &norm), s.errAt()))
}

// NormQuantiseBackward computes the clip's gradient, [1] or [C], from the third row of the norm's sums. The gradient is ClipPACT.
func (s *Stream) NormQuantiseBackward(q Quantiser, sums Tensor, accumulate bool, dclip Tensor) error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_norm_quantise_backward(s.c, s.quantiser(q), s.arg(0, &sums), flag(accumulate), s.arg(1, &dclip), s.errAt()))
}

// quantiser writes q as the call's and returns its address.
func (s *Stream) quantiser(q Quantiser) *C.segnas_quantiser {
	c := &s.call.quantiser
	c.size = C.uint32_t(unsafe.Sizeof(*c))
	c.bits = C.int32_t(q.Bits)
	c.is_signed = flag(q.Signed)
	c.gradient = C.int32_t(q.Gradient)
	c.scale = C.float(q.Scale)
	return c
}
