package supernet

import (
	"slices"
	"sync"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/space"
)

// Outline returns the layers that Plain.Layers would give for an architecture, with weights, biases and steps of one: enough to plan a session and
// know its memory, in microseconds. Layers share the ones. A network with bit widths is for sessions of gobind.Int8 alone.
func Outline(net space.Network, a space.Arch) []gobind.Layer {
	var o outline
	x := 0
	for _, op := range net.Ops(a, 1, 1) {
		switch op.Kind {
		case space.Stem:
			x = o.stem(op, a.IsQuantised())
		case space.MBConv:
			middle, residual := op.Expand*op.InC, -1
			if op.Residual {
				residual = x
			}
			x = o.pointwise(x, op.InC, middle, -1, true, reads{op.Bits, !op.Unsigned})
			x = o.depthwise(x, middle, op.Kernel, op.Stride, reads{bits: op.Bits})
			x = o.pointwise(x, middle, op.OutC, residual, false, reads{bits: op.Bits})
		case space.Detail:
			o.detail = o.sep(o.forDetail, op.InC, op.OutC, 1, reads{bits: op.Bits})
		case space.Fuse, space.Nearest:
			x = o.add(gobind.Layer{Kind: fuseKind(a), Input: x, Input2: o.detail}, 0, 0, reads{})
			o.fused = x
		case space.Separable:
			x = o.sep(x, op.InC, op.OutC, 1, reads{op.Bits, x == o.fused})
		case space.Head:
			x = o.sep(o.sep(x, op.InC, op.InC, 1, reads{}), op.InC, op.InC, 1, reads{})
			o.labels(o.pointwise(x, op.InC, op.OutC, -1, false, reads{}))
		case space.Classifier:
			o.labels(o.pointwise(x, op.InC, op.OutC, -1, false, reads{bits: op.Bits}))
		}
		o.group++
	}
	return o.layers
}

// reads is how a convolution reads its input: in floating point where there are no bits.
type reads struct {
	bits   space.Bits
	signed bool
}

type outline struct {
	layers                   []gobind.Layer
	group                    int
	forDetail, detail, fused int // values
}

// ones are what outlines point to: as many as the widest layer has weights.
var ones = sync.OnceValue(func() []float32 { return slices.Repeat([]float32{1}, 1<<20) })

func first(n int) []float32 {
	if n > len(ones()) {
		return slices.Repeat([]float32{1}, n)
	}
	return ones()[:n]
}

func (o *outline) add(l gobind.Layer, weights, biases int, r reads) (value int) {
	if l.Kind == gobind.LayerConv3x3 || l.Kind == gobind.LayerDWConv || l.Kind == gobind.LayerLabels {
		l.Input2 = -1
	}
	l.Group = o.group
	if weights > 0 {
		l.Weights, l.Bias = first(weights), first(biases)
	}
	if r.bits != (space.Bits{}) {
		l.WeightBits, l.InputBits, l.InputSigned, l.InputStep, l.WeightSteps = int(r.bits.W), int(r.bits.A), r.signed, 1, first(biases)
	}
	o.layers = append(o.layers, l)
	return len(o.layers)
}

// stem adds the stem. In integers the detail branch reads a value of its own (Plain.Layers).
func (o *outline) stem(op space.Op, quantised bool) (value int) {
	x := o.add(gobind.Layer{Kind: gobind.LayerConv3x3, Channels: stemConvChannels, Stride: 2, ReLU: true}, 9*op.InC*stemConvChannels, stemConvChannels, reads{})
	x = o.sep(x, stemConvChannels, stemMiddleChannels, 2, reads{})
	last := reads{bits: op.Bits}
	x = o.depthwise(x, stemMiddleChannels, 3, 2, last)
	value = o.pointwise(x, stemMiddleChannels, op.OutC, -1, true, last)
	o.forDetail = value
	if quantised {
		o.forDetail = o.pointwise(x, stemMiddleChannels, op.OutC, -1, true, last)
	}
	return value
}

func (o *outline) pointwise(x, in, out, residual int, relu bool, r reads) int {
	return o.add(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: residual, Channels: out, ReLU: relu}, in*out, out, r)
}

func (o *outline) depthwise(x, channels, kernel, stride int, r reads) int {
	return o.add(gobind.Layer{Kind: gobind.LayerDWConv, Input: x, Kernel: kernel, Stride: stride, ReLU: true}, kernel*kernel*channels, channels, r)
}

// sep adds a separable convolution, whose second half reads what is behind a ReLU.
func (o *outline) sep(x, in, out, stride int, r reads) int {
	return o.pointwise(o.depthwise(x, in, 3, stride, r), in, out, -1, true, reads{bits: r.bits})
}

func (o *outline) labels(x int) {
	o.add(gobind.Layer{Kind: gobind.LayerLabels, Input: x}, 0, 0, reads{})
}
