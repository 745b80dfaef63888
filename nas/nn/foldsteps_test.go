package nn

import (
	"math"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// Without batch norm the folded weights are the bits that training multiplies with, at every width and clip.
func TestFoldedSteps_AreTheRoundedWeights(t *testing.T) {
	b := newBench(t, 12)
	all := []uint8{2, 3, 4, 5, 6, 7, 8}
	q := b.store.NewQuantiser("w", true, all)
	l := b.store.NewClassifier("logits", 6, 10)
	if err := b.store.Finish(); err != nil {
		t.Fatal(err)
	}
	rounded, err := b.ctx.NewTensor(gobind.F32, 6, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer rounded.Buffer.Close()
	stream := b.tape.Stream()
	for _, clip := range []float32{0.3, 1.7, 1e-5, 0x1p-21, 0, -1, float32(math.NaN()), 1e6} {
		for _, bits := range all {
			gobind.Host[float32](q.Clip(int(bits)).Value)[0] = clip
			if err := stream.FakeQuantForward(gobind.Quantiser{Bits: int(bits), Signed: true, Scale: 1}, l.Weight.Value, q.Clip(int(bits)).Value, rounded); err != nil {
				t.Fatal(err)
			}
			weights, _, steps, err := l.FoldedSteps(stream, WeightBits{q, int(bits)})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range gobind.Host[float32](rounded) {
				if weights[i] != want || !(steps[i%10] > 0) {
					t.Fatalf("clip %g, %d bits: weight %d is %g with a step of %g, training has %g", clip, bits, i, weights[i], steps[i%10], want)
				}
			}
		}
	}
	if _, _, _, err := l.FoldedSteps(stream, WeightBits{b.quantiser(t, "few", true, 1), 5}); err == nil {
		t.Error("5 bits of a quantiser that has no clip for them")
	}
}

// Batch norm's scale goes into the steps and its sign into the multiples; a channel that it makes zero, or all but that, is one of zeros.
func TestFoldedSteps_WithBatchNormAreFoldedOnes(t *testing.T) {
	b := newBench(t, 13)
	q := b.quantiser(t, "w", true, 0.4)
	for _, bits := range []int{4, 8} {
		l := b.store.NewPWConvBN("pw", 6, 10, true)
		for c := range 10 {
			gobind.Host[float32](l.BN.Gamma.Value)[c] = []float32{0.7, -1.3, 0, 0x1p-126, -2}[c%5]
			gobind.Host[float32](l.BN.Mean)[c], gobind.Host[float32](l.BN.Variance)[c] = 0.1*float32(c), 0.5+float32(c)
		}
		weights, bias, steps, err := l.FoldedSteps(b.tape.Stream(), WeightBits{q, bits})
		if err != nil {
			t.Fatal(err)
		}
		copy(gobind.Host[float32](l.Weight.Value), quantised(gobind.Host[float32](l.Weight.Value), true, bits, 0.4))
		want, wantBias, err := l.Folded(b.tape.Stream())
		if err != nil {
			t.Fatal(err)
		}
		near(t, "weight", weights, want)
		near(t, "bias", bias, wantBias)
		for i, w := range weights {
			if n := w / steps[i%10]; !(steps[i%10] > 0) || math.Abs(float64(n)-math.Round(float64(n))) > 1e-4 || i%5 == 3 && w != 0 {
				t.Errorf("%d bits: weight %d is %g steps of %g", bits, i, n, steps[i%10])
			}
		}
	}
}
