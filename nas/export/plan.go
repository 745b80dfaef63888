package export

import (
	"fmt"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
)

// plan is a model made ready for the reference interpreter: every node checked, with its shapes.
type plan struct {
	input  string
	output string
	steps  []step
	values map[string]int // the step after which a value is no longer needed
}

// shape returns the shape of a node's output.
func (p *plan) shape(name string) []int64 {
	for _, s := range p.steps {
		if s.output == name {
			return s.shape
		}
	}
	return nil
}

// step computes one value from others.
type step struct {
	name   string
	inputs []string
	output string
	shape  []int64 // of the output
	kernel kernel
}

// kernel computes a node's output, in pieces that are spread over goroutines. A node without one makes a constant.
type kernel func(out []float64, in [][]float64)

// planner knows the values made so far.
type planner struct {
	constants map[string]*Tensor
	shapes    map[string][]int64
	types     map[string]ElementType
}

// newPlan checks a model node by node. Whatever it does not fully understand is misuse.
func newPlan(m *Model) (*plan, error) {
	p := planner{constants: map[string]*Tensor{}, shapes: map[string][]int64{}, types: map[string]ElementType{}}
	g := &m.Graph
	if err := p.define(g.Input.Name, g.Input.Type, g.Input.Shape); err != nil {
		return nil, misuse.Errorf("graph input: %w", err)
	}
	for i := range g.Weights {
		w := &g.Weights[i]
		if p.constants[w.Name] != nil || w.Name == g.Input.Name || w.Name == "" {
			return nil, misuse.Errorf("constant %.100q: the name is taken", w.Name)
		}
		p.constants[w.Name] = w
	}
	out := &plan{input: g.Input.Name, output: g.Output.Name, values: map[string]int{}}
	for i := range g.Nodes {
		s, err := p.node(&g.Nodes[i])
		if err != nil {
			return nil, misuse.Errorf("node %.100q: %w", g.Nodes[i].Name, err)
		}
		if s.kernel == nil {
			continue
		}
		for _, name := range s.inputs {
			out.values[name] = len(out.steps)
		}
		out.steps = append(out.steps, s)
	}
	if p.types[g.Output.Name] != g.Output.Type || !slices.Equal(p.shapes[g.Output.Name], g.Output.Shape) {
		return nil, misuse.Errorf("graph output %.100q should have type %d and shape %v; the nodes make type %d and shape %v",
			g.Output.Name, g.Output.Type, g.Output.Shape, p.types[g.Output.Name], p.shapes[g.Output.Name])
	}
	return out, nil
}

// define adds a value.
func (p *planner) define(name string, t ElementType, shape []int64) error {
	if name == "" || p.constants[name] != nil || p.shapes[name] != nil {
		return fmt.Errorf("the name %.100q is taken", name)
	}
	if len(shape) == 0 {
		return fmt.Errorf("%.100q has no size", name)
	}
	if _, err := elements(shape); err != nil {
		return err
	}
	p.types[name], p.shapes[name] = t, shape
	return nil
}

// maps returns the shape of a float32 value [N,C,H,W] made before.
func (p *planner) maps(name string) ([]int64, error) {
	shape := p.shapes[name]
	if len(shape) != 4 || p.types[name] != Float {
		return nil, fmt.Errorf("input %.100q should be a float32 value [N,C,H,W] made before; its shape is %v", name, shape)
	}
	return shape, nil
}

// constant returns a constant of a type and number of axes.
func (p *planner) constant(name string, t ElementType, rank int) (*Tensor, error) {
	c := p.constants[name]
	if c == nil || c.Type != t || len(c.Shape) != rank {
		return nil, fmt.Errorf("input %.100q should be a constant of type %d with %d axes", name, t, rank)
	}
	return c, nil
}

