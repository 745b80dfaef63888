package supernet

import (
	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/space"
)

// Outline returns the layers that Plain.Layers would give for an architecture in floating point, with weights and biases of zero: enough to plan a session and
// know its memory, in microseconds. Layers share the zeros.
func Outline(net space.Network, a space.Arch) []gobind.Layer {
	var o outline
	x := 0
	for _, op := range net.Ops(a.Float(), 1, 1) {
		switch op.Kind {
		case space.Stem:
			x = o.add(gobind.Layer{Kind: gobind.LayerConv3x3, Input: x, Channels: stemConvChannels, Stride: 2, ReLU: true}, 9*op.InC*stemConvChannels, stemConvChannels)
			x = o.sep(x, stemConvChannels, stemMiddleChannels, 2)
			x = o.sep(x, stemMiddleChannels, op.OutC, 2)
			o.stem = x
		case space.MBConv:
			middle, residual := op.Expand*op.InC, -1
			if op.Residual {
				residual = x
			}
			x = o.pointwise(x, op.InC, middle, -1, true)
			x = o.depthwise(x, middle, op.Kernel, op.Stride)
			x = o.pointwise(x, middle, op.OutC, residual, false)
		case space.Detail:
			o.detail = o.sep(o.stem, op.InC, op.OutC, 1)
		case space.Fuse:
			x = o.add(gobind.Layer{Kind: gobind.LayerUpsampleAdd, Input: x, Input2: o.detail}, 0, 0)
		case space.Head:
			x = o.sep(o.sep(x, op.InC, op.InC, 1), op.InC, op.InC, 1)
			x = o.pointwise(x, op.InC, op.OutC, -1, false)
			o.add(gobind.Layer{Kind: gobind.LayerLabels, Input: x, Input2: -1}, 0, 0)
		}
		o.group++
	}
	return o.layers
}

type outline struct {
	layers       []gobind.Layer
	group        int
	stem, detail int // values
}

// zeros are what outlines point to: as many as the widest layer has weights.
var zeros [1 << 20]float32

func (o *outline) add(l gobind.Layer, weights, biases int) (value int) {
	if l.Kind != gobind.LayerUpsampleAdd && l.Kind != gobind.LayerPWConv {
		l.Input2 = -1
	}
	l.Group = o.group
	if weights > 0 {
		l.Weights, l.Bias = zeroed(weights), zeroed(biases)
	}
	o.layers = append(o.layers, l)
	return len(o.layers)
}

func zeroed(n int) []float32 {
	if n > len(zeros) {
		return make([]float32, n)
	}
	return zeros[:n]
}

func (o *outline) pointwise(x, in, out, residual int, relu bool) int {
	return o.add(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: residual, Channels: out, ReLU: relu}, in*out, out)
}

func (o *outline) depthwise(x, channels, kernel, stride int) int {
	return o.add(gobind.Layer{Kind: gobind.LayerDWConv, Input: x, Kernel: kernel, Stride: stride, ReLU: true}, kernel*kernel*channels, channels)
}

func (o *outline) sep(x, in, out, stride int) int {
	return o.pointwise(o.depthwise(x, in, 3, stride), in, out, -1, true)
}
