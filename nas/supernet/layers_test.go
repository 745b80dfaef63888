package supernet

import (
	"fmt"
	"math"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// quantisedArchs are networks of few bits, each of them different.
func (r *rig) quantisedArchs() []space.Arch {
	archs := []space.Arch{space.Baseline().Quantised(space.Bits{W: 8, A: 8}), space.HandScaled().Quantised(space.Bits{W: 4, A: 6})}
	r.sp.Bits = []uint8{2, 3, 4, 5, 6, 7, 8}
	return append(archs, r.sp.Sample(r.rng), r.sp.Sample(r.rng))
}

// quantisedPlain is a network with clips that fit, some of its scales negative, one zero and one all but that.
func (r *rig) quantisedPlain(t testing.TB, a space.Arch) *Plain {
	t.Helper()
	m := must[*Plain](t)(NewPlain(r.ctx, r.net, a, r.rng))
	r.disturb(m)
	for i, b := range m.Norms() {
		gamma := gobind.Host[float32](b.Gamma.Value)
		for c := range gamma {
			if r.rng.UintN(3) == 0 {
				gamma[c] = -gamma[c]
			}
		}
		gamma[i%4], gamma[4+i%4] = 0, 0x1p-130
	}
	r.fit(t, m, a)
	return m
}

func TestLayers_OfBitWidthsAreWholeMultiples(t *testing.T) {
	r := newRig(t)
	for _, a := range r.quantisedArchs() {
		m := r.quantisedPlain(t, a)
		const firstExpand = 6                                                                  // among the layers, behind the stem
		gobind.Host[float32](m.bits[2].input.Clip(int(a.Blocks[0][0].Bits.A)).Value)[0] = -0.5 // counts as 2^-20
		layers, err := m.Layers()
		if err != nil {
			t.Fatal(err)
		}
		float, negative := 0, false
		for i, l := range layers {
			if len(l.Weights) == 0 {
				continue
			}
			if l.WeightBits == 0 {
				float++
				continue
			}
			most := float32(int(1)<<(l.WeightBits-1) - 1)
			for j, w := range l.Weights {
				step := l.WeightSteps[j%len(l.Bias)]
				n := float32(math.Round(float64(w) / float64(step)))
				if !(step >= 0x1p-126) || n > most || n < -most || w != n*step {
					t.Fatalf("%v, layer %d: weight %d is %g of a step of %g", a, i, j, w, step)
				}
			}
			largest := float32(int(1)<<l.InputBits - 1)
			if l.InputSigned {
				largest = float32(int(1)<<(l.InputBits-1) - 1)
				negative = true
			}
			if least := 0x1p-20 / largest; l.InputStep < least || (i == firstExpand) != (l.InputStep == least) {
				t.Errorf("%v, layer %d: an input step of %g", a, i, l.InputStep)
			}
		}
		if float != 3 || !negative {
			t.Errorf("%v: %d float layers, signed inputs: %v", a, float, negative)
		}
		r.checkReaders(t, a, layers)
		r.outlineMeasures(t, m, layers)
	}
}

// checkReaders checks that each value is read in one way, and that groups are the network's operations in order.
func (r *rig) checkReaders(t *testing.T, a space.Arch, layers []gobind.Layer) {
	t.Helper()
	forms := make([]string, len(layers)+1)
	read := func(value int, form string) {
		if forms[value] != "" && forms[value] != form {
			t.Errorf("%v: value %d is read as %s and as %s", a, value, forms[value], form)
		}
		forms[value] = form
	}
	for i, l := range layers {
		form := "float32"
		if l.WeightBits > 0 {
			form = fmt.Sprint(l.InputBits, l.InputSigned, l.InputStep)
		}
		read(l.Input, form)
		if l.Kind == gobind.LayerNearestAdd {
			read(l.Input2, "float32")
		}
		if i > 0 && l.Group != layers[i-1].Group && l.Group != layers[i-1].Group+1 {
			t.Errorf("%v: layer %d has group %d after %d", a, i, l.Group, layers[i-1].Group)
		}
	}
	for i, l := range layers { // a shortcut's value is one that its block reads
		if l.Kind == gobind.LayerPWConv && l.Input2 >= 0 && (forms[l.Input2] == "" || forms[l.Input2] == "float32") {
			t.Errorf("%v: layer %d adds value %d, which nothing reads in integers", a, i, l.Input2)
		}
	}
	if groups, ops := layers[len(layers)-1].Group+1, len(r.net.Ops(a, rigH, rigW)); groups != ops {
		t.Errorf("%v: %d timing groups, %d operations", a, groups, ops)
	}
}

// What is deployed is what training imitates. A number that lies between two steps may be rounded otherwise, once in some networks, and from there on
// the difference spreads as far as rounding itself does; a weight, step or shortcut in the wrong place would show in all of them.
func TestLayers_OfBitWidthsComputeWhatTheTapeImitates(t *testing.T) {
	r := newRig(t)
	agree, archs := 0, append(r.quantisedArchs(), r.quantisedArchs()...)
	for _, a := range archs {
		m := r.quantisedPlain(t, a)
		layers, err := m.Layers()
		if err != nil {
			t.Fatal(err)
		}
		want := r.run(t, m, a, nn.Infer)
		got := integerLogits(t, r.ctx, layers, 2, rigH, rigW, gobind.Host[float32](r.pictures))
		var energy, errors float64
		for i, v := range want {
			energy += float64(v * v)
			errors += float64((got[i] - v) * (got[i] - v))
		}
		off, equal := math.Sqrt(errors/energy), equalShare(r.argmax(t, r.ctx, got), r.argmax(t, r.ctx, want))
		if off < 1e-4 && equal >= 0.995 {
			agree++
		} else if !(off < 0.5) || equal < 0.8 {
			t.Errorf("%v: logits are off by %.4f of their size, %.4f of the labels are equal", a, off, equal)
		} else {
			t.Logf("%v: a rounding falls otherwise: logits are off by %.4f of their size, %.4f of the labels are equal", a, off, equal)
		}
	}
	if agree < len(archs)*3/4 {
		t.Errorf("%d of %d networks compute in integers what training imitates", agree, len(archs))
	}
}

func equalShare(a, b []uint8) float64 {
	equal := 0
	for i := range a {
		if a[i] == b[i] {
			equal++
		}
	}
	return float64(equal) / float64(len(a))
}

// Sessions compute the formulas, bit for bit, on every instruction set, with any number of threads, fused or not.
func TestLayers_OfBitWidthsSessionsComputeTheFormulas(t *testing.T) {
	r := newRig(t)
	pictures := gobind.Host[float32](r.pictures)
	for _, a := range r.quantisedArchs() {
		layers, err := r.quantisedPlain(t, a).Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, isa := range gobind.AvailableISAs() {
			var want []float32
			for threads := 1; threads <= 3; threads++ {
				ctx, err := gobind.NewContext(gobind.Options{Threads: threads, ISA: isa})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(ctx.Close)
				if want == nil {
					want = integerLogits(t, ctx, layers, 2, rigH, rigW, pictures)
				}
				for _, fusion := range []gobind.Fusion{gobind.FuseWhereFaster, gobind.FuseAlways, gobind.FuseNever} {
					logits, labels := runIntegers(t, ctx, layers, pictures, fusion)
					if !sameBits(logits, want) {
						t.Errorf("%v, %s, %d threads, fusion %v: the logits differ", a, isa, threads, fusion)
					}
					if equalShare(labels, r.argmax(t, ctx, want)) != 1 {
						t.Errorf("%v, %s, %d threads, fusion %v: the labels differ", a, isa, threads, fusion)
					}
				}
			}
		}
	}
}

// runIntegers returns what sessions of the rig's size make of its pictures.
func runIntegers(t *testing.T, ctx *gobind.Context, layers []gobind.Layer, pictures []float32, fusion gobind.Fusion) (logits []float32, labels []uint8) {
	t.Helper()
	open := func(layers []gobind.Layer) *gobind.Session {
		s, err := ctx.NewSession(layers, 2, rigH, rigW, 3, gobind.SessionOptions{Precision: gobind.Int8, Fusion: fusion})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	whole, head := open(layers), open(layers[:len(layers)-1])
	logits, labels = make([]float32, head.OutputBytes()/4), make([]uint8, whole.OutputBytes())
	if err := head.RunFloat32(pictures, logits, nil); err != nil {
		t.Fatal(err)
	}
	if err := whole.Run(pictures, labels, nil); err != nil {
		t.Fatal(err)
	}
	return logits, labels
}

// argmax returns the labels of the rig's pictures by logits.
func (r *rig) argmax(t *testing.T, ctx *gobind.Context, logits []float32) []uint8 {
	t.Helper()
	stream, err := ctx.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	x, err := ctx.NewTensor(gobind.F32, 2, (rigH+7)/8, (rigW+7)/8, r.net.Classes)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Buffer.Close()
	y, err := ctx.NewTensor(gobind.U8, 2, rigH, rigW)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Buffer.Close()
	copy(gobind.Host[float32](x), logits)
	if err := stream.Argmax(x, y); err != nil {
		t.Fatal(err)
	}
	return append([]uint8(nil), gobind.Host[uint8](y)...)
}
