package nn

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
)

// SGD is stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form).
type SGD struct {
	Momentum    float32
	WeightDecay float32 // of parameters with Decay
	Nesterov    bool
	ClipNorm    float64 // largest Euclidean norm of the whole gradient, which is scaled down to it; 0: no limit
	// LossScale is what the losses were multiplied with, so that small gradients do not vanish in half precision; 0: 1. The parameters' gradients
	// are divided by it here. With one, gradients that have overflowed are no error: the step is left out.
	LossScale float64
}

// Step moves every parameter that has a gradient, or the view of it that has one, and forgets the gradients. What the passes since the
// last step did not use keeps its value and its momentum. It returns the gradient's norm before clipping, 0 where nothing needs it.
// A norm that is not finite leaves everything as it was and is returned, with an error where there is no loss scale.
func (o SGD) Step(t *Tape, learningRate float32) (norm float64, err error) {
	defer t.DiscardGradients()
	if t.err != nil {
		return 0, t.err
	}
	t.where = "optimiser"
	clip, scale := 1.0, max(o.LossScale, 1)
	if o.ClipNorm > 0 || scale > 1 {
		norm = t.gradientNorm() / scale
		if t.err != nil {
			return 0, t.err
		}
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			if scale > 1 {
				return norm, nil
			}
			return norm, fmt.Errorf("the gradient's norm is %g: training has diverged", norm)
		}
		if o.ClipNorm > 0 && norm > o.ClipNorm {
			clip = o.ClipNorm / norm
		}
	}
	for _, p := range t.touched {
		decay := float32(0)
		if p.Decay {
			decay = o.WeightDecay
		}
		t.count(opSGD, t.clock(), t.stream.SGD(p.used, p.like(p.Momentum, p.used), p.like(p.Grad, p.used), learningRate, o.Momentum, decay, float32(clip/scale),
			o.Nesterov))
	}
	return norm, t.err
}

// gradientNorm is the Euclidean norm over all views with a gradient.
func (t *Tape) gradientNorm() float64 {
	sum := t.losses.squares()
	for i, p := range t.touched {
		t.count(opSumSquares, t.clock(), t.stream.SumSquares(p.like(p.Grad, p.used), i > 0, sum))
	}
	if len(t.touched) == 0 || t.err != nil {
		return 0
	}
	t.fail(gobind.Download(t.stream, t.losses.read[:1], sum))
	return math.Sqrt(t.losses.read[0])
}
