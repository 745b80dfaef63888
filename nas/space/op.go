package space

import "strconv"

// Kind tells what an Op computes.
type Kind string

const (
	// Stem is conv3x3 stride 2 to 32 channels, then depthwise-separable convolutions of stride 2 to 48 and to 64.
	Stem Kind = "stem"
	// MBConv is an inverted residual block, the only searched kind.
	MBConv Kind = "block"
	// Detail is the depthwise-separable convolution of the detail branch.
	Detail Kind = "detail"
	// Fuse is the bilinear upsampling of the context branch, from InH x InW, added to the detail branch at OutH x OutW.
	Fuse Kind = "fuse"
	// Head is two depthwise-separable convolutions and the classifier at InH x InW, bilinear upsampling of the logits to
	// OutH x OutW, and the argmax.
	Head Kind = "head"
)

// Op is one operation of an inference network: the unit in which latency is measured and summed. Heights and widths are in
// pixels, C in channels.
type Op struct {
	Kind             Kind
	Name             string // its place in the network, such as stage1.block2
	InH, InW, InC    int
	OutH, OutW, OutC int
	Kernel           int // of the depthwise or first convolution; 0 without one
	Stride           int // of the whole operation; 0 for Fuse
	Expand           int // MBConv only
	Residual         bool
}

// Key names the operation in a latency table: operations that cost the same because they are the same share a key, wherever they
// stand. It spells kind, input and output size, channels, and for a block its expand ratio, kernel, stride and shortcut.
func (op Op) Key() string {
	key := make([]byte, 0, 64)
	field := func(prefix string, v int) {
		key = strconv.AppendInt(append(key, prefix...), int64(v), 10)
	}
	key = append(key, op.Kind...)
	field(" ", op.InH)
	field("x", op.InW)
	field("x", op.InC)
	field("-", op.OutH)
	field("x", op.OutW)
	field("x", op.OutC)
	if op.Kind == MBConv {
		field(" e", op.Expand)
		field(" k", op.Kernel)
		field(" s", op.Stride)
		if op.Residual {
			key = append(key, " res"...)
		}
	}
	return string(key)
}

// MACs returns the multiply-adds of the convolutions. Interpolation, additions, batch norm and activations are not counted,
// as is customary in the field.
func (op Op) MACs() int64 {
	var sum int64
	for _, c := range op.convs() {
		sum += c.weights() * int64(c.outH) * int64(c.outW)
	}
	return sum
}

// Params returns the learned parameters: weights, batch-norm scale and shift, and the classifier's bias. Running statistics
// are not counted.
func (op Op) Params() int64 {
	var sum int64
	for _, c := range op.convs() {
		perChannel := int64(2) // batch norm's scale and shift
		if c.bias {
			perChannel = 1
		}
		sum += c.weights() + perChannel*int64(c.outC)
	}
	return sum
}

// conv is a convolution inside an Op: with batch norm, or with a bias instead.
type conv struct {
	outH, outW, outC int
	taps             int // weights per output channel
	bias             bool
}

func (c conv) weights() int64 { return int64(c.taps) * int64(c.outC) }

func dwSep(outH, outW, inC, outC int) []conv {
	return []conv{{outH, outW, inC, 3 * 3, false}, {outH, outW, outC, inC, false}}
}

func (op Op) convs() []conv {
	switch op.Kind {
	case Stem:
		stem := []conv{{down(op.InH, 2), down(op.InW, 2), stemConv, 3 * 3 * op.InC, false}}
		stem = append(stem, dwSep(down(op.InH, 4), down(op.InW, 4), stemConv, stemMiddle)...)
		return append(stem, dwSep(op.OutH, op.OutW, stemMiddle, op.OutC)...)
	case MBConv:
		middle := op.Expand * op.InC
		return []conv{
			{op.InH, op.InW, middle, op.InC, false},
			{op.OutH, op.OutW, middle, op.Kernel * op.Kernel, false},
			{op.OutH, op.OutW, op.OutC, middle, false},
		}
	case Detail:
		return dwSep(op.OutH, op.OutW, op.InC, op.OutC)
	case Head:
		head := append(dwSep(op.InH, op.InW, op.InC, op.InC), dwSep(op.InH, op.InW, op.InC, op.InC)...)
		return append(head, conv{op.InH, op.InW, op.OutC, op.InC, true})
	default: // Fuse has no convolution
		return nil
	}
}