func (p *planner) node(n *Node) (step, error) {
	ops := map[string]struct {
		inputs int
		plan   func(*planner, *Node, *settings) (step, ElementType, error)
	}{
		"Conv": {3, (*planner).conv}, "Relu": {1, (*planner).relu}, "Add": {2, (*planner).add}, "Resize": {4, (*planner).resize},
		"ArgMax": {1, (*planner).argMax}, "Cast": {1, (*planner).cast},
		"QuantizeLinear": {3, (*planner).quantise}, "DequantizeLinear": {3, (*planner).dequantise}, "Clip": {3, (*planner).clip},
	}
	op, known := ops[n.Op]
	if !known || len(n.Inputs) != op.inputs {
		return step{}, fmt.Errorf("%.40q of %d inputs is no operation of a segnas network", n.Op, len(n.Inputs))
	}
	set := settings{left: n.Attributes}
	s, t, err := op.plan(p, n, &set)
	if err == nil {
		err = set.done()
	}
	if err != nil {
		return s, err
	}
	s.name, s.output = n.Name, n.Output
	if s.kernel == nil {
		return s, nil
	}
	return s, p.define(n.Output, t, s.shape)
}

// settings are a node's attributes, each to be asked for once.
type settings struct {
	left []Attribute
	err  error // the first that was missing
}

func (s *settings) take(name string, kind AttributeKind) Attribute {
	for i, a := range s.left {
		if a.Name == name && a.Kind == kind {
			s.left = slices.Concat(s.left[:i], s.left[i+1:])
			return a
		}
	}
	if s.err == nil {
		s.err = fmt.Errorf("attribute %s is missing", name)
	}
	return Attribute{}
}

func (s *settings) integer(name string) int64    { return s.take(name, IntAttribute).Int }
func (s *settings) text(name string) string      { return s.take(name, TextAttribute).Text }
func (s *settings) integers(name string) []int64 { return s.take(name, IntsAttribute).Ints }

// done reports what was missing, and what nobody asked for.
func (s *settings) done() error {
	if s.err == nil && len(s.left) > 0 {
		return fmt.Errorf("attribute %.40q is not understood", s.left[0].Name)
	}
	return s.err
}

func (p *planner) conv(n *Node, set *settings) (step, ElementType, error) {
	x, err := p.maps(n.Inputs[0])
	if err != nil {
		return step{}, Float, err
	}
	w, err := p.constant(n.Inputs[1], Float, 4)
	if err != nil {
		return step{}, Float, err
	}
	b, err := p.constant(n.Inputs[2], Float, 1)
	if err != nil {
		return step{}, Float, err
	}
	kernel, strides, pads, group := set.integers("kernel_shape"), set.integers("strides"), set.integers("pads"), set.integer("group")
	if set.err != nil {
		return step{}, Float, set.err
	}
	k := w.Shape[2]
	square := func(list []int64, v int64, axes int) bool { return slices.Equal(list, slices.Repeat([]int64{v}, axes)) }
	switch out := w.Shape[0]; {
	case k%2 == 0 || w.Shape[3] != k || !square(kernel, k, 2) || !square(pads, k/2, 4):
		return step{}, Float, fmt.Errorf("kernel %v of weights %v with padding %v: kernels are square and odd, padding is half of them", kernel, w.Shape, pads)
	case !square(strides, 1, 2) && !square(strides, 2, 2):
		return step{}, Float, fmt.Errorf("strides %v: 1 or 2 both ways", strides)
	case group < 1 || x[1] != group*w.Shape[1] || out%group != 0 || b.Shape[0] != out:
		return step{}, Float, fmt.Errorf("weights %v, bias %v and %d groups do not fit %d channels", w.Shape, b.Shape, group, x[1])
	}
	c := convolution{
		weight: doubles(w.Floats), bias: doubles(b.Floats), kernel: int(k), stride: int(strides[0]), n: int(x[0]), in: int(x[1]), h: int(x[2]), w: int(x[3]),
		out: int(w.Shape[0]), group: int(group), outH: int((x[2]-1)/strides[0] + 1), outW: int((x[3]-1)/strides[0] + 1),
	}
	shape := []int64{x[0], w.Shape[0], int64(c.outH), int64(c.outW)}
	return step{inputs: n.Inputs[:1], shape: shape, kernel: c.run}, Float, nil
}

