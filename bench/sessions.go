package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/segnas/segnas/gobind"
)

// deployed is one layer inside a session, between pointwise layers of its own that make its input and read its output, so that both lie in memory
// as the session's precision stores them. timed is the layer's timing group.
type deployed struct {
	layer  layer
	layers []gobind.Layer
	h, w   int // of the session's input
	c      int
	timed  int
}

// A layer is surrounded by the narrowest that is ordinary.
const besideChannels = 16

// deploy surrounds l; the dense 3x3 layer is a network's first and has nothing before it.
func deploy(l layer) deployed {
	d := deployed{layer: l, h: l.inH, w: l.inW, c: besideChannels}
	input := 0
	add := func(kind gobind.LayerKind, in, out int, x gobind.Layer) {
		x.Kind, x.Input, x.Group = kind, input, len(d.layers)
		if kind != gobind.LayerUpsampleAdd {
			x.Input2 = -1
		}
		if kind == gobind.LayerConv3x3 || kind == gobind.LayerPWConv {
			x.Channels = out
		}
		x.Weights, x.Bias = numbers(in), numbers(0)
		if in > 0 {
			x.Bias = numbers(out)
		}
		d.layers = append(d.layers, x)
		input = len(d.layers)
	}
	before := func() { add(gobind.LayerPWConv, besideChannels*l.inC, l.inC, gobind.Layer{}) }
	after := func() { add(gobind.LayerPWConv, l.outC*besideChannels, besideChannels, gobind.Layer{}) }
	switch l.op {
	case "conv3x3":
		d.c = l.inC
		add(gobind.LayerConv3x3, l.weights(), l.outC, gobind.Layer{Stride: l.stride, ReLU: true})
		after()
	case "dwconv":
		before()
		d.timed = 1
		add(gobind.LayerDWConv, l.weights(), l.outC, gobind.Layer{Kernel: l.kernel, Stride: l.stride, ReLU: true})
		after()
	case "pwconv":
		before()
		d.timed = 1
		add(gobind.LayerPWConv, l.weights(), l.outC, gobind.Layer{ReLU: true})
		after()
	default:
		return deployed{} // resizing needs two sizes: whole networks time it
	}
	return d
}

// numbers are weights as ordinary as any: small, of both signs.
func numbers(n int) []float32 {
	made := make([]float32, n)
	for i := range made {
		made[i] = float32(i*7919%1024-512) / 8192
	}
	return made
}

// arithmetic is how a session computes: a precision, and in integers the bits of weights and values.
type arithmetic struct {
	precision gobind.Precision
	bits      int
}

var arithmetics = []arithmetic{{gobind.Float32, 0}, {gobind.BFloat16, 0}, {gobind.Int8, 8}, {gobind.Int8, 6}, {gobind.Int8, 4}}

func (a arithmetic) String() string {
	if a.precision == gobind.Int8 {
		return fmt.Sprintf("w%da%d", a.bits, a.bits)
	}
	return a.precision.String()
}

// takes tells whether the layer can be computed so.
func (d deployed) takes(a arithmetic) bool {
	return d.layers != nil && (a.precision != gobind.Int8 || d.layer.op != "conv3x3")
}

// in returns the layers as the arithmetic takes them: in integers, the timed layer and the one that reads it. How many weights are large matters to the time: they are
// as training leaves them, the largest four standard deviations from zero.
func (d deployed) in(a arithmetic) []gobind.Layer {
	if a.precision != gobind.Int8 {
		return d.layers
	}
	layers := slices.Clone(d.layers)
	most := math.Ldexp(1, a.bits-1) - 1
	rng := rand.New(rand.NewPCG(1, 1))
	for i := d.timed; i < len(layers); i++ {
		l := &layers[i]
		const step = 1.0 / 1024
		l.WeightBits, l.InputBits, l.InputStep, l.WeightSteps = a.bits, a.bits, step, slices.Repeat([]float32{step}, len(l.Bias))
		l.Weights = slices.Clone(l.Weights)
		for j := range l.Weights {
			l.Weights[j] = float32(max(-most, min(most, math.RoundToEven(rng.NormFloat64()*most/4)))) * step
		}
	}
	return layers
}

// bytes that the layer moves at least: input, weights and output once, at the size of a stored value.
func (d deployed) bytes(p gobind.Precision) int64 {
	size := map[gobind.Precision]int{gobind.Float32: 4, gobind.BFloat16: 2, gobind.Int8: 1}[p]
	return int64(size * (d.layer.inputs() + d.layer.weights() + d.layer.outputs()))
}
