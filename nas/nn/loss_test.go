package nn

import (
	"math"
	"slices"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// lossOfLogits runs one loss on x as logits and returns its scaled value and the gradient of x.
func (b *bench) lossOfLogits(t *testing.T, x gobind.Tensor, scale float64, loss func(Value) Loss) (float64, []float32) {
	t.Helper()
	b.tape.Reset()
	in := b.tape.asInput(x)
	mean, _, err := b.tape.LossValue(loss(in))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	grad := make([]float32, x.Elements())
	if err := gobind.Download(b.tape.stream, grad, b.tape.values[in.index].grad); err != nil {
		t.Fatal(err)
	}
	return mean * scale, grad
}

func TestDistill_GradientsAreCentralDifferences(t *testing.T) {
	b := newBench(t, 4)
	x, teacher := b.random(t, 2, 3, 4, 5), b.random(t, 2, 3, 4, 5)
	const scale = 24 // positions, so that the gradient's entries are of the size of probabilities
	distill := func(logits Value) Loss { return b.tape.Distill(logits, teacher, scale) }
	_, grad := b.lossOfLogits(t, x, scale, distill)
	compare(t, "logits", b.rng, gobind.Host[float32](x), grad, func() float64 {
		loss, _ := b.lossOfLogits(t, x, scale, distill)
		return loss
	})
}

func TestDistill_OfItselfIsEntropyAndHasNoGradient(t *testing.T) {
	b := newBench(t, 5)
	x := b.random(t, 1, 4, 3, 6)
	loss, grad := b.lossOfLogits(t, x, 1, func(logits Value) Loss { return b.tape.Distill(logits, x, 1) })
	var entropy float64
	for p := range 12 {
		z := gobind.Host[float32](x)[6*p : 6*p+6]
		for k := range z {
			nll := negativeLog(z, k)
			entropy += nll * math.Exp(-nll) / 12
		}
	}
	if math.Abs(loss-entropy) > 1e-5 {
		t.Errorf("loss %v, entropy %v", loss, entropy)
	}
	if slices.ContainsFunc(grad, func(g float32) bool { return g != 0 }) {
		t.Errorf("gradient %v, want zeros", grad)
	}
}

// negativeLog is -log softmax(z)[label].
func negativeLog(z []float32, label int) float64 {
	var sum float64
	for _, v := range z {
		sum += math.Exp(float64(v - z[label]))
	}
	return math.Log(sum)
}

func (b *bench) labelsLike(t *testing.T, labels gobind.Tensor) gobind.Tensor {
	t.Helper()
	x, err := b.ctx.NewTensor(gobind.U8, labels.Shape[0], labels.Shape[1], labels.Shape[2])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Buffer.Close)
	return x
}

func TestHardPixels_TrainOnTheLargestLossesAlone(t *testing.T) {
	const classes, least = 4, 11
	b := newBench(t, 6)
	x, labels := b.random(t, 2, 5, 6, classes), b.labels(t, 2, 5, 6, classes)
	values, hard := gobind.Host[uint8](labels), b.labelsLike(t, labels)
	for i := 0; i < len(values); i += 7 {
		values[i] = 255
	}
	var losses []float64
	for p, label := range values {
		if label != 255 {
			losses = append(losses, negativeLog(gobind.Host[float32](x)[classes*p:classes*(p+1)], int(label)))
		}
	}
	slices.SortFunc(losses, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
	for _, c := range []struct {
		loss float64
		want int // pixels
	}{{math.Inf(1), least}, {(losses[19] + losses[20]) / 2, 20}, {losses[3], least}, {0, len(losses)}} {
		var kept Loss
		loss, grad := b.lossOfLogits(t, x, 1, func(logits Value) Loss {
			target := b.tape.HardPixels(logits, Target{Labels: labels, Ignore: 255}, float32(c.loss), least, hard)
			kept = b.tape.CrossEntropy(logits, target, 1)
			return kept
		})
		var mean float64
		for _, l := range losses[:c.want] {
			mean += l / float64(c.want)
		}
		if math.Abs(loss-mean) > 1e-5 {
			t.Errorf("from %v: loss %v, want %v, the mean of the %d largest", c.loss, loss, mean, c.want)
		}
		pixels := 0
		for p := range values {
			if slices.ContainsFunc(grad[classes*p:classes*(p+1)], func(g float32) bool { return g != 0 }) {
				pixels++
			}
		}
		if pixels != c.want {
			t.Errorf("from %v: %d pixels have a gradient, want %d", c.loss, pixels, c.want)
		}
	}
}

func TestHardPixels_KeepTies(t *testing.T) {
	b := newBench(t, 7)
	x, labels := b.random(t, 1, 1, 1, 3), b.labels(t, 1, 6, 7, 3) // one source pixel: the losses of a class are all one
	values := gobind.Host[uint8](labels)
	z := gobind.Host[float32](x)
	worst := slices.Index(z, slices.Min(z))
	values[0] = uint8(worst)
	want := slices.Clone(values)
	for i, v := range want {
		if int(v) != worst {
			want[i] = 9
		}
	}
	b.tape.Reset()
	target := b.tape.HardPixels(b.tape.asInput(x), Target{Labels: labels, Ignore: 9}, float32(math.Inf(1)), 1, labels)
	if err := b.tape.Err(); err != nil {
		t.Fatal(err)
	}
	if got := gobind.Host[uint8](target.Labels); !slices.Equal(got, want) {
		t.Errorf("hard %v, want %v", got, want)
	}
}
