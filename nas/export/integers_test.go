package export

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

func TestBuild_IntegersAreQuantisedAndDequantised(t *testing.T) {
	a := space.Baseline().Quantised(space.Bits{W: 8, A: 8})
	m := build(t, randomNetwork(t, open(t), space.DefaultNetwork(19), a, newRand(1)), Options{1, 64, 96, Labels})
	count := map[string]int{}
	for _, node := range m.Graph.Nodes {
		count[node.Op]++
	}
	// Of the baseline's 39 convolutions the first three are float32. Each other one has weights to dequantise and a value of its own to read, which the two
	// behind the stem make of the same one. Signed are the inputs of eight blocks and of the head.
	want := map[string]int{
		"Conv": 39, "Relu": 29, "Add": 8, "Resize": 2, "ArgMax": 1, "Cast": 1, "QuantizeLinear": 36, "Clip": 9, "DequantizeLinear": 2 * 36,
	}
	if !reflect.DeepEqual(count, want) {
		t.Errorf("nodes %v, should be %v", count, want)
	}
	if n := node(m, "fuse.upsample"); n.Attributes[0].Text != "nearest" {
		t.Errorf("the fuse is upsampled by %v", n.Attributes)
	}
	if n := node(m, "stage1.block2.project.add"); n.Inputs[1] != "stage1.block2.expand.input" {
		t.Errorf("the shortcut adds %v", n.Inputs)
	}
	for name, want := range map[string]Tensor{
		"stage1.block1.expand.input.zero": {Type: Uint8, Ints: []int64{0}}, "stage1.block2.expand.input.zero": {Type: Uint8, Ints: []int64{128}},
		"stage1.block2.expand.input.low": {Type: Uint8, Ints: []int64{1}}, "stage1.block2.expand.input.high": {Type: Uint8, Ints: []int64{255}},
		"head.classifier.weight.zero": {Type: Int8, Shape: []int64{19}, Ints: make([]int64, 19)},
	} {
		if want.Name = name; !reflect.DeepEqual(*weight(m, name), want) {
			t.Errorf("%+v should be %+v", *weight(m, name), want)
		}
	}
	if w := weight(m, "stage2.block1.depthwise.weight.levels"); w.Type != Int8 || !slices.Equal(w.Shape, []int64{384, 1, 3, 3}) || slices.Max(w.Ints) < 100 || slices.Min(w.Ints) < -127 {
		t.Errorf("levels %v %v from %d to %d", w.Type, w.Shape, slices.Min(w.Ints), slices.Max(w.Ints))
	}
	back, err := Unmarshal(m.Marshal())
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("reads back as something else (%v)", err)
	}
}

func TestVerify_NetworksInIntegersAgreeAtAnySizeAndWidth(t *testing.T) {
	ctx, rng := open(t), newRand(9)
	sp := space.Default()
	sp.Bits = []uint8{2, 3, 4, 5, 6, 7, 8}
	sizes := [][2]int{{1, 1}, {7, 9}, {33, 46}, {64, 65}, {97, 131}, {40, 200}}
	for i, size := range sizes {
		a := sp.Sample(rng)
		if i%3 == 2 {
			a = space.Baseline().Quantised(space.Bits{W: 8, A: 8})
		}
		n := randomNetwork(t, ctx, space.DefaultNetwork(1+rng.IntN(30)), a, rng)
		o := Options{1 + rng.IntN(2), size[0], size[1], []Output{Labels, Logits}[i%2]}
		t.Run(fmt.Sprintf("%dx%dx%d %s %v", o.Batch, o.Height, o.Width, o.Output, a), func(t *testing.T) {
			v, err := Verify(context.Background(), ctx, build(t, n, o).Marshal(), n, rng, nil)
			if err != nil || !v.Agrees || v.Bytes == 0 {
				t.Errorf("%v, %v", v, err)
			}
			t.Log(v)
		})
	}
}

