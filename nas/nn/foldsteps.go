package nn

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
)

// The FoldedSteps methods are Folded for weights of few bits: those of output channel o are whole multiples of steps[o], which is positive. They are the
// multiples that FakeQuantForward takes of the float weights, so that a layer in integers computes what training imitates; batch norm is folded
// into the step, and where it turns the sign, into the multiples.

// FoldedSteps returns weights [Cin][Cout], biases [Cout] and steps [Cout].
func (l *PWConvBN) FoldedSteps(s *gobind.Stream, w WeightBits) (weights, bias, steps []float32, err error) {
	return l.BN.foldSteps(s, l.Weight, w)
}

// FoldedSteps returns weights [Kernel*Kernel][C], biases [C] and steps [C].
func (l *DWConvBN) FoldedSteps(s *gobind.Stream, w WeightBits) (weights, bias, steps []float32, err error) {
	return l.BN.foldSteps(s, l.Weight, w)
}

// FoldedSteps returns weights [Cin][classes], biases [classes] and steps [classes], all alike.
func (l *Classifier) FoldedSteps(s *gobind.Stream, w WeightBits) (weights, bias, steps []float32, err error) {
	if bias, err = fetch(s, l.Bias.Value); err != nil {
		return nil, nil, nil, err
	}
	scale := make([]float64, len(bias))
	for c := range scale {
		scale[c] = 1
	}
	weights, steps, err = foldSteps(s, l.Weight, w, scale)
	return weights, bias, steps, err
}

func (b *BatchNorm) foldSteps(s *gobind.Stream, of *Param, w WeightBits) (weights, bias, steps []float32, err error) {
	scale, bias, err := b.affine(s)
	if err != nil {
		return nil, nil, nil, err
	}
	weights, steps, err = foldSteps(s, of, w, scale)
	return weights, bias, steps, err
}

// leastStep is the smallest normal float32. A channel of smaller steps, or of none, is one of zeros.
const leastStep = 0x1p-126

// foldSteps multiplies the step of a quantised weight with the scale of each output channel.
func foldSteps(s *gobind.Stream, of *Param, w WeightBits, scale []float64) (weights, steps []float32, err error) {
	levels, err := w.Quantiser.levels(s, w.Bits)
	if err != nil {
		return nil, nil, err
	}
	if weights, err = fetch(s, of.Value); err != nil {
		return nil, nil, err
	}
	steps = make([]float32, len(scale))
	for c, by := range scale {
		sign := float32(math.Copysign(1, by))
		if steps[c] = float32(math.Abs(by) * float64(levels.step)); steps[c] < leastStep {
			steps[c], sign = 1, 0
		}
		for i := c; i < len(weights); i += len(scale) {
			weights[i] = sign * levels.of(weights[i]) * steps[c]
		}
	}
	return weights, steps, nil
}

// Step returns the distance of neighbours among the quantiser's values of so many bits.
func (q *Quantiser) Step(s *gobind.Stream, bits int) (float32, error) {
	l, err := q.levels(s, bits)
	return l.step, err
}

// levels is a quantiser with its clip at hand: as range_of of csrc/core/quantiser.h, in float32 like there.
type levels struct{ low, high, inverse, step float32 }

// leastClip is what smaller clips count as.
const leastClip = 0x1p-20

func (q *Quantiser) levels(s *gobind.Stream, bits int) (l levels, err error) {
	p := q.Clip(bits)
	if p == nil {
		return l, fmt.Errorf("%d bits are wanted of %s, which has no clip for them", bits, q.Name)
	}
	clip, err := fetch(s, p.Value)
	if err != nil {
		return l, err
	}
	largest := float32(int(1)<<bits - 1)
	if q.Signed {
		largest = float32(int(1)<<(bits-1) - 1)
	}
	l.high = leastClip
	if clip[0] >= leastClip {
		l.high = clip[0]
	}
	if q.Signed {
		l.low = -l.high
	}
	l.inverse, l.step = largest/l.high, l.high/largest
	return l, nil
}

// of returns how many steps a value is.
func (l levels) of(v float32) float32 {
	return float32(math.RoundToEven(float64(min(max(v, l.low), l.high) * l.inverse)))
}
