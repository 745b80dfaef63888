package nn

import (
	"math"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// miniature is a network with every kind of layer.
type miniature struct {
	stem            *ConvBN
	expand, project *PWConvBN
	depthwise       *DWConvBN
	logits          *Classifier
}

func newMiniature(s *Store) *miniature {
	return &miniature{
		s.NewConvBN("stem", 3, 8, 2), s.NewPWConvBN("expand", 8, 48, true), s.NewPWConvBN("project", 48, 8, false),
		s.NewDWConvBN("depthwise", 48, 5, 3, 1), s.NewClassifier("logits", 8, 4),
	}
}

func (m *miniature) forward(t *Tape, pictures gobind.Tensor, middle, kernel int, mode Mode) Value {
	x := m.stem.Forward(t, t.Input(pictures), mode)
	h := m.expand.Forward(t, x, middle, mode)
	h2 := m.depthwise.Forward(t, h, kernel, mode)
	t.Drop(h)
	y := t.Add(x, m.project.Forward(t, h2, 8, mode))
	t.Drop(h2)
	t.Drop(x)
	return m.logits.Forward(t, y, mode)
}

func (b *bench) labels(t *testing.T, n, h, w, classes int) gobind.Tensor {
	t.Helper()
	labels, err := b.ctx.NewTensor(gobind.U8, n, h, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(labels.Buffer.Close)
	for i := range gobind.Host[uint8](labels) {
		gobind.Host[uint8](labels)[i] = uint8(b.rng.IntN(classes))
	}
	return labels
}

func mustStore(t *testing.T, b *bench) {
	t.Helper()
	if b.store.Err() != nil {
		t.Fatal(b.store.Err())
	}
}

func TestTape_TrainingLowersTheLoss(t *testing.T) {
	b := newBench(t, 1)
	net := newMiniature(b.store)
	mustStore(t, b)
	pictures, target := b.random(t, 2, 16, 20, 3), Target{Labels: b.labels(t, 2, 16, 20, 4), Ignore: 255}
	sgd := SGD{Momentum: 0.9, WeightDecay: 4e-5, ClipNorm: 5}
	var first, last float64
	for step := range 30 {
		b.tape.Reset()
		logits := net.forward(b.tape, pictures, 48, 5, Train)
		loss := b.tape.CrossEntropy(logits, target, 1)
		value, pixels, err := b.tape.LossValue(loss)
		if err != nil || pixels != 2*16*20 {
			t.Fatal(err, pixels)
		}
		if err := b.tape.Backward(); err != nil {
			t.Fatal(err)
		}
		if _, err := sgd.Step(b.tape, 0.05); err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = value
		}
		last = value
	}
	if last > 0.9*first {
		t.Errorf("loss went from %g to %g", first, last)
	}
}

func TestTape_RepeatedStepAllocatesNothing(t *testing.T) {
	b := newBench(t, 2)
	net := newMiniature(b.store)
	mustStore(t, b)
	pictures, target := b.random(t, 2, 17, 22, 3), Target{Labels: b.labels(t, 2, 17, 22, 4), Ignore: 255}
	sgd := SGD{Momentum: 0.9, WeightDecay: 4e-5, ClipNorm: 1}
	step := func() {
		b.tape.Reset()
		for _, kernel := range []int{3, 5} { // a different architecture each pass, a step each
			loss := b.tape.CrossEntropy(net.forward(b.tape, pictures, 24, kernel, Train), target, 0.5)
			if _, _, err := b.tape.LossValue(loss); err != nil {
				t.Fatal(err)
			}
			if err := b.tape.Backward(); err != nil {
				t.Fatal(err)
			}
			if _, err := sgd.Step(b.tape, 0.01); err != nil {
				t.Fatal(err)
			}
		}
	}
	step()
	memory := b.tape.MemoryBytes()
	if n := testing.AllocsPerRun(5, step); n != 0 {
		t.Errorf("%v Go allocations per step", n)
	}
	if b.tape.MemoryBytes() != memory {
		t.Errorf("device memory grew from %d to %d bytes", memory, b.tape.MemoryBytes())
	}
	b.tape.Reset()
	if len(b.tape.arena.free) != len(b.tape.arena.chunks) {
		t.Errorf("after a reset %d spans are free in %d chunks: memory leaked", len(b.tape.arena.free), len(b.tape.arena.chunks))
	}
}

func TestTape_SameStepSameBits(t *testing.T) {
	run := func() []float32 {
		b := newBench(t, 7)
		net := newMiniature(b.store)
		mustStore(t, b)
		pictures, target := b.random(t, 2, 16, 20, 3), Target{Labels: b.labels(t, 2, 16, 20, 4), Ignore: 255}
		for range 3 {
			b.tape.Reset()
			b.tape.CrossEntropy(net.forward(b.tape, pictures, 24, 3, Train), target, 1)
			if err := b.tape.Backward(); err != nil {
				t.Fatal(err)
			}
			if _, err := (SGD{Momentum: 0.9}).Step(b.tape, 0.1); err != nil {
				t.Fatal(err)
			}
		}
		var all []float32
		for _, p := range b.store.Params() {
			all = append(all, gobind.Host[float32](p.Value)...)
		}
		return all
	}
	first, second := run(), run()
	for i := range first {
		if math.Float32bits(first[i]) != math.Float32bits(second[i]) {
			t.Fatalf("value %d is %g once and %g again", i, first[i], second[i])
		}
	}
}

// TestTape_LookingAtActivationsChangesNothing asks for the activations of layers whose readers compute them on the way.
func TestTape_LookingAtActivationsChangesNothing(t *testing.T) {
	run := func(look bool) (all []float32) {
		b := newBench(t, 14)
		net := newMiniature(b.store)
		mustStore(t, b)
		x := net.stem.Forward(b.tape, b.tape.Input(b.random(t, 2, 16, 20, 3)), Train)
		h := net.expand.Forward(b.tape, x, 48, Train)
		if look {
			for _, v := range gobind.Host[float32](b.tape.Activation(h)) {
				if !(v >= 0) {
					t.Fatalf("an activation behind ReLU is %g", v)
				}
			}
		}
		y := net.project.Forward(b.tape, net.depthwise.Forward(b.tape, h, 5, Train), 8, Train)
		logits := net.logits.Forward(b.tape, b.tape.Add(x, y), Train)
		b.tape.CrossEntropy(logits, Target{Labels: b.labels(t, 2, 16, 20, 4), Ignore: 255}, 1)
		if err := b.tape.Backward(); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.store.Params() {
			if _, ok := p.Used(); ok {
				all = append(all, gobind.Host[float32](p.Grad)...)
			}
		}
		return all
	}
	unseen, seen := run(false), run(true)
	for i := range unseen {
		if math.Float32bits(unseen[i]) != math.Float32bits(seen[i]) {
			t.Fatalf("gradient %d is %g, and %g after somebody looked", i, unseen[i], seen[i])
		}
	}
}

// TestSGD_LeavesUnusedPartsAlone poisons all gradients, so that reading one that was not computed would show.
func TestSGD_LeavesUnusedPartsAlone(t *testing.T) {
	b := newBench(t, 4)
	net := newMiniature(b.store)
	unused := b.store.NewConvBN("unused", 3, 8, 1)
	mustStore(t, b)
	pictures, target := b.random(t, 1, 12, 14, 3), Target{Labels: b.labels(t, 1, 12, 14, 4), Ignore: 255}
	before := map[*Param][]float32{}
	for _, p := range b.store.Params() {
		grads, momenta := gobind.Host[float32](p.Grad), gobind.Host[float32](p.Momentum)
		for i := range grads {
			grads[i], momenta[i] = float32(math.NaN()), 0.25
		}
		before[p] = append([]float32(nil), gobind.Host[float32](p.Value)...)
	}
	const middle = 16
	b.tape.CrossEntropy(net.forward(b.tape, pictures, middle, 3, Train), target, 1)
	if err := b.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	if _, err := (SGD{Momentum: 0.9, WeightDecay: 0.1, ClipNorm: 1e6}).Step(b.tape, 0.1); err != nil {
		t.Fatal(err)
	}
	used := func(p *Param, i int) bool {
		column, row := i%p.Value.Last(), i/p.Value.Last()
		switch p {
		case unused.Weight, unused.BN.Gamma, unused.BN.Beta:
			return false
		case net.depthwise.Weight: // kernel 3: the centre of 5x5
			u, v := row/5, row%5
			return column < middle && u >= 1 && u <= 3 && v >= 1 && v <= 3
		case net.expand.Weight, net.expand.BN.Gamma, net.expand.BN.Beta, net.depthwise.BN.Gamma, net.depthwise.BN.Beta:
			return column < middle
		case net.project.Weight:
			return row < middle
		}
		return true
	}
	for _, p := range b.store.Params() {
		values, momenta := gobind.Host[float32](p.Value), gobind.Host[float32](p.Momentum)
		for i := range values {
			changed := values[i] != before[p][i] || momenta[i] != 0.25
			if changed != used(p, i) || math.IsNaN(float64(values[i])) {
				t.Errorf("%s[%d]: value %g, before %g, momentum %g; used: %v", p.Name, i, values[i], before[p][i], momenta[i], used(p, i))
				break
			}
		}
		if _, ok := p.Used(); ok {
			t.Errorf("%s still has a gradient after the step", p.Name)
		}
	}
}

func TestSGD_ClipsToTheNormAndRefusesDivergence(t *testing.T) {
	b := newBench(t, 5)
	logits := b.store.NewClassifier("logits", 3, 4)
	mustStore(t, b)
	pictures := b.random(t, 1, 4, 4, 3)
	gradient := func(r gobind.Tensor) {
		b.tape.Reset()
		y := logits.Forward(b.tape, b.tape.Input(pictures), Train)
		b.tape.seed(y, r)
		if err := b.tape.Backward(); err != nil {
			t.Fatal(err)
		}
	}
	r := b.random(t, 1, 4, 4, 4)
	before := append([]float32(nil), gobind.Host[float32](logits.Weight.Value)...)
	beforeBias := append([]float32(nil), gobind.Host[float32](logits.Bias.Value)...)
	gradient(r)
	norm, err := (SGD{ClipNorm: 0.5}).Step(b.tape, 1)
	if err != nil || norm < 1 {
		t.Fatal(norm, err)
	}
	var moved float64
	for i, v := range gobind.Host[float32](logits.Weight.Value) {
		moved += float64(v-before[i]) * float64(v-before[i])
	}
	for i, v := range gobind.Host[float32](logits.Bias.Value) {
		moved += float64(v-beforeBias[i]) * float64(v-beforeBias[i])
	}
	if math.Abs(math.Sqrt(moved)-0.5) > 1e-4 {
		t.Errorf("a gradient clipped to norm 0.5 moved the weights by %g", math.Sqrt(moved))
	}
	before = append(before[:0], gobind.Host[float32](logits.Weight.Value)...)
	gobind.Host[float32](r)[3] = float32(math.Inf(1))
	gradient(r)
	if _, err := (SGD{ClipNorm: 0.5}).Step(b.tape, 1); err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("an infinite gradient: %v", err)
	}
	for i, v := range gobind.Host[float32](logits.Weight.Value) {
		if v != before[i] {
			t.Fatal("an infinite gradient moved the weights")
		}
	}
}

