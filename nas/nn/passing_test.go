package nn

import (
	"math"
	"os"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// put makes a tensor of values on the bench's device.
func (b *bench) put(t *testing.T, values []float32, shape ...int) gobind.Tensor {
	t.Helper()
	x, err := b.ctx.NewTensor(gobind.F32, shape...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Buffer.Close)
	if err := gobind.Upload(b.tape.Stream(), x, values); err != nil {
		t.Fatal(err)
	}
	return x
}

func (b *bench) get(t *testing.T, x gobind.Tensor) []float32 {
	t.Helper()
	values, err := fetch(b.tape.Stream(), x)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func (b *bench) normal(t *testing.T, shape ...int) gobind.Tensor {
	n := 1
	for _, side := range shape {
		n *= side
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(b.rng.NormFloat64())
	}
	return b.put(t, values, shape...)
}

// Quantised in passing, a block gives the bits of passes of its own, and the same gradients but for the order of the clips' sums.
func TestFakeQuantOnly_InPassingIsThePassOfItsOwn(t *testing.T) {
	inPassing(t, newBench(t, 17))
}

// So it is on a plug-in: that of SEGNAS_TEST_DEVICE, else the CUDA kernels on the CPU.
func TestDevice_FakeQuantOnlyInPassingIsThePassOfItsOwn(t *testing.T) {
	device := os.Getenv("SEGNAS_TEST_DEVICE")
	asked := device != ""
	if !asked {
		device = "sim:0"
	}
	ctx, err := gobind.NewContext(gobind.Options{Device: device})
	if gobind.StatusOf(err) == gobind.BackendMissing && !asked {
		t.Skipf("make sim builds the device that this runs on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	inPassing(t, newBenchOn(t, ctx, 17))
}

// inPassing has readers of norms that quantise before and after them, or on one side alone.
func inPassing(t *testing.T, b *bench) {
	clips := map[*Quantiser]float32{}
	quantiser := func(name string, signed bool, clip float32) *Quantiser {
		q := b.store.NewQuantiser(name, signed, []uint8{4, 8})
		clips[q] = clip
		return q
	}
	wide, mid, narrow := quantiser("in", true, 1.5), quantiser("wide", false, 1.2), quantiser("narrow", false, 0.9)
	expand, depthwise, project := b.store.NewPWConvBN("expand", 6, 20, true), b.store.NewDWConvBN("depthwise", 20, 3, 3, 1), b.store.NewPWConvBN("project", 20, 6, false)
	if err := b.store.Finish(); err != nil {
		t.Fatal(err)
	}
	for q, clip := range clips {
		for _, bits := range []int{4, 8} {
			if err := gobind.Upload(b.tape.Stream(), q.Clip(bits).Value, []float32{clip}); err != nil {
				t.Fatal(err)
			}
		}
	}
	x, r := b.normal(t, 2, 9, 7, 6), b.normal(t, 2, 9, 7, 6)
	for _, mode := range []Mode{Train, TrainFrozen} {
		block := func(t *Tape, x Value) Value {
			in := t.FakeQuant(x, wide, 4, mode)
			h := t.FakeQuantOnly(expand.Forward(t, in, 20, mode), mid, 4, mode)
			h = t.FakeQuantOnly(depthwise.Forward(t, h, 3, mode), narrow, 8, mode)
			return t.Add(in, project.Forward(t, h, 6, mode))
		}
		var y, dx, grads [2][]float32
		for i, passing := range []bool{true, false} {
			b.tape.passing = passing
			y[i], dx[i], grads[i] = b.trace(t, x, r, block)
		}
		for i := range y[0] {
			if math.Float32bits(y[0][i]) != math.Float32bits(y[1][i]) {
				t.Fatalf("mode %d: y[%d] is %g in passing, %g by itself", mode, i, y[0][i], y[1][i])
			}
		}
		near(t, "dx", dx[0], dx[1])
		near(t, "gradients", grads[0], grads[1])
		if len(grads[0]) != len(grads[1]) || len(grads[0]) == 0 {
			t.Errorf("%d gradients in passing, %d by itself", len(grads[0]), len(grads[1]))
		}
	}
}

// trace runs a layer forward and backward from r and returns its result, its input's gradient and all parameters', on any device.
func (b *bench) trace(t *testing.T, x, r gobind.Tensor, layer func(t *Tape, x Value) Value) (y, dx, grads []float32) {
	t.Helper()
	b.tape.Reset()
	in := b.tape.asInput(x)
	out := layer(b.tape, in)
	y = b.get(t, b.tape.Activation(out))
	b.tape.seed(out, r)
	if err := b.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	dx = b.get(t, b.tape.values[in.index].grad)
	for _, p := range b.store.Params() {
		if _, used := p.Used(); used {
			grads = append(grads, b.get(t, p.Grad)...)
		}
	}
	b.tape.DiscardGradients()
	return y, dx, grads
}
