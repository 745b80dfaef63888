package nn

import (
	"math"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// quantised is what a tensor becomes at a clip, in double.
func quantised(values []float32, signed bool, bits int, clip float64) []float32 {
	levels, least := math.Ldexp(1, bits)-1, 0.0
	if signed {
		levels, least = math.Ldexp(1, bits-1)-1, -clip
	}
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(math.RoundToEven(min(max(float64(v), least), clip)*levels/clip) * clip / levels)
	}
	return out
}

func (b *bench) quantiser(t *testing.T, name string, signed bool, clip float32) *Quantiser {
	t.Helper()
	q := b.store.NewQuantiser(name, signed, []uint8{4, 8})
	for _, bits := range []int{4, 8} {
		gobind.Host[float32](q.Clip(bits).Value)[0] = clip
	}
	return q
}

// near fails unless two arrays agree to float32's rounding.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); d > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Fatalf("%s[%d] = %g, want %g", what, i, got[i], want[i])
		}
	}
}

// pass runs a layer forward and backward from r and returns the activation and the gradient of the input.
func (b *bench) pass(t *testing.T, x, r gobind.Tensor, layer func(t *Tape, x Value) Value) (y, dx []float32) {
	t.Helper()
	b.tape.Reset()
	in := b.tape.asInput(x)
	out := layer(b.tape, in)
	y = append(y, gobind.Host[float32](b.tape.Activation(out))...)
	b.tape.seed(out, r)
	if err := b.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	dx = append(dx, gobind.Host[float32](b.tape.values[in.index].grad)...)
	return y, dx
}

func gradOf(p *Param) []float32 { return append([]float32(nil), gobind.Host[float32](p.Grad)...) }

// A layer with quantised weights is the float layer of the rounded weights; its weights' gradient is that layer's inside the clip and zero outside, and
// the clip's is the rest, by sign.
func TestQuantised_IsTheFloatLayerOfRoundedWeights(t *testing.T) {
	const clip = 0.4
	for _, bits := range []int{4, 8} {
		b := newBench(t, 11)
		q := b.quantiser(t, "w", true, clip)
		pw, dw := b.store.NewPWConvBN("pw", 6, 10, true), b.store.NewDWConvBN("dw", 6, 3, 3, 1)
		logits := b.store.NewClassifier("logits", 6, 10)
		if err := b.store.Finish(); err != nil {
			t.Fatal(err)
		}
		x := b.random(t, 2, 5, 4, 6)
		for _, layer := range []struct {
			weight   *Param
			channels int
			forward  func(bits WeightBits) func(*Tape, Value) Value
		}{
			{pw.Weight, 10, func(w WeightBits) func(*Tape, Value) Value {
				return func(t *Tape, x Value) Value { return pw.Quantised(t, x, 10, w, Train) }
			}},
			{dw.Weight, 6, func(w WeightBits) func(*Tape, Value) Value {
				return func(t *Tape, x Value) Value { return dw.Quantised(t, x, 3, w, Train) }
			}},
			{logits.Weight, 10, func(w WeightBits) func(*Tape, Value) Value {
				return func(t *Tape, x Value) Value { return logits.Quantised(t, x, w, Train) }
			}},
		} {
			r := b.random(t, 2, 5, 4, layer.channels)
			y, dx := b.pass(t, x, r, layer.forward(WeightBits{q, bits}))
			dweight, dclip := gradOf(layer.weight), gradOf(q.Clip(bits))[0]
			b.tape.DiscardGradients()

			weights := gobind.Host[float32](layer.weight.Value)
			float := append([]float32(nil), weights...)
			copy(weights, quantised(float, true, bits, clip))
			wantY, wantDX := b.pass(t, x, r, layer.forward(WeightBits{}))
			want, wantClip := gradOf(layer.weight), 0.0
			b.tape.DiscardGradients()
			copy(weights, float)
			for i, w := range float {
				if math.Abs(float64(w)) >= clip {
					wantClip += math.Copysign(float64(want[i]), float64(want[i])*float64(w))
					want[i] = 0
				}
			}
			near(t, "y", y, wantY)
			near(t, "dx", dx, wantDX)
			near(t, "dw", dweight, want)
			near(t, "dclip", []float32{dclip}, []float32{float32(wantClip / math.Sqrt(float64(len(want))))})
		}
	}
}

// The gradient of quantised weights passes through the transform of an elastic kernel, and is added up over the passes of a step.
func TestQuantised_GradientOfTransformedKernelsAddsUp(t *testing.T) {
	b := newBench(t, 12)
	q := b.quantiser(t, "w", true, 100) // no weight is clipped, and at 8 bits of 100 the rounding is coarse
	l := b.store.NewDWConvBN("dw", 6, 5, 3, 1)
	if err := b.store.Finish(); err != nil {
		t.Fatal(err)
	}
	x, r := b.random(t, 1, 6, 5, 6), b.random(t, 1, 6, 5, 6)
	once := func() []float32 {
		b.pass(t, x, r, func(t *Tape, x Value) Value { return l.Quantised(t, x, 3, WeightBits{q, 8}, TrainFrozen) })
		return append(gradOf(l.Weight), gradOf(l.Transforms[0])...)
	}
	single := once()
	double := once()
	b.tape.DiscardGradients()
	nonzero := 0
	for i := range single {
		if math.Abs(float64(double[i]-2*single[i])) > 1e-4*(1+math.Abs(float64(single[i]))) {
			t.Fatalf("gradient %d is %g after two passes, %g after one", i, double[i], single[i])
		}
		if single[i] != 0 {
			nonzero++
		}
	}
	if nonzero < 9*6+81/2 {
		t.Errorf("%d gradients differ from zero, the middle taps and the transform have %d", nonzero, 9*6+81)
	}
}