func TestTape_PassesAccumulateUntilTheStep(t *testing.T) {
	b := newBench(t, 6)
	logits := b.store.NewClassifier("logits", 3, 2)
	mustStore(t, b)
	pictures, r := b.random(t, 1, 3, 3, 3), b.random(t, 1, 3, 3, 2)
	var once []float32
	for pass := range 2 {
		b.tape.Reset()
		b.tape.seed(logits.Forward(b.tape, b.tape.Input(pictures), Train), r)
		if err := b.tape.Backward(); err != nil {
			t.Fatal(err)
		}
		grad := gobind.Host[float32](logits.Weight.Grad)
		if pass == 0 {
			once = append(once, grad...)
			continue
		}
		for i, g := range grad {
			if math.Abs(float64(g-2*once[i])) > 1e-5 {
				t.Errorf("gradient %d is %g after two passes, %g after one", i, g, once[i])
			}
		}
	}
}

func TestBatchNorm_RecalibrationIsTheMeanOverBatches(t *testing.T) {
	b := newBench(t, 8)
	layer := b.store.NewPWConvBN("layer", 3, 5, true)
	mustStore(t, b)
	var want [2][5]float64
	batches := make([]gobind.Tensor, 4)
	for i := range batches {
		batches[i] = b.random(t, 2, 4, 5, 3)
	}
	for _, x := range batches {
		b.tape.Reset()
		layer.Forward(b.tape, b.tape.Input(x), 5, Recalibrate(0))
		for c := range 5 {
			want[0][c] += float64(gobind.Host[float32](layer.BN.Mean)[c]) / float64(len(batches))
			want[1][c] += float64(gobind.Host[float32](layer.BN.Variance)[c]) / float64(len(batches))
		}
	}
	for i, x := range batches {
		b.tape.Reset()
		layer.Forward(b.tape, b.tape.Input(x), 5, Recalibrate(i))
	}
	if b.tape.Err() != nil {
		t.Fatal(b.tape.Err())
	}
	for c := range 5 {
		for k, got := range []float32{gobind.Host[float32](layer.BN.Mean)[c], gobind.Host[float32](layer.BN.Variance)[c]} {
			if math.Abs(float64(got)-want[k][c]) > 1e-5*(1+math.Abs(want[k][c])) {
				t.Errorf("channel %d, statistic %d: %g, mean over the batches %g", c, k, got, want[k][c])
			}
		}
	}
}

