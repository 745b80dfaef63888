package known

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

const (
	rigN       = 2
	rigClasses = 5
)

// rig is a tape, a model whose statistics are those of random pictures, and the pictures.
type rig struct {
	ctx      *gobind.Context
	tape     *nn.Tape
	model    *Model
	pictures gobind.Tensor
}

func must[V any](t *testing.T) func(v V, err error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newRig(t *testing.T, name string, h, w int) *rig {
	t.Helper()
	ctx := must[*gobind.Context](t)(gobind.NewContext(gobind.Options{Threads: 2}))
	t.Cleanup(ctx.Close)
	r := &rig{ctx: ctx, tape: must[*nn.Tape](t)(nn.NewTape(ctx))}
	t.Cleanup(r.tape.Close)
	rng := rand.New(rand.NewPCG(3, 4))
	r.model = must[*Model](t)(New(ctx, must[graph.Network](t)(graph.Named(name, rigClasses)), rng))
	t.Cleanup(r.model.Close)
	r.pictures = must[gobind.Tensor](t)(ctx.NewTensor(gobind.F32, rigN, h, w, 3))
	t.Cleanup(r.pictures.Buffer.Close)
	for i := range gobind.Host[float32](r.pictures) {
		gobind.Host[float32](r.pictures)[i] = float32(rng.NormFloat64())
	}
	for _, p := range r.model.Params() { // away from zeros and ones
		for i := range gobind.Host[float32](p.Value) {
			gobind.Host[float32](p.Value)[i] *= float32(1 + 0.1*rng.NormFloat64())
		}
	}
	r.logits(t, nn.Recalibrate(0))
	return r
}

func (r *rig) logits(t *testing.T, mode nn.Mode) gobind.Tensor {
	t.Helper()
	r.tape.Reset()
	out := r.model.Forward(r.tape, r.tape.Input(r.pictures), space.Arch{}, mode)
	logits := r.tape.Activation(out.Logits)
	if r.tape.Err() != nil {
		t.Fatal(r.tape.Err())
	}
	return logits
}

// eachNetwork runs a test on every known network, at a size where halvings round up and bins share rows.
func eachNetwork(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, name := range graph.Names() {
		t.Run(name, func(t *testing.T) { test(t, newRig(t, name, 205, 237)) })
	}
}

func TestLayers_SessionAgreesWithTheTape(t *testing.T) {
	eachNetwork(t, func(t *testing.T, r *rig) {
		layers := must[[]gobind.Layer](t)(r.model.Layers())
		want := r.logits(t, nn.Infer)
		session := must[*gobind.Session](t)(r.ctx.NewSession(layers[:len(layers)-1], rigN, 205, 237, 3, gobind.SessionOptions{}))
		defer session.Close()
		got := make([]float32, want.Elements())
		if err := session.RunFloat32(gobind.Host[float32](r.pictures), got, nil); err != nil {
			t.Fatal(err)
		}
		var scale, worst float64
		for i, v := range gobind.Host[float32](want) {
			scale = max(scale, math.Abs(float64(v)))
			worst = max(worst, math.Abs(float64(v-got[i])))
		}
		if !(worst <= 1e-4*scale) || scale == 0 {
			t.Errorf("logits of up to %g differ by %g", scale, worst)
		}
	})
}

func TestForward_LogitsHaveTheGraphsShapeAtAnySize(t *testing.T) {
	eachNetwork(t, func(t *testing.T, r *rig) {
		for _, size := range [][2]int{{1, 1}, {33, 70}, {96, 64}} {
			x := must[gobind.Tensor](t)(r.ctx.NewTensor(gobind.F32, 1, size[0], size[1], 3))
			r.tape.Reset()
			out := r.model.Forward(r.tape, r.tape.Input(x), space.Arch{}, nn.Infer)
			if r.tape.Err() != nil {
				t.Fatal(r.tape.Err())
			}
			g := r.model.Graph()
			h, w := out.Logits.Size()
			if got := (graph.Shape{H: h, W: w, C: out.Logits.Channels()}); got != g.Shapes(size[0], size[1])[g.Logits] {
				t.Errorf("%v: logits of %v", size, got)
			}
			x.Buffer.Close()
		}
	})
}

func TestParams_AreTheGraphsCount(t *testing.T) {
	eachNetwork(t, func(t *testing.T, r *rig) {
		heads, all := int64(0), int64(0)
		for _, p := range r.model.Params() {
			all += int64(p.Value.Elements())
			if len(p.Name) > 4 && p.Name[:4] == "aux." {
				heads += int64(p.Value.Elements())
			}
		}
		if want := r.model.Graph().Params(); all-heads != want {
			t.Errorf("%d parameters beside the auxiliary heads, the graph counts %d", all-heads, want)
		}
	})
}

// Training on one batch brings its loss down, whatever a random start makes of the first steps.
func TestModel_LearnsABatch(t *testing.T) {
	for _, name := range graph.Names() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, name, 64, 96)
			labels := must[gobind.Tensor](t)(r.ctx.NewTensor(gobind.U8, rigN, 64, 96))
			defer labels.Buffer.Close()
			for i := range gobind.Host[uint8](labels) {
				gobind.Host[uint8](labels)[i] = uint8(i % 96 * rigClasses / 96)
			}
			var first, last float64
			for step := range 12 {
				r.tape.Reset()
				out := r.model.Forward(r.tape, r.tape.Input(r.pictures), space.Arch{}, nn.Train)
				if len(out.Aux) != len(r.model.Graph().Aux) {
					t.Fatalf("%d auxiliary logits, the graph has %d", len(out.Aux), len(r.model.Graph().Aux))
				}
				target := nn.Target{Labels: labels, Ignore: 255}
				main := r.tape.CrossEntropy(out.Logits, target, 1)
				for _, aux := range out.Aux {
					r.tape.CrossEntropy(aux, target, 0.4)
				}
				last, _, _ = r.tape.LossValue(main)
				if step == 0 {
					first = last
				}
				if err := r.tape.Backward(); err != nil {
					t.Fatal(err)
				}
				if _, err := (nn.SGD{Momentum: 0.9}).Step(r.tape, 0.05); err != nil {
					t.Fatal(err)
				}
			}
			if !(last < 0.7*first) {
				t.Errorf("the loss went from %.3f to %.3f in 12 steps", first, last)
			}
		})
	}
}

func TestState_LoadedModelGivesTheSameBits(t *testing.T) {
	eachNetwork(t, func(t *testing.T, r *rig) {
		state := must[[]supernet.NamedTensor](t)(supernet.State(r.model, true))
		want := append([]float32(nil), gobind.Host[float32](r.logits(t, nn.Infer))...)
		first := r.model
		r.model = must[*Model](t)(New(r.ctx, first.Graph(), nil))
		defer r.model.Close()
		if err := supernet.Load(r.model, state); err != nil {
			t.Fatal(err)
		}
		for i, v := range gobind.Host[float32](r.logits(t, nn.Infer)) {
			if math.Float32bits(v) != math.Float32bits(want[i]) {
				t.Fatalf("logit %d is %g, was %g", i, v, want[i])
			}
		}
	})
}
