package supernet

import (
	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// Layers returns the network as a session runs it: batch norm folded by the running statistics, label maps out. Timing group i is
// operation i of Network().Ops(Arch(), h, w). A network with bit widths is for sessions of gobind.Int8 alone.
func (m *Plain) Layers() ([]gobind.Layer, error) {
	l := lowering{stream: m.store.Stream()}
	outer := &m.arch.Outer
	x := l.sep(&m.stem.sep[0], l.conv(m.stem.conv, 0), space.Bits{})
	last, b := &m.stem.sep[1], outer[space.OuterStem]
	x = l.depthwise(last.depthwise, x, last.bits[0], b)
	stem := l.pointwise(last.pointwise, x, -1, last.bits[1], b)
	forDetail := stem
	if m.arch.IsQuantised() { // a value is rounded in one way, and the two that read this one round it differently
		forDetail = l.pointwise(last.pointwise, x, -1, last.bits[1], b)
	}
	x = stem
	for s, depth := range m.arch.Depth {
		for i, b := range m.arch.Blocks[s][:depth] {
			l.group++
			x = l.block(m.blocks[s][i][b.Shape()], x, b.Bits)
		}
	}
	l.group++
	detail := l.sep(&m.detail, forDetail, outer[space.OuterDetail])
	l.group++
	x = l.add(gobind.Layer{Kind: fuseKind(m.arch), Input: x, Input2: detail})
	l.group++
	for i, part := range [len(m.head)]int{space.OuterHead1, space.OuterHead2} {
		x = l.sep(&m.head[i], x, outer[part])
		if m.arch.IsQuantised() { // parts with widths of their own are timed apart
			l.group++
		}
	}
	x = l.folded(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: -1}, m.logits, m.logitsBits, outer[space.OuterClassifier])
	l.add(gobind.Layer{Kind: gobind.LayerLabels, Input: x, Input2: -1})
	return l.layers, l.err
}

// fuseKind is fuseBy of a session.
func fuseKind(a space.Arch) gobind.LayerKind {
	if fuseBy(a) == gobind.Nearest {
		return gobind.LayerNearestAdd
	}
	return gobind.LayerUpsampleAdd
}

// LogitsSize implements Deployable: 1/8 of the picture's.
func (m *Plain) LogitsSize(h, w int) (height, width int) {
	stem := m.net.Ops(m.arch, h, w)[0]
	return stem.OutH, stem.OutW
}

// lowering collects a session's layers. Values are numbered as in gobind.Layer.
type lowering struct {
	stream *gobind.Stream
	layers []gobind.Layer
	group  int
	err    error
}

func (l *lowering) add(layer gobind.Layer) (value int) {
	layer.Group = l.group
	l.layers = append(l.layers, layer)
	return len(l.layers)
}

// foldable is a convolution, with its batch norm where it has one.
type foldable interface {
	Folded(s *gobind.Stream) (weights, bias []float32, err error)
	FoldedSteps(s *gobind.Stream, w nn.WeightBits) (weights, bias, steps []float32, err error)
}

// folded adds a convolution with its batch norm folded in, in integers of bit widths b or, where these are zero, in floating point.
func (l *lowering) folded(layer gobind.Layer, of foldable, c *convBits, b space.Bits) (value int) {
	var err error
	if b == (space.Bits{}) {
		layer.Weights, layer.Bias, err = of.Folded(l.stream)
		return l.convolution(layer, err)
	}
	layer.WeightBits, layer.InputBits, layer.InputSigned = int(b.W), int(b.A), c.input.Signed
	if layer.InputStep, err = c.input.Step(l.stream, layer.InputBits); err == nil {
		layer.Weights, layer.Bias, layer.WeightSteps, err = of.FoldedSteps(l.stream, nn.WeightBits{Quantiser: c.weight, Bits: layer.WeightBits})
	}
	return l.convolution(layer, err)
}

// convolution adds a convolution, complete but for its channels. err is what went wrong with it.
func (l *lowering) convolution(layer gobind.Layer, err error) (value int) {
	if l.err == nil {
		l.err = err
	}
	if layer.Kind != gobind.LayerDWConv {
		layer.Channels = len(layer.Bias)
	}
	return l.add(layer)
}

func (l *lowering) conv(c *nn.ConvBN, x int) int {
	layer := gobind.Layer{Kind: gobind.LayerConv3x3, Input: x, Input2: -1, Stride: c.Stride, ReLU: true}
	var err error
	layer.Weights, layer.Bias, err = c.Folded(l.stream)
	return l.convolution(layer, err)
}

func (l *lowering) depthwise(c *nn.DWConvBN, x int, bits *convBits, b space.Bits) int {
	return l.folded(gobind.Layer{Kind: gobind.LayerDWConv, Input: x, Input2: -1, Kernel: c.Kernel, Stride: c.Stride, ReLU: true}, c, bits, b)
}

func (l *lowering) pointwise(c *nn.PWConvBN, x, residual int, bits *convBits, b space.Bits) int {
	return l.folded(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: residual, ReLU: c.ReLU}, c, bits, b)
}

func (l *lowering) sep(s *dwSep, x int, b space.Bits) int {
	return l.pointwise(s.pointwise, l.depthwise(s.depthwise, x, s.bits[0], b), -1, s.bits[1], b)
}

// block adds a block. In integers, what it reads is one rounded value for its first convolution and its shortcut.
func (l *lowering) block(m *mbconv, x int, b space.Bits) int {
	residual := -1
	if m.residual {
		residual = x
	}
	wide := l.pointwise(m.expand, x, -1, m.bits[0], b)
	return l.pointwise(m.project, l.depthwise(m.depthwise, wide, m.bits[1], b), residual, m.bits[2], b)
}
