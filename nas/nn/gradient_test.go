package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// bench is a tape with a store of random parameters.
type bench struct {
	ctx   *gobind.Context
	tape  *Tape
	store *Store
	rng   *rand.Rand
}

func newBench(t testing.TB, seed uint64) *bench {
	t.Helper()
	ctx, err := gobind.NewContext(gobind.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return newBenchOn(t, ctx, seed)
}

func newBenchOn(t testing.TB, ctx *gobind.Context, seed uint64) *bench {
	t.Helper()
	tape, err := NewTape(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	store, err := NewStore(ctx, rng)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store.Close()
		tape.Close()
		ctx.Close()
	})
	return &bench{ctx, tape, store, rng}
}

// random makes a tensor of normally distributed values.
func (b *bench) random(t testing.TB, shape ...int) gobind.Tensor {
	t.Helper()
	x, err := b.ctx.NewTensor(gobind.F32, shape...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Buffer.Close)
	b.perturb(x, 1)
	return x
}

func (b *bench) perturb(x gobind.Tensor, deviation float64) {
	values := gobind.Host[float32](x)
	for i := range values {
		values[i] += float32(b.rng.NormFloat64() * deviation)
	}
}

// dot is the loss sum(y r), whose gradient in y is r.
func dot(y, r gobind.Tensor) float64 {
	var sum float64
	rs := gobind.Host[float32](r)
	for i, v := range gobind.Host[float32](y) {
		sum += float64(v) * float64(rs[i])
	}
	return sum
}

// seed makes r the gradient of y.
func (t *Tape) seed(y Value, r gobind.Tensor) {
	grad, block := t.like(r)
	t.fail(t.stream.Copy(r, grad))
	t.addGrad(y.index, grad, block)
}

// composite is a little network whose input is a parameter, so that its gradient can be checked like a weight's.
type composite struct {
	name    string
	shape   [4]int // of the input
	mode    Mode
	forward func(t *Tape, x Value) Value
}

// asInput lets an input want a gradient.
func (t *Tape) asInput(x gobind.Tensor) Value { return t.newValue(x, noBlock, true) }

func composites(b *bench) []composite {
	s := b.store
	conv, second := s.NewConvBN("conv", 3, 6, 2), s.NewConvBN("second", 6, 4, 1)
	wide, narrow := s.NewPWConvBN("wide", 4, 12, true), s.NewPWConvBN("narrow", 12, 4, false)
	five, seven := s.NewDWConvBN("five", 12, 5, 3, 1), s.NewDWConvBN("seven", 12, 7, 3, 2)
	logits := s.NewClassifier("logits", 6, 5)
	block := func(kernel int) func(*Tape, Value) Value {
		return func(t *Tape, x Value) Value {
			h := wide.Forward(t, x, 8, Train)
			h = five.Forward(t, h, kernel, Train)
			return t.Add(x, narrow.Forward(t, h, 4, Train))
		}
	}
	return []composite{
		{"conv and classifier", [4]int{2, 7, 5, 3}, Train, func(t *Tape, x Value) Value {
			return logits.Forward(t, conv.Forward(t, x, Train), Train)
		}},
		{"conv after conv", [4]int{2, 9, 7, 3}, Train, func(t *Tape, x Value) Value {
			return second.Forward(t, conv.Forward(t, x, Train), Train)
		}},
		{"frozen statistics", [4]int{2, 7, 5, 3}, TrainFrozen, func(t *Tape, x Value) Value {
			return logits.Forward(t, conv.Forward(t, x, TrainFrozen), TrainFrozen)
		}},
		{"residual block, kernel 5", [4]int{2, 5, 6, 4}, Train, block(5)},
		{"residual block, kernel 3 of 5", [4]int{2, 5, 6, 4}, Train, block(3)},
		{"stride 2, kernel 3 of 5 of 7", [4]int{2, 9, 8, 12}, Train, func(t *Tape, x Value) Value {
			return seven.Forward(t, x, 3, Train)
		}},
		{"two branches, fused", [4]int{2, 6, 7, 4}, Train, func(t *Tape, x Value) Value {
			detail := wide.Forward(t, x, 12, Train)
			context := seven.Forward(t, wide.Forward(t, x, 12, Train), 5, Train)
			return t.UpsampleAdd(context, detail, gobind.Bilinear)
		}},
		{"a value read three times", [4]int{1, 4, 4, 4}, Train, func(t *Tape, x Value) Value {
			h := wide.Forward(t, x, 8, Train)
			return t.Add(h, t.Add(h, five.Forward(t, h, 5, Train)))
		}},
	}
}

