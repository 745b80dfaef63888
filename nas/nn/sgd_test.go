package nn

import (
	"math"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// A loss times a power of two, divided away in the step, moves every weight to the same bits; gradients that overflowed move none.
func TestSGD_LossScaleIsDividedAwayAndOverflowsAreLeftOut(t *testing.T) {
	run := func(scale float32, optimiser SGD) (weights []float32, norm float64) {
		b := newBench(t, 7)
		logits := b.store.NewClassifier("logits", 3, 4)
		mustStore(t, b)
		pictures, target := b.random(t, 1, 6, 5, 3), Target{Labels: b.labels(t, 1, 6, 5, 4), Ignore: 255}
		for range 2 {
			b.tape.Reset()
			b.tape.CrossEntropy(logits.Forward(b.tape, b.tape.Input(pictures), Train), target, scale)
			if err := b.tape.Backward(); err != nil {
				t.Fatal(err)
			}
			var err error
			if norm, err = optimiser.Step(b.tape, 0.1); err != nil {
				t.Fatal(err)
			}
		}
		return append([]float32(nil), gobind.Host[float32](logits.Weight.Value)...), norm
	}
	plain := SGD{Momentum: 0.9, WeightDecay: 0.01, ClipNorm: 0.05}
	scaled := plain
	scaled.LossScale = 1024
	want, norm := run(1, plain)
	got, scaledNorm := run(1024, scaled)
	if norm != scaledNorm || norm <= plain.ClipNorm {
		t.Errorf("norms %g and %g; they should be the same, and clipped", norm, scaledNorm)
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("weight %d: %g with a loss scale, %g without", i, got[i], want[i])
		}
	}
	still := SGD{LossScale: 1024}
	first, _ := run(1024, SGD{LossScale: math.MaxFloat32})
	overflowed, norm := run(float32(math.Inf(1)), still)
	if !math.IsNaN(norm) && !math.IsInf(norm, 0) {
		t.Errorf("the norm of infinite gradients is %g", norm)
	}
	for i := range first {
		if math.Abs(float64(first[i]-overflowed[i])) > 1e-6 {
			t.Fatalf("weight %d went from %g to %g by a gradient that overflowed", i, first[i], overflowed[i])
		}
	}
}