func TestVerify_FindsWhatIsWrongInIntegers(t *testing.T) {
	ctx := open(t)
	n := randomNetwork(t, ctx, narrow(5), parsed(t, "k3e3w8a8.k5e3w6a8_k3e3w8a6_k3e3w8a8_w8a8.w8a8.w8a8.w8a8.w8a8"), newRand(2))
	for name, spoil := range map[string]func(m *Model){
		"nothing":          func(*Model) {},
		"another step":     func(m *Model) { weight(m, "stage1.block2.expand.input.scale").Floats[0] *= 1.05 },
		"another zero":     func(m *Model) { weight(m, "stage1.block2.expand.input.zero").Ints[0]-- },
		"another range":    func(m *Model) { weight(m, "stage2.block1.project.input.high").Ints[0] = 15 },
		"a level":          func(m *Model) { weight(m, "detail.depthwise.weight.levels").Ints[4] ^= 64 },
		"a channel's step": func(m *Model) { weight(m, "stage3.block1.expand.weight.scale").Floats[3] *= 2 },
		"no bias":          func(m *Model) { clear(weight(m, "stage3.block1.project.bias").Floats) },
		"bilinear fuse":    func(m *Model) { node(m, "fuse.upsample").Attributes = bilinear },
		"unrounded": func(m *Model) {
			node(m, "stage2.block1.depthwise").Inputs[0] = node(m, "stage2.block1.depthwise.input.bytes").Inputs[0]
			m.Graph.Nodes = slices.DeleteFunc(m.Graph.Nodes, func(n Node) bool { return strings.HasPrefix(n.Name, "stage2.block1.depthwise.input") })
		},
		"an unrounded shortcut": func(m *Model) {
			node(m, "stage1.block2.project.add").Inputs[1] = node(m, "stage1.block2.expand.input.bytes").Inputs[0]
		},
	} {
		m := build(t, n, Options{1, 48, 56, Labels})
		spoil(m)
		v, err := Verify(context.Background(), ctx, m.Marshal(), n, newRand(1), nil)
		if err != nil || v.Agrees != (name == "nothing") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// What ONNX defines, worked out by hand.
func TestPlan_RoundsAsONNXDoes(t *testing.T) {
	p, err := newPlan(tinyIntegers())
	if err != nil {
		t.Fatal(err)
	}
	input := make([]float64, 3*3*5)
	copy(input, []float64{0.125, 0.375, -0.125, 9, -9, 0.3})
	none := func(string, [][]float64) error { return nil }
	values, err := p.run(context.Background(), input, []string{"q", "k", "d", "u", "s"}, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]float64{"q": {128, 130, 128, 164, 92, 129}, "k": {128, 130, 128, 135, 121, 129}, "d": {0, 0.5, 0, 1.75, -1.75, 0.25}} {
		if got := values[name][:len(want)]; !slices.Equal(got, want) {
			t.Errorf("%s is %v, should be %v", name, got, want)
		}
	}
	small, large := values["s"], values["u"] // 2x3 and 3x5: rows 0 1 1, columns 0 0 1 2 2
	for i := range 15 {
		if want := small[[]int{0, 1, 1}[i/5]*3+[]int{0, 0, 1, 2, 2}[i%5]]; large[i] != want {
			t.Errorf("resized %d is %g, should be %g", i, large[i], want)
		}
	}
}

func TestPlan_RefusesIntegersThatMakeNoSense(t *testing.T) {
	n := randomNetwork(t, open(t), narrow(3), parsed(t, "k3e1w8a4_k3e1w8a8_k3e1w8a8_w8a8.w8a8.w8a8.w8a8.w8a8"), newRand(1))
	const read, weights = "stage1.block1.expand.input", "stage1.block1.expand.weight"
	for name, spoil := range map[string]func(m *Model){
		"no scale":                   func(m *Model) { weight(m, read+".scale").Floats[0] = 0 },
		"a scale that is no number":  func(m *Model) { weight(m, read+".scale").Floats[0] = float32(math.NaN()) },
		"a scale for each channel":   func(m *Model) { node(m, read).Inputs[1] = weights + ".scale" },
		"a signed zero of bytes":     func(m *Model) { weight(m, read+".zero").Type = Int8 },
		"a zero of weights":          func(m *Model) { weight(m, weights+".zero").Ints[2] = 1 },
		"another axis":               func(m *Model) { node(m, weights).Attributes[0].Int = 1 },
		"no axis":                    func(m *Model) { node(m, weights).Attributes = nil },
		"weights of the name of all": func(m *Model) { node(m, weights).Output = InputName },
		"fewer scales":               func(m *Model) { node(m, weights).Inputs[1] = "stage2.block1.project.weight.scale" },
		"bytes clipped by float32":   func(m *Model) { node(m, read+".range").Inputs[1] = read + ".scale" },
		"float32 clipped":            func(m *Model) { node(m, read+".range").Inputs[0] = node(m, read+".bytes").Inputs[0] },
		"bytes multiplied":           func(m *Model) { node(m, "stage1.block1.expand").Inputs[0] = read + ".bytes" },
		"bytes quantised":            func(m *Model) { node(m, "stage1.block1.depthwise.input.bytes").Inputs[0] = read + ".bytes" },
		"float32 dequantised":        func(m *Model) { node(m, read).Inputs[0] = node(m, read+".bytes").Inputs[0] },
		"a neighbour rounded down": func(m *Model) {
			node(m, "fuse.upsample").Attributes = slices.Concat(nearestNeighbour[:2], []Attribute{text("nearest_mode", "floor")})
		},
		"a neighbour without a mode":  func(m *Model) { node(m, "fuse.upsample").Attributes = nearestNeighbour[:2] },
		"weights that nothing is for": func(m *Model) { weight(m, weights+".levels").Shape = []int64{24, 64} },
	} {
		m := build(t, n, Options{1, 16, 24, Logits})
		spoil(m)
		if _, err := newPlan(m); err == nil {
			t.Errorf("%s: understood", name)
		}
	}
}