func TestTape_FrozenForwardIsInference(t *testing.T) {
	b := newBench(t, 9)
	net := newMiniature(b.store)
	mustStore(t, b)
	pictures := b.random(t, 1, 9, 11, 3)
	for _, bn := range b.store.Norms() {
		b.perturb(bn.Mean, 0.5)
	}
	logits := func(mode Mode) []float32 {
		b.tape.Reset()
		y := net.forward(b.tape, pictures, 24, 3, mode)
		if b.tape.Err() != nil {
			t.Fatal(b.tape.Err())
		}
		return append([]float32(nil), gobind.Host[float32](b.tape.Activation(y))...)
	}
	infer, frozen := logits(Infer), logits(TrainFrozen)
	for i := range infer {
		if infer[i] != frozen[i] {
			t.Fatalf("logit %d: %g by inference, %g frozen", i, infer[i], frozen[i])
		}
	}
}

func TestTape_InferenceReusesDroppedMemory(t *testing.T) {
	b := newBench(t, 10)
	layer := b.store.NewPWConvBN("layer", 16, 16, true)
	mustStore(t, b)
	x := b.tape.Input(b.random(t, 1, 64, 64, 16))
	for range 200 { // 52 MB in all
		y := layer.Forward(b.tape, x, 16, Infer)
		b.tape.Drop(x)
		x = y
	}
	if b.tape.Err() != nil || b.tape.MemoryBytes() > leastChunk {
		t.Errorf("%d bytes held, %v", b.tape.MemoryBytes(), b.tape.Err())
	}
}

