package supernet

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// rig is what a test runs models with: a small network and a picture of odd size.
type rig struct {
	ctx      *gobind.Context
	tape     *nn.Tape
	rng      *rand.Rand
	net      space.Network
	sp       space.Space
	pictures gobind.Tensor
}

const (
	rigH = 33
	rigW = 46
)

func newRig(t testing.TB) *rig {
	t.Helper()
	ctx, err := gobind.NewContext(gobind.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	tape, err := nn.NewTape(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		ctx: ctx, tape: tape, rng: newRand(1), sp: space.Default(),
		net: space.Network{Classes: 7, Strides: [space.Stages]int{1, 2, 2}, Widths: [space.Stages]int{64, 24, 20}},
	}
	r.pictures, err = ctx.NewTensor(gobind.F32, 2, rigH, rigW, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range gobind.Host[float32](r.pictures) {
		gobind.Host[float32](r.pictures)[i] = float32(r.rng.NormFloat64())
	}
	t.Cleanup(func() {
		r.pictures.Buffer.Close()
		tape.Close()
		ctx.Close()
	})
	return r
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }

func must[M Model](t testing.TB) func(M, error) M {
	return func(m M, err error) M {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		return m
	}
}

// disturb moves a fresh model away from its symmetric start: statistics, scales and transforms.
func (r *rig) disturb(m Model) {
	for _, p := range m.Params() {
		for i, v := range gobind.Host[float32](p.Value) {
			gobind.Host[float32](p.Value)[i] = v + 0.1*float32(r.rng.NormFloat64())
		}
	}
	for _, b := range m.Norms() {
		for i := range gobind.Host[float32](b.Mean) {
			gobind.Host[float32](b.Mean)[i] = 0.2 * float32(r.rng.NormFloat64())
			gobind.Host[float32](b.Variance)[i] = 0.5 + r.rng.Float32()
		}
	}
}

// run returns all logits of a pass, one after another.
func (r *rig) run(t testing.TB, m Model, a space.Arch, mode nn.Mode) []float32 {
	t.Helper()
	r.tape.Reset()
	out := m.Forward(r.tape, r.tape.Input(r.pictures), a, mode)
	if r.tape.Err() != nil {
		t.Fatal(r.tape.Err())
	}
	logits := append([]float32(nil), gobind.Host[float32](r.tape.Activation(out.Logits))...)
	for _, aux := range out.Aux {
		logits = append(logits, gobind.Host[float32](r.tape.Activation(aux))...)
	}
	return logits
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// corners returns the uniform networks of extreme depth, kernel and expand ratio, and some drawn at random.
func (r *rig) corners(random int) []space.Arch {
	var archs []space.Arch
	for _, d := range []uint8{2, 4} {
		for _, k := range []uint8{3, 5} {
			for _, e := range []uint8{3, 6} {
				archs = append(archs, space.Uniform([space.Stages]uint8{d, d, d}, space.Block{Kernel: k, Expand: e}))
			}
		}
	}
	for range random {
		archs = append(archs, r.sp.Sample(r.rng))
	}
	return archs
}

func (r *rig) supernets(t testing.TB) map[string]Model {
	elastic := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	naive := must[*Naive](t)(NewNaive(r.ctx, r.net, r.sp, r.rng))
	models := map[string]Model{"elastic": elastic, "naive": naive}
	for _, m := range models {
		r.disturb(m)
	}
	return models
}

func TestCut_GivesTheBitsOfTheSubNetworkInside(t *testing.T) {
	r := newRig(t)
	for name, m := range r.supernets(t) {
		for _, a := range r.corners(6) {
			cut, err := Cut(m, a)
			if err != nil {
				t.Fatal(err)
			}
			for _, mode := range []nn.Mode{nn.Infer, nn.TrainFrozen, nn.Train, nn.Infer, nn.Recalibrate(1), nn.Infer} {
				if !sameBits(r.run(t, m, a, mode), r.run(t, cut, a, mode)) {
					t.Errorf("%s, %v, mode %d: cut out and inside differ", name, a, mode)
				}
			}
			cut.Close()
		}
	}
}

func TestScattered_DrawsAscendingPositionsOnceForEachNetwork(t *testing.T) {
	rng := newRand(3)
	sp := space.Default()
	deepest := sp.Largest().Depth
	used := map[[2]int]int{} // of networks of depth 2 in the second stage: the positions
	for range 400 {
		a := sp.Sample(rng)
		p := scattered(a, deepest)
		if p != scattered(a, deepest) {
			t.Fatalf("%v stands at %v, and at %v", a, p, scattered(a, deepest))
		}
		for s, depth := range a.Depth {
			at := p[s][:depth]
			if at[0] != 0 || !slices.IsSorted(at) || len(slices.Compact(slices.Clone(at))) != len(at) || at[depth-1] >= int(deepest[s]) {
				t.Fatalf("%v, stage %d: blocks at %v", a, s+1, at)
			}
		}
		if a.Depth[1] == 2 {
			used[[2]int(p[1][:2])]++
		}
	}
	if len(used) != 3 || used[[2]int{0, 3}] < 20 {
		t.Errorf("two blocks of a stage stand at %v", used)
	}
}

func TestCut_OfACutIsTheSame(t *testing.T) {
	r := newRig(t)
	a := r.sp.Sample(r.rng)
	plain := must[*Plain](t)(NewPlain(r.ctx, r.net, a, r.rng))
	again := must[*Plain](t)(Cut(plain, a))
	if !sameBits(r.run(t, plain, a, nn.Train), r.run(t, again, a, nn.Train)) {
		t.Error("the copy of a plain network differs")
	}
}

func TestElastic_KernelTransformBeginsAsIdentity(t *testing.T) {
	r := newRig(t)
	m := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	small := space.Uniform([space.Stages]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3})
	cut := must[*Plain](t)(Cut(m, small))
	b := small.Blocks[1][0]
	large := gobind.Host[float32](m.blocks[1][0][b].depthwise.Weight.Value)
	got := gobind.Host[float32](cut.blocks[1][0][b].depthwise.Weight.Value)
	wide, narrow := m.blocks[1][0][b].depthwise.Weight.Value.Last(), cut.blocks[1][0][b].depthwise.Weight.Value.Last()
	for u := range 3 {
		for v := range 3 {
			for c := range narrow {
				if want := large[((u+1)*5+v+1)*wide+c]; got[(u*3+v)*narrow+c] != want {
					t.Fatalf("tap %d,%d of channel %d is %g, the 5x5 kernel's centre has %g", u, v, c, got[(u*3+v)*narrow+c], want)
				}
			}
		}
	}
}

func TestPlain_HasTheParametersThatTheSpaceCounts(t *testing.T) {
	r := newRig(t)
	for _, net := range []space.Network{r.net, space.DefaultNetwork(19)} {
		for _, a := range []space.Arch{space.Baseline(), space.HandScaled(), r.sp.Sample(r.rng)} {
			m := must[*Plain](t)(NewPlain(r.ctx, net, a, nil))
			var count int64
			for _, p := range m.Params() {
				if !strings.HasPrefix(p.Name, "aux.") {
					count += int64(p.Value.Elements())
				}
			}
			if want := net.Params(a); count != want {
				t.Errorf("%v: %d parameters without the auxiliary heads, the space counts %d", a, count, want)
			}
		}
	}
}

func TestForward_RefusesWhatTheModelDoesNotHold(t *testing.T) {
	r := newRig(t)
	m := must[*Plain](t)(NewPlain(r.ctx, r.net, space.Baseline(), r.rng))
	for _, a := range []space.Arch{space.HandScaled(), {}, {Depth: [space.Stages]uint8{9, 9, 9}}} {
		r.tape.Reset()
		m.Forward(r.tape, r.tape.Input(r.pictures), a, nn.Infer)
		if r.tape.Err() == nil {
			t.Errorf("%v ran in the baseline", a)
		}
		if _, err := Cut(m, a); err == nil {
			t.Errorf("%v was cut out of the baseline", a)
		}
	}
}

// step trains one step on random labels.
func (r *rig) step(t testing.TB, m Model, a space.Arch, labels gobind.Tensor) {
	t.Helper()
	r.tape.Reset()
	out := m.Forward(r.tape, r.tape.Input(r.pictures), a, nn.Train)
	target := nn.Target{Labels: labels, Ignore: 255}
	r.tape.CrossEntropy(out.Logits, target, 1)
	for _, aux := range out.Aux {
		r.tape.CrossEntropy(aux, target, 0.4)
	}
	if err := r.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	if _, err := (nn.SGD{Momentum: 0.9, WeightDecay: 4e-5}).Step(r.tape, 0.01); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) labels(t testing.TB) gobind.Tensor {
	t.Helper()
	labels, err := r.ctx.NewTensor(gobind.U8, 2, rigH, rigW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(labels.Buffer.Close)
	for i := range gobind.Host[uint8](labels) {
		gobind.Host[uint8](labels)[i] = uint8(r.rng.IntN(r.net.Classes))
	}
	return labels
}

// TestStep_MovesWhatTheArchitectureUses: after a step, what is outside the sub-network is as before, and the cut-out network trained
// by itself has moved to the same bits.
func TestStep_MovesWhatTheArchitectureUses(t *testing.T) {
	r := newRig(t)
	labels := r.labels(t)
	for name, m := range r.supernets(t) {
		a := r.sp.Sample(r.rng)
		a.Blocks[0][0] = space.Block{Kernel: 5, Expand: 3} // no transform here: the cut has the supernet's own weights

		cut := must[*Plain](t)(Cut(m, a))
		before, err := State(m, true)
		if err != nil {
			t.Fatal(err)
		}
		r.step(t, m, a, labels)
		r.step(t, cut, a, labels)
		after, err := State(m, true)
		if err != nil {
			t.Fatal(err)
		}
		changed := 0
		for i := range before {
			for k := range before[i].Data {
				if before[i].Data[k] != after[i].Data[k] {
					changed++
				}
			}
		}
		own := 0
		for _, p := range cut.Params() {
			own += p.Value.Elements()
		}
		// A value, its momentum, and two statistics a norm; transforms (81 a layer) are not in the cut network.
		if changed < own || changed > 3*own {
			t.Errorf("%s: %d values changed, the sub-network has %d parameters", name, changed, own)
		}
		expand := m.(interface{ parts() *network }).parts().blocks[0][0][a.Blocks[0][0]].expand.Weight.Value
		mine := cut.blocks[0][0][a.Blocks[0][0]].expand.Weight.Value
		if dense := r.dense(t, expand.Prefix(mine.Shape[0], mine.Shape[1])); !sameBits(dense, gobind.Host[float32](mine)) {
			t.Errorf("%s: the same step moved the sub-network differently inside and cut out", name)
		}

	}
}

func (r *rig) dense(t testing.TB, view gobind.Tensor) []float32 {
	t.Helper()
	copied, err := r.ctx.NewTensor(gobind.F32, view.Shape[0], view.Shape[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(copied.Buffer.Close)
	if err := r.tape.Stream().Copy(view, copied); err != nil {
		t.Fatal(err)
	}
	return gobind.Host[float32](copied)
}

func TestStep_AllocatesNothingAfterTheFirst(t *testing.T) {
	r := newRig(t)
	labels := r.labels(t)
	m := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	a := r.sp.Sample(r.rng)
	r.step(t, m, a, labels)
	memory := r.tape.MemoryBytes()
	if n := testing.AllocsPerRun(3, func() { r.step(t, m, a, labels) }); n > 0 {
		t.Errorf("%v Go allocations per step", n)
	}
	if r.tape.MemoryBytes() != memory {
		t.Errorf("device memory grew from %d to %d bytes", memory, r.tape.MemoryBytes())
	}
}

func TestState_LoadsBackAndContinuesBitEqual(t *testing.T) {
	r := newRig(t)
	labels := r.labels(t)
	first := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, r.rng))
	a, b := r.sp.Sample(r.rng), r.sp.Sample(r.rng)
	r.step(t, first, a, labels)
	state, err := State(first, true)
	if err != nil {
		t.Fatal(err)
	}
	second := must[*Elastic](t)(NewElastic(r.ctx, r.net, r.sp, nil))
	if err := Load(second, state); err != nil {
		t.Fatal(err)
	}
	for _, m := range []Model{first, second} {
		r.step(t, m, b, labels)
	}
	if !sameBits(r.run(t, first, b, nn.Train), r.run(t, second, b, nn.Train)) {
		t.Error("training goes on differently from a loaded state")
	}
	seen := map[string]bool{}
	for _, entry := range state {
		if seen[entry.Name] {
			t.Errorf("two tensors are named %s", entry.Name)
		}
		seen[entry.Name] = true
	}
}

func TestLoad_RefusesAnotherModelsStateAndChangesNothing(t *testing.T) {
	r := newRig(t)
	m := must[*Plain](t)(NewPlain(r.ctx, r.net, space.Baseline(), r.rng))
	state, err := State(m, false)
	if err != nil {
		t.Fatal(err)
	}
	before := r.run(t, m, space.Baseline(), nn.Infer)
	with := func(change func(s []NamedTensor) []NamedTensor) []NamedTensor {
		changed := make([]NamedTensor, len(state))
		for i, e := range state {
			data := make([]float32, len(e.Data))
			changed[i] = NamedTensor{e.Name, append([]int(nil), e.Shape...), data}
		}
		return change(changed)
	}
	for _, c := range []struct {
		state []NamedTensor
		text  string
	}{
		{with(func(s []NamedTensor) []NamedTensor { return s[1:] }), "stem.conv.weight is missing"},
		{with(func(s []NamedTensor) []NamedTensor { return append(s, NamedTensor{Name: "more"}) }), "of which the model has only"},
		{with(func(s []NamedTensor) []NamedTensor { s[0].Shape[0]++; return s }), "has shape [28 32], the model's has [27 32]"},
		{with(func(s []NamedTensor) []NamedTensor { s[0].Data = s[0].Data[1:]; return s }), "holds 863 values"},
		{with(func(s []NamedTensor) []NamedTensor { return append(s, s[0]) }), "is there twice"},
	} {
		if err := Load(m, c.state); err == nil || !misuse.Is(err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want misuse with %q", err, c.text)
		}
	}
	if !sameBits(before, r.run(t, m, space.Baseline(), nn.Infer)) {
		t.Error("a refused state changed the model")
	}
}

func TestLayers_SessionAgreesWithTheTape(t *testing.T) {
	r := newRig(t)
	elastic := r.supernets(t)["elastic"]
	for _, a := range []space.Arch{space.Baseline(), r.sp.Sample(r.rng), r.sp.Sample(r.rng)} {
		m := must[*Plain](t)(Cut(elastic, a))
		layers, err := m.Layers()
		if err != nil {
			t.Fatal(err)
		}
		groups := layers[len(layers)-1].Group + 1
		if ops := r.net.Ops(a, rigH, rigW); groups != len(ops) {
			t.Errorf("%v: %d timing groups, %d operations", a, groups, len(ops))
		}
		session, err := r.ctx.NewSession(layers, 2, rigH, rigW, 3, gobind.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(session.Close)
		labels := make([]uint8, session.OutputBytes())
		if err := session.Run(gobind.Host[float32](r.pictures), labels, nil); err != nil {
			t.Fatal(err)
		}
		r.run(t, m, a, nn.Infer)
		out := m.Forward(r.tape, r.tape.Input(r.pictures), a, nn.Infer)
		want := r.labels(t)
		if err := r.tape.Stream().Argmax(r.tape.Activation(out.Logits), want); err != nil {
			t.Fatal(err)
		}
		agree := 0
		for i, l := range gobind.Host[uint8](want) {
			if labels[i] == l {
				agree++
			}
		}
		if share := float64(agree) / float64(len(labels)); share < 0.999 {
			t.Errorf("%v: session and tape agree on %.4f of the pixels", a, share)
		}
		r.logitsAgree(t, layers, r.tape.Activation(out.Logits))
		r.outlineMeasures(t, m, layers)
	}
}

// logitsAgree compares a session of all layers but the label map with the tape's logits.
func (r *rig) logitsAgree(t *testing.T, layers []gobind.Layer, want gobind.Tensor) {
	t.Helper()
	session, err := r.ctx.NewSession(layers[:len(layers)-1], 2, rigH, rigW, 3, gobind.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	logits := make([]float32, want.Elements())
	if err := session.RunFloat32(gobind.Host[float32](r.pictures), logits, nil); err != nil {
		t.Fatal(err)
	}
	var scale, worst float64
	for i, w := range gobind.Host[float32](want) {
		scale = max(scale, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(w-logits[i])))
	}
	if worst > 1e-4*scale {
		t.Errorf("logits of up to %g differ by %g", scale, worst)
	}
}

func TestForward_OddSizesAndInferenceMemory(t *testing.T) {
	r := newRig(t)
	m := must[*Plain](t)(NewPlain(r.ctx, r.net, space.HandScaled(), r.rng))
	for _, size := range [][2]int{{1, 1}, {7, 9}, {45, 60}, {97, 64}} {
		x, err := r.ctx.NewTensor(gobind.F32, 1, size[0], size[1], 3)
		if err != nil {
			t.Fatal(err)
		}
		r.tape.Reset()
		out := m.Forward(r.tape, r.tape.Input(x), space.HandScaled(), nn.Infer)
		if r.tape.Err() != nil {
			t.Fatal(r.tape.Err())
		}
		got := r.tape.Activation(out.Logits)
		if got.Shape[1] != (size[0]+7)/8 || got.Shape[2] != (size[1]+7)/8 || got.Last() != r.net.Classes {
			t.Errorf("%v: logits of shape %v", size, got.Shape)
		}
		x.Buffer.Close()
	}
}
