package supernet

import (
	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nn"
)

// Layers returns the network as a session runs it: batch norm folded by the running statistics, label maps out. Timing group i is
// operation i of Network().Ops(Arch(), h, w).
func (m *Plain) Layers() ([]gobind.Layer, error) {
	if m.arch.IsQuantised() {
		return nil, misuse.Errorf("%v has bit widths; sessions and exports run networks in floating point so far", m.arch)
	}
	l := lowering{stream: m.store.Stream()}
	x := l.conv(m.stem.conv, 0)
	for i := range m.stem.sep {
		x = l.sep(&m.stem.sep[i], x)
	}
	stem := x
	for s, depth := range m.arch.Depth {
		for i, b := range m.arch.Blocks[s][:depth] {
			l.group++
			x = l.block(m.blocks[s][i][b.Shape()], x)
		}
	}
	l.group++
	detail := l.sep(&m.detail, stem)
	l.group++
	x = l.add(gobind.Layer{Kind: gobind.LayerUpsampleAdd, Input: x, Input2: detail})
	l.group++
	for i := range m.head {
		x = l.sep(&m.head[i], x)
	}
	x = l.folded(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: -1}, m.logits)
	l.add(gobind.Layer{Kind: gobind.LayerLabels, Input: x, Input2: -1})
	return l.layers, l.err
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

// folded adds a convolution with its batch norm folded in.
func (l *lowering) folded(layer gobind.Layer, of interface {
	Folded(s *gobind.Stream) (weights, bias []float32, err error)
}) (value int) {
	var err error
	layer.Weights, layer.Bias, err = of.Folded(l.stream)
	if l.err == nil {
		l.err = err
	}
	if layer.Kind != gobind.LayerDWConv {
		layer.Channels = len(layer.Bias)
	}
	return l.add(layer)
}

func (l *lowering) conv(c *nn.ConvBN, x int) int {
	return l.folded(gobind.Layer{Kind: gobind.LayerConv3x3, Input: x, Input2: -1, Stride: c.Stride, ReLU: true}, c)
}

func (l *lowering) depthwise(c *nn.DWConvBN, x int) int {
	return l.folded(gobind.Layer{Kind: gobind.LayerDWConv, Input: x, Input2: -1, Kernel: c.Kernel, Stride: c.Stride, ReLU: true}, c)
}

func (l *lowering) pointwise(c *nn.PWConvBN, x, residual int) int {
	return l.folded(gobind.Layer{Kind: gobind.LayerPWConv, Input: x, Input2: residual, ReLU: c.ReLU}, c)
}

func (l *lowering) sep(s *dwSep, x int) int {
	return l.pointwise(s.pointwise, l.depthwise(s.depthwise, x), -1)
}

func (l *lowering) block(m *mbconv, x int) int {
	residual := -1
	if m.residual {
		residual = x
	}
	return l.pointwise(m.project, l.depthwise(m.depthwise, l.pointwise(m.expand, x, -1)), residual)
}