// A fake-quantised activation is rounded, and its gradient is that of the identity inside the clip.
func TestFakeQuant_PassesGradientsInsideTheClip(t *testing.T) {
	for _, signed := range []bool{false, true} {
		b := newBench(t, 13)
		q := b.quantiser(t, "a", signed, 1.1)
		x, r := b.random(t, 2, 4, 3, 5), b.random(t, 2, 4, 3, 5)
		y, dx := b.pass(t, x, r, func(t *Tape, x Value) Value { return t.FakeQuant(x, q, 4, Train) })
		values := gobind.Host[float32](x)
		near(t, "y", y, quantised(values, signed, 4, 1.1))
		want, wantClip := append([]float32(nil), gobind.Host[float32](r)...), float32(0)
		for i, v := range values {
			switch {
			case v >= 1.1:
				wantClip, want[i] = wantClip+want[i], 0
			case signed && v <= -1.1:
				wantClip, want[i] = wantClip-want[i], 0
			case !signed && v <= 0:
				want[i] = 0
			}
		}
		near(t, "dx", dx, want)
		near(t, "dclip", gradOf(q.Clip(4)), []float32{wantClip / float32(math.Sqrt(4*3*5))})
		b.tape.DiscardGradients()
	}
}

// Learned steps add what the rounding inside the clip does.
func TestSetClipGradient_StepsLearnInsideTheClip(t *testing.T) {
	b := newBench(t, 16)
	q := b.quantiser(t, "a", true, 1.1)
	x, r := b.random(t, 2, 4, 3, 5), b.random(t, 2, 4, 3, 5)
	of := func(g gobind.ClipGradient) float64 {
		b.tape.SetClipGradient(g)
		b.pass(t, x, r, func(t *Tape, x Value) Value { return t.FakeQuant(x, q, 4, Train) })
		defer b.tape.DiscardGradients()
		return float64(gradOf(q.Clip(4))[0])
	}
	inside := 0.0
	for i, v := range gobind.Host[float32](x) {
		if level := float64(v) * 7 / 1.1; math.Abs(level) < 7 {
			inside += float64(gobind.Host[float32](r)[i]) * (math.RoundToEven(level) - level) / 7
		}
	}
	if got, want := of(gobind.ClipStep)-of(gobind.ClipPACT), inside/math.Sqrt(4*3*5); math.Abs(got-want) > 1e-5 {
		t.Errorf("steps add %g to the clip's gradient, want %g", got, want)
	}
}

// Fitted clips make a smaller error than the largest magnitude as the clip does, and one that grows as bits go.
func TestFit_ClipsOfLeastError(t *testing.T) {
	b := newBench(t, 14)
	q := b.store.NewQuantiser("a", true, []uint8{4, 6, 8})
	x := b.random(t, 5000)
	values := gobind.Host[float32](x)
	if err := q.Fit(b.tape.Stream(), values, 0); err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for _, v := range values {
		largest = max(largest, math.Abs(float64(v)))
	}
	failure := func(bits int, clip float64) (sum float64) {
		for i, v := range quantised(values, true, bits, clip) {
			sum += math.Pow(float64(v-values[i]), 2)
		}
		return sum
	}
	last := 0.0
	for _, bits := range []int{8, 6, 4} {
		clip := float64(gobind.Host[float32](q.Clip(bits).Value)[0])
		e := failure(bits, clip)
		if e > failure(bits, largest) || e > 1.02*failure(bits, 0.9*clip) || e > 1.02*failure(bits, 1.1*clip) {
			t.Errorf("%d bits: clip %g has squared error %g; %g at the largest magnitude %g, %g and %g a tenth beside it",
				bits, clip, e, failure(bits, largest), largest, failure(bits, 0.9*clip), failure(bits, 1.1*clip))
		}
		if e <= last {
			t.Errorf("squared error %g with %d bits, %g with more", e, bits, last)
		}
		last = e
	}
}

// Calibrating sets all clips to the mean over the batches, and leaves batch norms alone.
func TestCalibrate_TakesTheMeanOverBatches(t *testing.T) {
	b := newBench(t, 15)
	conv := b.store.NewPWConvBN("conv", 4, 4, true)
	q := b.store.NewQuantiser("a", false, []uint8{4, 8})
	if err := b.store.Finish(); err != nil {
		t.Fatal(err)
	}
	first, second := b.random(t, 2, 6, 5, 4), b.random(t, 2, 6, 5, 4)
	clips := func(mode Mode, x gobind.Tensor) [2]float64 {
		b.tape.Reset()
		b.tape.FakeQuant(conv.Forward(b.tape, b.tape.Input(x), 4, mode), q, 4, mode)
		if b.tape.Err() != nil {
			t.Fatal(b.tape.Err())
		}
		return [2]float64{float64(gobind.Host[float32](q.Clip(4).Value)[0]), float64(gobind.Host[float32](q.Clip(8).Value)[0])}
	}
	of1, of2 := clips(Calibrate(0), first), clips(Calibrate(0), second)
	clips(Calibrate(0), first)
	both := clips(Calibrate(1), second)
	for i := range both {
		if want := (of1[i] + of2[i]) / 2; math.Abs(both[i]-want) > 1e-6*want || of1[i] <= 0 || of1[i] == of2[i] {
			t.Errorf("clips %v and %v by themselves, %v over both", of1, of2, both)
		}
	}
	for _, v := range gobind.Host[float32](conv.BN.Mean) {
		if v != 0 {
			t.Errorf("a running mean is %g", v)
		}
	}
}
