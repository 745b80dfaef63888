package supernet

import (
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// quantisedRig has a space of bit widths.
func quantisedRig(t testing.TB) *rig {
	r := newRig(t)
	r.sp.Bits = []uint8{4, 6, 8}
	return r
}

// fit calibrates a model's clips on the rig's pictures.
func (r *rig) fit(t testing.TB, m Model, a space.Arch) {
	t.Helper()
	if err := FitWeights(m); err != nil {
		t.Fatal(err)
	}
	r.run(t, m, a, nn.Calibrate(0))
}

func (r *rig) quantisedSupernets(t testing.TB) map[string]Model {
	models := r.supernets(t)
	for _, m := range models {
		r.fit(t, m, r.sp.Largest())
	}
	return models
}

func TestCut_OfAQuantisedSupernetGivesItsBits(t *testing.T) {
	r := quantisedRig(t)
	for name, m := range r.quantisedSupernets(t) {
		archs := []space.Arch{r.sp.Largest(), space.Baseline().Quantised(space.Bits{W: 4, A: 8}), space.HandScaled().Quantised(space.Bits{W: 8, A: 4}), space.Baseline()}
		for range 4 {
			archs = append(archs, r.sp.Sample(r.rng))
		}
		for _, a := range archs {
			cut := must[*Plain](t)(Cut(m, a))
			for _, mode := range []nn.Mode{nn.Infer, nn.Train} {
				inside, outside := r.run(t, m, a, mode), r.run(t, cut, a, mode)
				if !sameBits(inside, outside) {
					t.Errorf("%s, %v, mode %v: the logits differ", name, a, mode)
				}
			}
		}
	}
}

// A quantised supernet asked for a network in floating point is the supernet without quantisers.
func TestElastic_QuantisedRunsFloatNetworksAsTheFloatOne(t *testing.T) {
	r := quantisedRig(t)
	quantised := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, newRand(3)))
	float := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp.Float(), newRand(3)))
	for _, a := range []space.Arch{space.Baseline(), r.sp.Float().Largest()} {
		if !sameBits(r.run(t, quantised, a, nn.Train), r.run(t, float, a, nn.Train)) {
			t.Errorf("%v: the logits differ", a)
		}
	}
}

// With bits enough a quantised network is near the float one, and farther with fewer.
func TestForward_QuantisedNearsFloatWithBits(t *testing.T) {
	r := quantisedRig(t)
	m := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	r.fit(t, m, r.sp.Largest())
	a := space.Baseline().Quantised(space.Bits{W: 8, A: 8})
	var last float64
	for _, bits := range []uint8{8, 6, 4} {
		error := 0.0
		want := r.run(t, m, a.Float(), nn.Train)
		for i, v := range r.run(t, m, a.Quantised(space.Bits{W: bits, A: bits}), nn.Train)[:len(want)/3] {
			error += float64((v - want[i]) * (v - want[i]))
		}
		if error <= last {
			t.Errorf("squared error %g at %d bits, %g with more", error, bits, last)
		}
		last = error
	}
}

func TestForward_RefusesBitWidthsThatTheModelLacks(t *testing.T) {
	r := quantisedRig(t)
	float := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp.Float(), r.rng))
	plain := must[*Plain](t)(NewPlain(r.ctx, r.net, space.Baseline().Quantised(space.Bits{W: 4, A: 8}), r.rng))
	for _, m := range []Model{float, plain} {
		r.tape.Reset()
		m.Forward(r.tape, r.tape.Input(r.pictures), space.Baseline().Quantised(space.Bits{W: 8, A: 8}), nn.Infer)
		if err := r.tape.Err(); err == nil || !strings.Contains(err.Error(), "clips") {
			t.Errorf("%T: %v", m, err)
		}
	}
}

// A step moves the clips of the bit widths that it used, and no others.
func TestStep_MovesTheClipsThatItUsed(t *testing.T) {
	r := quantisedRig(t)
	m := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	r.fit(t, m, r.sp.Largest())
	clip := func(q *nn.Quantiser, bits int) float32 { return gobind.Host[float32](q.Clip(bits).Value)[0] }
	before := map[string]float32{}
	for _, q := range m.store.Quantisers() {
		for _, bits := range []int{4, 6, 8} {
			before[q.Clip(bits).Name] = clip(q, bits)
		}
	}
	r.step(t, m, space.Baseline().Quantised(space.Bits{W: 4, A: 6}), r.labels(t))
	moved := 0
	for _, c := range m.bits {
		for _, of := range []struct {
			q    *nn.Quantiser
			used int
		}{{c.input, 6}, {c.weight, 4}} {
			for _, bits := range []int{4, 6, 8} {
				p := of.q.Clip(bits)
				if v := clip(of.q, bits); v != before[p.Name] {
					if moved++; bits != of.used {
						t.Errorf("%s moved, %d bits were used", p.Name, of.used)
					}
				}
			}
		}
	}
	if used := 2 * (3*9 + 2*4 + 1); moved < used*3/4 {
		t.Errorf("%d clips moved of %d that were used", moved, used)
	}
}

func TestStep_OfQuantisedNetworksAllocatesNothingAfterTheFirst(t *testing.T) {
	r := quantisedRig(t)
	m := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	a, labels := r.sp.Largest(), r.labels(t)
	r.fit(t, m, a)
	r.step(t, m, a, labels)
	if n := testing.AllocsPerRun(3, func() { r.step(t, m, a, labels) }); n > 0 {
		t.Errorf("%g allocations in a step", n)
	}
}

// The state of a quantised network has its clips, and a float network's state is refused for it.
func TestState_OfAQuantisedNetworkLoadsBack(t *testing.T) {
	r := quantisedRig(t)
	a := space.HandScaled().Quantised(space.Bits{W: 6, A: 4})
	m := must[*Plain](t)(NewPlain(r.ctx, r.net, a, r.rng))
	r.fit(t, m, a)
	state, err := State(m, false)
	if err != nil {
		t.Fatal(err)
	}
	again := must[*Plain](t)(NewPlain(r.ctx, r.net, a, nil))
	if err := Load(again, state); err != nil {
		t.Fatal(err)
	}
	if !sameBits(r.run(t, m, a, nn.Infer), r.run(t, again, a, nn.Infer)) {
		t.Error("the logits differ")
	}
	float := must[*Plain](t)(NewPlain(r.ctx, r.net, a.Float(), r.rng))
	if state, err = State(float, false); err != nil {
		t.Fatal(err)
	}
	if err := Load(again, state); err == nil || !strings.Contains(err.Error(), "clip") {
		t.Errorf("a float network's state: %v", err)
	}
}