func (p *planner) relu(n *Node, _ *settings) (step, ElementType, error) {
	x, err := p.maps(n.Inputs[0])
	return step{inputs: n.Inputs, shape: x, kernel: relu}, Float, err
}

func (p *planner) add(n *Node, _ *settings) (step, ElementType, error) {
	a, err := p.maps(n.Inputs[0])
	if err != nil {
		return step{}, Float, err
	}
	b, err := p.maps(n.Inputs[1])
	if err == nil && !slices.Equal(a, b) {
		err = fmt.Errorf("shapes %v and %v are not added", a, b)
	}
	return step{inputs: n.Inputs, shape: a, kernel: add}, Float, err
}

// halfUp is how a place between two neighbours is rounded: to the later one.
const halfUp = "round_prefer_ceil"

func (p *planner) resize(n *Node, set *settings) (step, ElementType, error) {
	x, err := p.maps(n.Inputs[0])
	if err != nil {
		return step{}, Float, err
	}
	sizes, err := p.constant(n.Inputs[3], Int64, 1)
	if err != nil {
		return step{}, Float, err
	}
	to := sizes.Ints
	if len(to) != 4 || to[0] != x[0] || to[1] != x[1] || n.Inputs[1] != "" || n.Inputs[2] != "" {
		return step{}, Float, fmt.Errorf("from %v to %v: pictures and channels stay, and sizes alone are given", x, to)
	}
	mode, at, rounding := set.text("mode"), set.text("coordinate_transformation_mode"), halfUp
	kernel := resizing{int(x[2]), int(x[3]), int(to[2]), int(to[3])}.run
	if mode == "nearest" {
		kernel, rounding = nearest{int(x[2]), int(x[3]), int(to[2]), int(to[3])}.run, set.text("nearest_mode")
	}
	if (mode != "linear" && mode != "nearest") || at != "half_pixel" || rounding != halfUp {
		return step{}, Float, fmt.Errorf("mode %.40q, %.40q, %.40q: linear and half_pixel are understood, and nearest with %s", mode, at, rounding, halfUp)
	}
	return step{inputs: n.Inputs[:1], shape: to, kernel: kernel}, Float, nil
}

func (p *planner) argMax(n *Node, set *settings) (step, ElementType, error) {
	x, err := p.maps(n.Inputs[0])
	if err != nil {
		return step{}, Int64, err
	}
	if axis, keep := set.integer("axis"), set.integer("keepdims"); axis != 1 || keep != 0 || x[1] > 255 {
		return step{}, Int64, fmt.Errorf("axis %d of %v, keepdims %d: the axis of at most 255 channels goes", axis, x, keep)
	}
	a := argMax{channels: int(x[1]), pixels: int(x[2] * x[3])}
	return step{inputs: n.Inputs, shape: []int64{x[0], x[2], x[3]}, kernel: a.run}, Int64, nil
}

// cast is to uint8, of classes, which are below 255.
func (p *planner) cast(n *Node, set *settings) (step, ElementType, error) {
	if to := set.integer("to"); p.types[n.Inputs[0]] != Int64 || to != int64(Uint8) {
		return step{}, Uint8, fmt.Errorf("cast of type %d to %d: classes (%d) become uint8 (%d)", p.types[n.Inputs[0]], to, Int64, Uint8)
	}
	same := func(out []float64, in [][]float64) { copy(out, in[0]) }
	return step{inputs: n.Inputs, shape: p.shapes[n.Inputs[0]], kernel: same}, Uint8, nil
}

func doubles(values []float32) []float64 {
	d := make([]float64, len(values))
	for i, v := range values {
		d[i] = float64(v)
	}
	return d
}