// knownComposites are of the layers that known networks have besides.
func knownComposites(b *bench) []composite {
	s := b.store
	wide, five := s.NewPWConvBN("before", 4, 12, true), s.NewDWConvBN("between", 12, 5, 3, 1)
	holes, far := s.NewDWConvBN("holes", 4, 3, 3, 1), s.NewDWConvBN("far", 12, 5, 5, 1)
	holes.Dilation, far.Dilation, far.Linear = 2, 3, true
	same, join := s.NewPWConvBN("same", 4, 4, true), s.NewPWConvBN("join", 20, 4, true)
	return []composite{
		{"dilated", [4]int{2, 7, 9, 4}, Train, func(t *Tape, x Value) Value {
			return holes.Forward(t, x, 3, Train)
		}},
		{"dilated after batch norm, farther than the picture", [4]int{2, 4, 2, 4}, Train, func(t *Tape, x Value) Value {
			return far.Forward(t, wide.Forward(t, x, 12, Train), 5, Train)
		}},
		{"dilated, frozen statistics", [4]int{1, 6, 4, 4}, TrainFrozen, func(t *Tape, x Value) Value {
			return holes.Forward(t, wide.Forward(t, x, 4, TrainFrozen), 3, TrainFrozen)
		}},
		{"upsampled", [4]int{2, 3, 4, 4}, Train, func(t *Tape, x Value) Value {
			return wide.Forward(t, t.Upsample(same.Forward(t, x, 4, Train), 7, 5), 12, Train)
		}},
		{"averaged", [4]int{2, 5, 7, 4}, Train, func(t *Tape, x Value) Value {
			return wide.Forward(t, t.AvgPool(same.Forward(t, x, 4, Train), 3, 2), 12, Train)
		}},
		{"joined, one part read twice", [4]int{2, 4, 5, 4}, Train, func(t *Tape, x Value) Value {
			h := wide.Forward(t, x, 8, Train)
			return join.Forward(t, t.Concat(h, five.Forward(t, t.Concat(x, h), 3, Train)), 4, Train)
		}},
		{"sum and relu", [4]int{2, 4, 5, 4}, Train, func(t *Tape, x Value) Value {
			return t.ReLU(t.Add(x, same.Forward(t, x, 4, Train)))
		}},
	}
}

// TestTape_GradientsAreCentralDifferences checks d/dv sum(y r) for the input and every parameter used.
func TestTape_GradientsAreCentralDifferences(t *testing.T) {
	b := newBench(t, 3)
	list := append(composites(b), knownComposites(b)...)
	if b.store.Err() != nil {
		t.Fatal(b.store.Err())
	}
	for _, p := range b.store.Params() {
		b.perturb(p.Value, 0.2) // away from zeros, ones and identities
	}
	for _, bn := range b.store.Norms() {
		b.perturb(bn.Mean, 0.3)
	}
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) { checkComposite(t, b, c) })
	}
}

func checkComposite(t *testing.T, b *bench, c composite) {
	tape := b.tape
	x := b.random(t, c.shape[:]...)
	xGrad := make([]float32, x.Elements())
	var r gobind.Tensor
	run := func() (Value, Value) {
		tape.Reset()
		in := tape.asInput(x)
		return in, c.forward(tape, in)
	}
	loss := func() float64 {
		_, y := run()
		if tape.Err() != nil {
			t.Fatal(tape.Err())
		}
		return dot(tape.Activation(y), r)
	}
	in, y := run()
	if tape.Err() != nil {
		t.Fatal(tape.Err())
	}
	shape := tape.Activation(y).Shape
	r = b.random(t, shape[:4]...)
	tape.seed(y, r)
	if err := tape.Backward(); err != nil {
		t.Fatal(err)
	}
	if err := gobind.Download(tape.stream, xGrad, tape.values[in.index].grad); err != nil {
		t.Fatal(err)
	}
	compare(t, "input", b.rng, gobind.Host[float32](x), xGrad, loss)
	for _, p := range append([]*Param(nil), tape.touched...) {
		values, grads := p.checkable(t, tape)
		compare(t, p.Name, b.rng, values, grads, loss)
	}
	tape.DiscardGradients()
}

// checkable returns a parameter's values in place and its gradients, zero where it was not used.
func (p *Param) checkable(t *testing.T, tape *Tape) (values, grads []float32) {
	t.Helper()
	full, err := tape.ctx.NewTensor(gobind.F32, p.Value.Shape[:p.Value.Rank]...)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Buffer.Close()
	view := p.used
	view.Buffer, view.Offset = full.Buffer, view.Offset-p.Value.Offset
	if err := tape.stream.Copy(p.like(p.Grad, p.used), view); err != nil {
		t.Fatal(err)
	}
	return gobind.Host[float32](p.Value), append([]float32(nil), gobind.Host[float32](full)...)
}

// compare checks up to 40 entries of a gradient, leaving out those where the loss has a kink nearby: ReLU makes two step sizes
// disagree there.
func compare(t *testing.T, name string, rng *rand.Rand, values, grads []float32, loss func() float64) {
	t.Helper()
	const step, most = 1e-3, 40
	var scale float64
	for _, g := range grads {
		scale = max(scale, math.Abs(float64(g)))
	}
	tolerance := 0.02 * max(scale, 0.1)
	quotient := func(i int, step float32) float64 {
		before := values[i]
		values[i] = before + step
		up := loss()
		values[i] = before - step
		down := loss()
		values[i] = before
		return (up - down) / (2 * float64(step))
	}
	kinks, count := 0, min(most, len(values))
	for _, i := range rng.Perm(len(values))[:count] {
		wide, narrow := quotient(i, step), quotient(i, step/4)
		switch {
		case math.Abs(wide-narrow) > tolerance/4:
			kinks++
		case math.Abs(narrow-float64(grads[i])) > tolerance:
			t.Errorf("%s: entry %d of the gradient is %g, differences say %g (largest %g)", name, i, grads[i], narrow, scale)
		}
	}
	if kinks > count/2 {
		t.Errorf("%s: %d of %d entries lie at kinks", name, kinks, count)
	}
}
