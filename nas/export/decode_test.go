package export

import (
	"math"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"google.golang.org/protobuf/encoding/protowire"
)

// tiny is a model with every kind of node of networks in floating point, in under a kilobyte.
func tiny() *Model {
	return &Model{
		Producer: "segnas", Version: "0", Doc: "tiny", Metadata: []Property{{"a", "b"}},
		Graph: Graph{
			Name: "tiny",
			Nodes: []Node{
				{Name: "c", Op: "Conv", Inputs: []string{"x", "w", "b"}, Output: "c", Attributes: []Attribute{
					integers("kernel_shape", 1, 1), integers("strides", 2, 2), integers("pads", 0, 0, 0, 0), integer("group", 1)}},
				{Name: "r", Op: "Relu", Inputs: []string{"c"}, Output: "r"},
				{Name: "s", Op: "Add", Inputs: []string{"r", "c"}, Output: "s"},
				{Name: "u", Op: "Resize", Inputs: []string{"s", "", "", "sizes"}, Output: "u", Attributes: []Attribute{
					text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")}},
				{Name: "a", Op: "ArgMax", Inputs: []string{"u"}, Output: "a", Attributes: []Attribute{integer("axis", 1), integer("keepdims", 0)}},
				{Name: "l", Op: "Cast", Inputs: []string{"a"}, Output: "l", Attributes: []Attribute{integer("to", int64(Uint8))}},
			},
			Weights: []Tensor{
				{Name: "w", Type: Float, Shape: []int64{2, 3, 1, 1}, Floats: []float32{1, 2, 3, 4, 5, 6}},
				{Name: "b", Type: Float, Shape: []int64{2}, Floats: []float32{0.5, -1}},
				{Name: "sizes", Type: Int64, Shape: []int64{4}, Ints: []int64{1, 2, 3, 5}},
			},
			Input:  Value{"x", Float, []int64{1, 3, 3, 5}},
			Output: Value{"l", Uint8, []int64{1, 3, 5}},
		},
	}
}

// tinyIntegers is tiny with a convolution of integers of 4 bits, every kind of node of such networks.
func tinyIntegers() *Model {
	m := tiny()
	g := &m.Graph
	g.Nodes = append([]Node{
		{Name: "q", Op: "QuantizeLinear", Inputs: []string{"x", "step", "zero"}, Output: "q"},
		{Name: "k", Op: "Clip", Inputs: []string{"q", "low", "high"}, Output: "k"},
		{Name: "d", Op: "DequantizeLinear", Inputs: []string{"k", "step", "zero"}, Output: "d"},
		{Name: "w", Op: "DequantizeLinear", Inputs: []string{"levels", "steps", "zeros"}, Output: "w", Attributes: []Attribute{integer("axis", 0)}},
	}, g.Nodes...)
	g.Nodes[4].Inputs[0] = "d"
	g.Nodes[7].Attributes = nearestNeighbour
	g.Weights = append(g.Weights[1:],
		Tensor{Name: "levels", Type: Int8, Shape: []int64{2, 3, 1, 1}, Ints: []int64{7, -7, 0, 1, 2, 3}},
		Tensor{Name: "steps", Type: Float, Shape: []int64{2}, Floats: []float32{0.5, 2}},
		Tensor{Name: "zeros", Type: Int8, Shape: []int64{2}, Ints: []int64{0, 0}},
		Tensor{Name: "step", Type: Float, Floats: []float32{0.25}},
		Tensor{Name: "zero", Type: Uint8, Ints: []int64{128}},
		Tensor{Name: "low", Type: Uint8, Ints: []int64{121}},
		Tensor{Name: "high", Type: Uint8, Ints: []int64{135}})
	return m
}

// understood reads a file and plans it.
func understood(file []byte) (*Model, error) {
	m, err := Unmarshal(file)
	if err == nil {
		_, err = newPlan(m)
	}
	return m, err
}

func TestUnmarshal_EveryTruncationIsRefused(t *testing.T) {
	for _, m := range []*Model{tiny(), tinyIntegers()} {
		file := m.Marshal()
		if _, err := understood(file); err != nil {
			t.Fatal(err)
		}
		for n := range file {
			if _, err := understood(file[:n]); !misuse.Is(err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%d of %d bytes: %v", n, len(file), err)
			}
		}
	}
}

func TestUnmarshal_RefusesWhatItDoesNotKnow(t *testing.T) {
	file := tiny().Marshal()
	extra := func(number protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(file[:len(file):len(file)], number, protowire.BytesType), value)
	}
	for name, bad := range map[string][]byte{
		"no file": nil, "text": []byte("segnas"), "an unknown field": extra(20, "functions"), "a second graph": extra(modelGraph, ""),
		"a second operator set": extra(modelOpset, "\x10\x0d"), "another opset": append([]byte{8, 7}, file[2:]...),
	} {
		if _, err := Unmarshal(bad); !misuse.Is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlan_RefusesGraphsThatMakeNoSense(t *testing.T) {
	for name, spoil := range map[string]func(g *Graph){
		"an unknown operation":  func(g *Graph) { g.Nodes[1].Op = "Gelu" },
		"too many inputs":       func(g *Graph) { g.Nodes[1].Inputs = []string{"c", "c"} },
		"an input from later":   func(g *Graph) { g.Nodes[1].Inputs[0] = "s" },
		"an unknown attribute":  func(g *Graph) { g.Nodes[1].Attributes = []Attribute{integer("alpha", 1)} },
		"a missing attribute":   func(g *Graph) { g.Nodes[0].Attributes = g.Nodes[0].Attributes[:3] },
		"another stride":        func(g *Graph) { g.Nodes[0].Attributes[1].Ints = []int64{2, 1} },
		"padding":               func(g *Graph) { g.Nodes[0].Attributes[2].Ints[0] = 1 },
		"groups":                func(g *Graph) { g.Nodes[0].Attributes[3].Int = 3 },
		"groups that wrap":      func(g *Graph) { g.Nodes[0].Attributes[3].Int = math.MinInt64 + 1 },
		"cubic":                 func(g *Graph) { g.Nodes[3].Attributes[0].Text = "cubic" },
		"scales":                func(g *Graph) { g.Nodes[3].Inputs[2] = "b" },
		"more channels":         func(g *Graph) { g.Weights[2].Ints[1] = 4 },
		"no size":               func(g *Graph) { g.Weights[2].Ints[3] = 0 },
		"the last of equals":    func(g *Graph) { g.Nodes[4].Attributes = append(g.Nodes[4].Attributes, integer("select_last_index", 1)) },
		"another axis":          func(g *Graph) { g.Nodes[4].Attributes[0].Int = 0 },
		"a cast to float":       func(g *Graph) { g.Nodes[5].Attributes[0].Int = int64(Float) },
		"two values of a name":  func(g *Graph) { g.Nodes[2].Output = "r" },
		"two constants":         func(g *Graph) { g.Weights[1].Name = "w" },
		"another output shape":  func(g *Graph) { g.Output.Shape[2] = 6 },
		"another output type":   func(g *Graph) { g.Output.Type = Float },
		"an input without size": func(g *Graph) { g.Input.Shape = nil },
		"a picture without end": func(g *Graph) { g.Input.Shape[2] = 1 << 40 },
	} {
		m := tiny()
		spoil(&m.Graph)
		if _, err := understood(m.Marshal()); !misuse.Is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever the bytes, nothing panics, and what is understood is written back as something that is understood alike.
func FuzzUnmarshal(f *testing.F) {
	file := tiny().Marshal()
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add(tinyIntegers().Marshal())
	f.Add([]byte{})
	f.Add([]byte{8, 8, 58, 2, 10, 0})
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := understood(file)
		if err != nil {
			if !misuse.Is(err) {
				t.Fatalf("%v is no misuse", err)
			}
			return
		}
		again := m.Marshal()
		back, err := understood(again)
		if err != nil || string(back.Marshal()) != string(again) {
			t.Fatalf("does not read back: %v", err)
		}
	})
}
