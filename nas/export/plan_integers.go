package export

import (
	"fmt"
	"math"
	"slices"
)

// bytes returns the shape of a uint8 value [N,C,H,W] made before.
func (p *planner) bytes(name string) ([]int64, error) {
	shape := p.shapes[name]
	if len(shape) != 4 || p.types[name] != Uint8 {
		return nil, fmt.Errorf("input %.100q should be a uint8 value [N,C,H,W] made before; its shape is %v", name, shape)
	}
	return shape, nil
}

// scaled says what a byte q stands for: (q - zero) scale.
type scaled struct{ scale, zero float64 }

// scaled returns the scale and zero point of a node on bytes.
func (p *planner) scaled(n *Node) (s scaled, err error) {
	scale, err := p.constant(n.Inputs[1], Float, 0)
	if err != nil {
		return s, err
	}
	zero, err := p.constant(n.Inputs[2], Uint8, 0)
	if err != nil {
		return s, err
	}
	s = scaled{float64(scale.Floats[0]), float64(zero.Ints[0])}
	if !(s.scale > 0) || math.IsInf(s.scale, 0) {
		err = fmt.Errorf("a scale of %g", s.scale)
	}
	return s, err
}

func (p *planner) quantise(n *Node, _ *settings) (step, ElementType, error) {
	x, err := p.maps(n.Inputs[0])
	if err != nil {
		return step{}, Uint8, err
	}
	s, err := p.scaled(n)
	return step{inputs: n.Inputs[:1], shape: x, kernel: s.quantise}, Uint8, err
}

// dequantise makes a float32 value of bytes, or a constant of int8 weights.
func (p *planner) dequantise(n *Node, set *settings) (step, ElementType, error) {
	if p.constants[n.Inputs[0]] != nil {
		return step{}, Float, p.dequantiseWeight(n, set)
	}
	x, err := p.bytes(n.Inputs[0])
	if err != nil {
		return step{}, Float, err
	}
	s, err := p.scaled(n)
	return step{inputs: n.Inputs[:1], shape: x, kernel: s.dequantise}, Float, err
}

func (p *planner) dequantiseWeight(n *Node, set *settings) error {
	q, err := p.constant(n.Inputs[0], Int8, 4)
	if err != nil {
		return err
	}
	scale, err := p.constant(n.Inputs[1], Float, 1)
	if err != nil {
		return err
	}
	zero, err := p.constant(n.Inputs[2], Int8, 1)
	if err != nil {
		return err
	}
	out := q.Shape[0]
	if axis := set.integer("axis"); axis != 0 || scale.Shape[0] != out || zero.Shape[0] != out || slices.ContainsFunc(zero.Ints, func(z int64) bool { return z != 0 }) {
		return fmt.Errorf("axis %d of weights %v, %d scales, %d zeros: one of each for each output channel, and the zeros 0", axis, q.Shape, scale.Shape[0], zero.Shape[0])
	}
	if p.constants[n.Output] != nil || p.shapes[n.Output] != nil {
		return fmt.Errorf("the name %.100q is taken", n.Output)
	}
	w := Tensor{Name: n.Output, Type: Float, Shape: q.Shape, Floats: make([]float32, len(q.Ints))}
	for i, v := range q.Ints {
		w.Floats[i] = float32(v) * scale.Floats[i*len(scale.Floats)/len(q.Ints)]
	}
	p.constants[n.Output] = &w
	return nil
}

// clip is of bytes.
func (p *planner) clip(n *Node, _ *settings) (step, ElementType, error) {
	x, err := p.bytes(n.Inputs[0])
	if err != nil {
		return step{}, Uint8, err
	}
	low, err := p.constant(n.Inputs[1], Uint8, 0)
	if err != nil {
		return step{}, Uint8, err
	}
	high, err := p.constant(n.Inputs[2], Uint8, 0)
	if err != nil {
		return step{}, Uint8, err
	}
	c := clipping{float64(low.Ints[0]), float64(high.Ints[0])}
	return step{inputs: n.Inputs[:1], shape: x, kernel: c.run}, Uint8, nil
}

// quantise rounds ties to even; NaN, of which ONNX says nothing, stays what it is, so that it is seen.
func (s scaled) quantise(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = min(max(math.RoundToEven(in[0][i]/s.scale)+s.zero, 0), math.MaxUint8)
		}
	})
}

func (s scaled) dequantise(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = (in[0][i] - s.zero) * s.scale
		}
	})
}

type clipping struct{ low, high float64 }

func (c clipping) run(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = min(max(in[0][i], c.low), c.high)
		}
	})
}

// nearest is Resize to the nearest neighbour, half-pixel centres, of two the later one: source floor((i+0.5) from/to).
type nearest struct{ h, w, toH, toW int }

func (r nearest) run(out []float64, in [][]float64) {
	parallel(len(in[0])/(r.h*r.w), func(plane int) {
		x := in[0][plane*r.h*r.w:][:r.h*r.w]
		y := out[plane*r.toH*r.toW:][:r.toH*r.toW]
		for i := range y {
			y[i] = x[(2*(i/r.toW)+1)*r.h/(2*r.toH)*r.w+(2*(i%r.toW)+1)*r.w/(2*r.toW)]
		}
	})
}