func TestTape_KeepsTheFirstFailure(t *testing.T) {
	b := newBench(t, 11)
	layer := b.store.NewPWConvBN("layer", 4, 8, true)
	depthwise := b.store.NewDWConvBN("filter", 8, 5, 5, 1)
	mustStore(t, b)
	pictures := b.random(t, 1, 4, 4, 4)
	for _, c := range []struct {
		run  func(x Value)
		text string
	}{
		{func(x Value) { layer.Forward(b.tape, x, 9, Train) }, "layer.weight: 4 x 9 channels wanted of a layer of 4 x 8"},
		{func(x Value) { depthwise.Forward(b.tape, layer.Forward(b.tape, x, 8, Train), 3, Train) }, "filter.weight: 8 channels and kernel 3 wanted"},
		{func(x Value) { b.tape.Add(x, layer.Forward(b.tape, x, 8, Train)) }, "residual"},
		{func(x Value) {
			y := layer.Forward(b.tape, x, 4, Train)
			b.tape.Add(x, y)
			layer.Forward(b.tape, y, 4, Train)
		}, "consumed"},
		{func(x Value) {
			for _, width := range []int{8, 4} { // gradients come in the opposite order
				y := layer.Forward(b.tape, x, width, Train)
				b.tape.seed(y, b.tape.Activation(y))
			}
			_ = b.tape.Backward()
		}, "beyond the step's first one"},
	} {
		b.tape.Reset()
		c.run(b.tape.Input(pictures))
		first := b.tape.Err()
		if first == nil || !strings.Contains(first.Error(), c.text) {
			t.Errorf("%v, want %q", first, c.text)
		}
		layer.Forward(b.tape, Value{}, 99, Train) // does nothing
		if b.tape.Err() != first || b.tape.Backward() == nil {
			t.Errorf("the first failure was replaced by %v", b.tape.Err())
		}
		b.tape.DiscardGradients()
	}
	b.tape.Reset()
	if y := layer.Forward(b.tape, b.tape.Input(pictures), 8, Train); b.tape.Err() != nil || y.Channels() != 8 {
		t.Errorf("after a reset: %v", b.tape.Err())
	}
}

