package gobind

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// little is a network with every kind of layer, for inputs of 3 channels.
func little(rng *rand.Rand) []Layer {
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64()) / 3
		}
		return v
	}
	return []Layer{
		{Kind: LayerConv3x3, Input: 0, Input2: -1, Channels: 8, Stride: 2, ReLU: true, Group: 0, Weights: random(27 * 8), Bias: random(8)},
		{Kind: LayerDWConv, Input: 1, Input2: -1, Kernel: 5, Stride: 2, ReLU: true, Group: 1, Weights: random(25 * 8), Bias: random(8)},
		{Kind: LayerPWConv, Input: 2, Input2: -1, Channels: 6, Group: 1, Weights: random(8 * 6), Bias: random(6)},
		{Kind: LayerPWConv, Input: 3, Input2: 3, Channels: 6, Group: 1, Weights: random(6 * 6), Bias: random(6)},
		{Kind: LayerPWConv, Input: 1, Input2: -1, Channels: 6, ReLU: true, Group: 2, Weights: random(8 * 6), Bias: random(6)},
		{Kind: LayerUpsampleAdd, Input: 4, Input2: 5, Group: 3},
		{Kind: LayerLabels, Input: 6, Input2: -1, Group: 4},
	}
}

const (
	littleH = 21
	littleW = 34
)

func randomPicture(rng *rand.Rand) []float32 {
	x := make([]float32, littleH*littleW*3)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x
}

// byOps runs the little network's layers one by one and returns its logits.
func byOps(t *testing.T, x *Context, s *Stream, layers []Layer, picture []float32) Tensor {
	t.Helper()
	input := newTensor(t, x, F32, 1, littleH, littleW, 3)
	if err := Upload(s, input, picture); err != nil {
		t.Fatal(err)
	}
	values := []Tensor{input}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	upload := func(v []float32, shape ...int) Tensor {
		w := newTensor(t, x, F32, shape...)
		must(Upload(s, w, v))
		return w
	}
	for _, l := range layers {
		in := values[l.Input]
		channels, stride := max(l.Channels, 1), max(l.Stride, 1)
		if l.Kind == LayerDWConv || l.Kind == LayerUpsampleAdd {
			channels = in.Last()
		}
		h, w := (in.Shape[1]-1)/stride+1, (in.Shape[2]-1)/stride+1
		if l.Kind == LayerUpsampleAdd {
			h, w = values[l.Input2].Shape[1], values[l.Input2].Shape[2]
		}
		y := newTensor(t, x, F32, 1, h, w, channels)
		switch l.Kind {
		case LayerConv3x3:
			must(s.Conv3x3Forward(in, upload(l.Weights, 9*in.Last(), channels), stride, y))
		case LayerDWConv:
			must(s.DWConvForward(in, upload(l.Weights, l.Kernel*l.Kernel, channels), stride, y))
		case LayerPWConv:
			must(s.PWConvForward(in, upload(l.Weights, in.Last(), channels), Tensor{}, y))
		case LayerUpsampleAdd:
			must(s.UpsampleAddForward(in, values[l.Input2], Bilinear, y))
		case LayerLabels:
			return in
		}
		if l.Bias != nil {
			out := Host[float32](y)
			for i := range out {
				out[i] += l.Bias[i%channels]
			}
			if l.Input2 >= 0 {
				must(s.Axpy(1, values[l.Input2], y))
			}
			if l.ReLU {
				must(s.ReLUForward(y, y))
			}
		}
		values = append(values, y)
	}
	return values[len(values)-1]
}

func TestSession_AgreesWithOps(t *testing.T) {
	x, s := open(t, Options{Threads: 2})
	rng := rand.New(rand.NewPCG(1, 2))
	layers, picture := little(rng), randomPicture(rng)
	logits := byOps(t, x, s, layers, picture)

	inner, err := x.NewSession(layers[:len(layers)-1], 1, littleH, littleW, 3, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	got, want := make([]float32, logits.Elements()), Host[float32](logits)
	if err := inner.RunFloat32(picture, got, nil); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Fatalf("logit %d is %g, operations say %g", i, got[i], want[i])
		}
	}

	whole, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	labels, times := make([]uint8, littleH*littleW), make([]time.Duration, whole.Groups())
	if err := whole.Run(picture, labels, times); err != nil {
		t.Fatal(err)
	}
	expected := newTensor(t, x, U8, 1, littleH, littleW)
	if err := s.Argmax(logits, expected); err != nil {
		t.Fatal(err)
	}
	differ := 0
	for i, label := range Host[uint8](expected) {
		if labels[i] != label {
			differ++
		}
	}
	if differ > len(labels)/200 {
		t.Errorf("%d of %d labels differ from those of the operations", differ, len(labels))
	}
	for i, d := range times {
		if d <= 0 {
			t.Errorf("timing group %d took %v", i, d)
		}
	}
	if len(times) != 5 || whole.ActivationBytes() <= 0 || whole.WeightBytes() <= 0 {
		t.Errorf("%d groups, %d bytes of activations, %d of weights", len(times), whole.ActivationBytes(), whole.WeightBytes())
	}
}

func TestSession_RunsWithoutAllocating(t *testing.T) {
	x, _ := open(t, Options{Threads: 1})
	rng := rand.New(rand.NewPCG(3, 4))
	session, err := x.NewSession(little(rng), 1, littleH, littleW, 3, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	picture, labels, times := randomPicture(rng), make([]uint8, session.OutputBytes()), make([]time.Duration, session.Groups())
	if n := testing.AllocsPerRun(20, func() {
		if err := session.Run(picture, labels, times); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}

func TestSession_RefusesWhatDoesNotFit(t *testing.T) {
	x, _ := open(t, Options{Threads: 1})
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		change func(l []Layer)
		text   string
	}{
		{func(l []Layer) { l[0].Weights = l[0].Weights[1:] }, "layer 0 has 215 weights and 8 biases, should have 216 and 8"},
		{func(l []Layer) { l[1].Bias = nil }, "layer 1 has 200 weights and 0 biases"},
		{func(l []Layer) { l[2].Input = 3 }, "only values 0 to 2 come before it"},
		{func(l []Layer) { l[5].Weights = make([]float32, 1) }, "layer 5 has 1 weights"},
		{func(l []Layer) { l[1].Kernel, l[1].Weights = 4, make([]float32, 16*8) }, "kernel"},
		{func(l []Layer) { l[3].Group = 0 }, "group"},
	} {
		layers := little(rng)
		c.change(layers)
		_, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{})
		wantStatus(t, err, InvalidArgument, c.text)
	}
	session, err := x.NewSession(little(rng), 1, littleH, littleW, 3, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	picture, labels := randomPicture(rng), make([]uint8, session.OutputBytes())
	wantStatus(t, session.Run(picture[1:], labels, nil), InvalidArgument, "input has 2142 values")
	wantStatus(t, session.Run(picture, labels[1:], nil), InvalidArgument, "output has 714 bytes")
	wantStatus(t, session.Run(picture, labels, make([]time.Duration, 1)), InvalidArgument, "5 timing groups")
	session.busy.Store(true)
	wantStatus(t, session.Run(picture, labels, nil), Busy, "in use")
	session.busy.Store(false)
	session.Close()
	wantStatus(t, session.Run(picture, labels, nil), InvalidArgument, "closed")
}
