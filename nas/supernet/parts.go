package supernet

import (
	"fmt"

	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

const (
	// What the stem is made of; its output has space.StemChannels.
	pictureChannels    = 3
	stemConvChannels   = 32
	stemMiddleChannels = 48

	sepKernel = 3 // of every depthwise-separable convolution
	// auxChannels is the width of an auxiliary head's only hidden layer.
	auxChannels = 64
)

// dwSep is a depthwise-separable convolution: depthwise 3x3 and pointwise, each with batch norm and ReLU.
type dwSep struct {
	depthwise *nn.DWConvBN
	pointwise *nn.PWConvBN
	bits      [2]*convBits // nil: never quantised
}

func newDWSep(s *nn.Store, name string, inChannels, outChannels, stride int) dwSep {
	return dwSep{
		depthwise: s.NewDWConvBN(name+".depthwise", inChannels, sepKernel, sepKernel, stride),
		pointwise: s.NewPWConvBN(name+".pointwise", inChannels, outChannels, true),
	}
}

func (l *dwSep) forward(t *nn.Tape, x nn.Value, b space.Bits, mode nn.Mode) nn.Value {
	in, w := l.bits[0].read(t, x, b, mode)
	middle := l.depthwise.Quantised(t, in, sepKernel, w, mode)
	dropCopy(t, in, x)
	in, w = l.bits[1].readOnly(t, middle, b, mode)
	y := l.pointwise.Quantised(t, in, l.outChannels(), w, mode)
	t.Drop(in)
	return y
}

func (l *dwSep) outChannels() int { return l.pointwise.Weight.Value.Last() }

// stem is the dense 3x3 convolution and the two depthwise-separable ones that lead to 1/8 of the picture's size.
type stem struct {
	conv *nn.ConvBN
	sep  [2]dwSep
}

func newStem(s *nn.Store) stem {
	return stem{
		s.NewConvBN("stem.conv", pictureChannels, stemConvChannels, 2),
		[2]dwSep{
			newDWSep(s, "stem.sep1", stemConvChannels, stemMiddleChannels, 2),
			newDWSep(s, "stem.sep2", stemMiddleChannels, space.StemChannels, 2),
		},
	}
}

func (l *stem) forward(t *nn.Tape, x nn.Value, b space.Bits, mode nn.Mode) nn.Value {
	x = l.conv.Forward(t, x, mode)
	for i, b := range [2]space.Bits{{}, b} {
		y := l.sep[i].forward(t, x, b, mode)
		t.Drop(x)
		x = y
	}
	return x
}

// mbconv is an inverted residual block at its largest kernel and expand ratio (Sandler et al. 2018): pointwise to the middle channels,
// depthwise, pointwise to the output without an activation, and the identity shortcut where sizes agree.
type mbconv struct {
	expand    *nn.PWConvBN
	depthwise *nn.DWConvBN
	project   *nn.PWConvBN
	in        int // channels
	residual  bool
	bits      [3]*convBits // nil: never quantised
}

// blockPlace is where in the network a block stands.
type blockPlace struct {
	name                    string
	inChannels, outChannels int
	stride                  int
}

// newMBConv makes a block for kernels from smallest to largest.Kernel and expand ratios up to largest.Expand.
func newMBConv(s *nn.Store, at blockPlace, largest space.Block, smallest int) *mbconv {
	middle := int(largest.Expand) * at.inChannels
	return &mbconv{
		expand:    s.NewPWConvBN(at.name+".expand", at.inChannels, middle, true),
		depthwise: s.NewDWConvBN(at.name+".depthwise", middle, int(largest.Kernel), smallest, at.stride),
		project:   s.NewPWConvBN(at.name+".project", middle, at.outChannels, false),
		in:        at.inChannels,
		residual:  at.stride == 1 && at.inChannels == at.outChannels,
	}
}

func (m *mbconv) forward(t *nn.Tape, x nn.Value, b space.Block, mode nn.Mode) nn.Value {
	in, w := m.bits[0].read(t, x, b.Bits, mode)
	expanded := m.expand.Quantised(t, in, int(b.Expand)*m.in, w, mode)
	wide, w := m.bits[1].readOnly(t, expanded, b.Bits, mode)
	filtered := m.depthwise.Quantised(t, wide, int(b.Kernel), w, mode)
	t.Drop(wide)
	narrow, w := m.bits[2].readOnly(t, filtered, b.Bits, mode)
	y := m.project.Quantised(t, narrow, m.project.Weight.Value.Last(), w, mode)
	t.Drop(narrow)
	if m.residual {
		y = t.Add(in, y)
	}
	dropCopy(t, in, x)
	return y
}

// auxHead predicts the classes from an inner layer, to train it better (deep supervision).
type auxHead struct {
	sep    dwSep
	logits *nn.Classifier
}

func newAuxHead(s *nn.Store, name string, inChannels, classes int) auxHead {
	return auxHead{newDWSep(s, name+".sep", inChannels, auxChannels, 1), s.NewClassifier(name+".classifier", auxChannels, classes)}
}

func (h *auxHead) forward(t *nn.Tape, x nn.Value, mode nn.Mode) nn.Value {
	return h.logits.Forward(t, h.sep.forward(t, x, space.Bits{}, mode), mode)
}

// places returns where the blocks of each stage stand.
func places(net space.Network) [space.Stages][space.MaxDepth]blockPlace {
	var all [space.Stages][space.MaxDepth]blockPlace
	in := space.StemChannels
	for s := range all {
		for i := range all[s] {
			stride := 1
			if i == 0 {
				stride = net.Strides[s]
			}
			all[s][i] = blockPlace{fmt.Sprintf("stage%d.block%d", s+1, i+1), in, net.Widths[s], stride}
			in = net.Widths[s]
		}
	}
	return all
}