func TestStore_DrawsByFanIn(t *testing.T) {
	b := newBench(t, 12)
	for _, c := range []struct {
		p     *Param
		fanIn float64
	}{
		{b.store.NewConvBN("dense", 16, 64, 1).Weight, 9 * 16},
		{b.store.NewDWConvBN("depthwise", 512, 5, 5, 1).Weight, 25},
		{b.store.NewPWConvBN("pointwise", 64, 96, true).Weight, 64},
	} {
		mustStore(t, b)
		values := gobind.Host[float32](c.p.Value)
		var sum, squares float64
		for _, v := range values {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		n := float64(len(values))
		if want := 2 / c.fanIn; math.Abs(squares/n-want) > 0.1*want || math.Abs(sum/n) > 5*math.Sqrt(want/n) {
			t.Errorf("%s: mean %g, variance %g, want 0 and %g", c.p.Name, sum/n, squares/n, want)
		}
		if !c.p.Decay {
			t.Errorf("%s: no weight decay", c.p.Name)
		}
	}
	for _, p := range b.store.Params() {
		if p.Decay != strings.HasSuffix(p.Name, ".weight") {
			t.Errorf("%s: weight decay %v", p.Name, p.Decay)
		}
	}
}

func TestProfile_CountsEveryOperation(t *testing.T) {
	b := newBench(t, 13)
	net := newMiniature(b.store)
	mustStore(t, b)
	var p Profile
	b.tape.SetProfile(&p)
	pictures, target := b.random(t, 1, 8, 8, 3), Target{Labels: b.labels(t, 1, 8, 8, 4), Ignore: 255}
	b.tape.CrossEntropy(net.forward(b.tape, pictures, 48, 3, Train), target, 1)
	if err := b.tape.Backward(); err != nil {
		t.Fatal(err)
	}
	b.tape.SetProfile(nil)
	table := p.Table(1)
	for _, want := range []string{"pwconv backward", "batchnorm backward", "ktransform backward", "cross-entropy"} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %q in\n%s", want, table)
		}
	}
	if p.calls[opBatchNorm] != 4 || p.Total() <= 0 {
		t.Errorf("%d batch norms counted, want 4; total %v", p.calls[opBatchNorm], p.Total())
	}
}
