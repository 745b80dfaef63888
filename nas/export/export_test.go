package export

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

const smallest = "k3e1_k3e1_k3e1"

var testAbout = About{Version: "0.0.1", Classes: []string{"left", "right of \"it\""}, Colors: [][3]int{{1, 2, 3}, {4, 5, 6}}, Mean: 0.5, Std: 0.25}

func open(t testing.TB) *gobind.Context {
	t.Helper()
	ctx, err := gobind.NewContext(gobind.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ctx.Close)
	return ctx
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

// randomNetwork is a network of small widths, so that its file stays small, unless net says otherwise.
func randomNetwork(t testing.TB, ctx *gobind.Context, net space.Network, a space.Arch, rng *rand.Rand) Network {
	t.Helper()
	model, err := NewRandom(ctx, net, a, rng)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	n, err := Of(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range n.Names {
		known := slices.Contains([]string{"fuse.upsample", "head.labels"}, name)
		for _, p := range model.Params() {
			known = known || strings.HasPrefix(p.Name, name+".")
		}
		if !known {
			t.Errorf("layer %s has no parameter of its name", name)
		}
	}
	return n
}

func build(t testing.TB, n Network, o Options) *Model {
	t.Helper()
	m, err := Build(n, testAbout, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func narrow(classes int) space.Network {
	return space.Network{Classes: classes, Strides: [space.Stages]int{1, 2, 2}, Widths: [space.Stages]int{8, 12, 16}}
}

func parsed(t testing.TB, text string) space.Arch {
	t.Helper()
	a, err := space.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBuild_BaselineIsWhatItShouldBe(t *testing.T) {
	n := randomNetwork(t, open(t), space.DefaultNetwork(19), space.Baseline(), newRand(1))
	m := build(t, n, Options{1, 360, 481, Labels})
	count := map[string]int{}
	for _, node := range m.Graph.Nodes {
		count[node.Op]++
	}
	// 5 convolutions in the stem, 3 in each of 9 blocks, 2 in the detail branch, 5 in the head; all have a ReLU but 9 projections and the
	// classifier. Six blocks have a shortcut besides the first stage's third, which stride 1 and 64 channels give one too.
	want := map[string]int{"Conv": 39, "Relu": 29, "Add": 8, "Resize": 2, "ArgMax": 1, "Cast": 1}
	if !reflect.DeepEqual(count, want) {
		t.Errorf("nodes %v, should be %v", count, want)
	}
	for name, shape := range map[string][]int64{
		"stem.conv.weight": {32, 3, 3, 3}, "stem.sep1.depthwise.weight": {32, 1, 3, 3}, "stage2.block1.expand.weight": {384, 64, 1, 1},
		"stage2.block1.depthwise.weight": {384, 1, 3, 3}, "head.classifier.bias": {19}, "fuse.upsample.sizes": {4},
	} {
		i := slices.IndexFunc(m.Graph.Weights, func(w Tensor) bool { return w.Name == name })
		if i < 0 || !slices.Equal(m.Graph.Weights[i].Shape, shape) {
			t.Errorf("constant %s is not there with shape %v", name, shape)
		}
	}
	if in := m.Graph.Input; in.Name != "picture" || in.Type != Float || !slices.Equal(in.Shape, []int64{1, 3, 360, 481}) {
		t.Errorf("input %v", in)
	}
	if out := m.Graph.Output; out.Name != "labels" || out.Type != Uint8 || !slices.Equal(out.Shape, []int64{1, 360, 481}) {
		t.Errorf("output %v", out)
	}
	if out := build(t, n, Options{2, 360, 481, Logits}).Graph.Output; out.Name != "logits" || out.Type != Float || !slices.Equal(out.Shape, []int64{2, 19, 45, 61}) {
		t.Errorf("output %v", out)
	}
	for key, want := range map[string]string{
		KeyVersion: "0.0.1", KeyArch: space.Baseline().String(), KeyClasses: `["left","right of \"it\""]`, KeyColors: "[[1,2,3],[4,5,6]]", KeyMean: "0.5", KeyStd: "0.25",
	} {
		if got := m.Property(key); got != want {
			t.Errorf("metadata %s is %q, should be %q", key, got, want)
		}
	}
}

func TestBuild_RefusesWhatItCannotWrite(t *testing.T) {
	n := randomNetwork(t, open(t), narrow(3), parsed(t, smallest), newRand(1))
	for _, o := range []Options{{0, 8, 8, Labels}, {1, 0, 8, Labels}, {1, 8, -1, Logits}, {1, 8, 8, "classes"}} {
		if _, err := Build(n, testAbout, o); !misuse.Is(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	unlabelled := Network{n.Arch, n.Layers[:len(n.Layers)-1], n.Names[:len(n.Names)-1]}
	for _, broken := range []Network{{}, {n.Arch, n.Layers, n.Names[1:]}, unlabelled} {
		if _, err := Build(broken, testAbout, Options{1, 8, 8, Labels}); err == nil {
			t.Error("a network without layers, names or labels was written")
		}
	}
}

func TestMarshal_ReadsBackAsItWas(t *testing.T) {
	n := randomNetwork(t, open(t), narrow(3), parsed(t, smallest), newRand(1))
	for _, output := range []Output{Labels, Logits} {
		m := build(t, n, Options{1, 16, 24, output})
		back, err := Unmarshal(m.Marshal())
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s: reads back as something else (%v)", output, err)
		}
	}
}

func TestVerify_RandomNetworksOfTheSpaceAgreeAtAnySize(t *testing.T) {
	ctx, rng := open(t), newRand(7)
	sizes := [][2]int{{1, 1}, {2, 3}, {7, 9}, {33, 46}, {64, 65}, {97, 131}, {40, 200}, {161, 31}}
	for i, size := range sizes {
		net := space.DefaultNetwork(1 + rng.IntN(30))
		if i%2 == 1 {
			net.Strides, net.Widths = [space.Stages]int{2, 2, 1}, [space.Stages]int{64, 24, 20}
		}
		a := space.Default().Sample(rng)
		n := randomNetwork(t, ctx, net, a, rng)
		o := Options{1 + rng.IntN(3), size[0], size[1], []Output{Labels, Logits}[i/2%2]}
		t.Run(fmt.Sprintf("%dx%dx%d %s %v", o.Batch, o.Height, o.Width, o.Output, a), func(t *testing.T) {
			steps := 0
			v, err := Verify(context.Background(), ctx, build(t, n, o).Marshal(), n, rng, func(done, total int) { steps = total - done })
			if err != nil || !v.Agrees || steps != 0 || (o.Output == Labels) != (v.Pixels == o.Batch*o.Height*o.Width) {
				t.Errorf("%v, %v; %d steps missing", v, err, steps)
			}
			t.Log(v)
		})
	}
}

// Every weight that is wrong, and every node that does something else, is found.
func TestVerify_FindsWhatIsWrong(t *testing.T) {
	ctx := open(t)
	n := randomNetwork(t, ctx, narrow(5), parsed(t, "k3e3.k5e3_k3e3_k3e3"), newRand(2))
	for name, spoil := range map[string]func(m *Model){
		"transposed weights": func(m *Model) { slices.Reverse(weight(m, "stage1.block2.expand.weight").Floats) },
		"no bias":            func(m *Model) { clear(weight(m, "detail.depthwise.bias").Floats) },
		"NaN":                func(m *Model) { weight(m, "stem.conv.weight").Floats[0] = float32(math.NaN()) },
		"no shortcut": func(m *Model) {
			node(m, "stage1.block2.project.add").Inputs[1] = "stage1.block2.project"
		},
		"another fuse": func(m *Model) { node(m, "fuse.upsample").Inputs[0] = "stage2.block1.project" },
	} {
		m := build(t, n, Options{1, 48, 56, Labels})
		spoil(m)
		v, err := Verify(context.Background(), ctx, m.Marshal(), n, newRand(1), nil)
		if name == "another fuse" { // of other channels: it is refused before it is computed
			if !misuse.Is(err) {
				t.Errorf("%s: %v, %v", name, v, err)
			}
			continue
		}
		if err != nil || v.Agrees {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func weight(m *Model, name string) *Tensor {
	return &m.Graph.Weights[slices.IndexFunc(m.Graph.Weights, func(t Tensor) bool { return t.Name == name })]
}

func node(m *Model, name string) *Node {
	return &m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n Node) bool { return n.Name == name })]
}

func TestVerify_StopsWhenCancelled(t *testing.T) {
	dev := open(t)
	n := randomNetwork(t, dev, narrow(3), parsed(t, smallest), newRand(1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, dev, build(t, n, Options{1, 16, 16, Logits}).Marshal(), n, newRand(1), nil); err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestNewRandom_SameSeedSameFile(t *testing.T) {
	ctx := open(t)
	file := func(seed uint64) []byte {
		return build(t, randomNetwork(t, ctx, narrow(3), parsed(t, smallest), newRand(seed)), Options{1, 16, 16, Logits}).Marshal()
	}
	if !bytes.Equal(file(1), file(1)) || bytes.Equal(file(1), file(2)) {
		t.Error("a file should depend on its seed, and on nothing else")
	}
}
