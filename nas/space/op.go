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

// A network with bit widths has these instead of Fuse and Head, whose parts have widths of their own there and so are timed apart.
const (
	// Nearest is Fuse that upsamples to the nearest neighbour.
	Nearest Kind = "nearest"
	// Separable is a depthwise-separable convolution of the head.
	Separable Kind = "separable"
	// Classifier is the head behind them: the classifier at InH x InW, bilinear upsampling of the logits to OutH x OutW, and the argmax.
	Classifier Kind = "classifier"
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
	// Bits are those of the convolutions, in a stem of its last depthwise-separable one alone; zero in floating point.
	Bits Bits
	// What a block with bit widths reads is signed, unless it is the network's first; what it makes is rounded for the block that reads it, unless it is the last.
	Unsigned, Last bool
}

// Key names the operation in a latency table: operations that cost the same because they are the same share a key, wherever they
// stand. It spells kind, input and output size, channels, and for a block its expand ratio, kernel, stride and shortcut. Where there are bit widths
// these follow, and what the time of a block in integers depends on beside them: the sign of its input, and whether its output is rounded. The widths of
// the output are no part of it: whatever they are, it is kept as bytes.
func (op Op) Key() string {
	key := make([]byte, 0, 96)
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
	if op.Bits != (Bits{}) {
		key = op.Bits.appendTo(append(key, ' '))
	}
	if op.Unsigned {
		key = append(key, " unsigned"...)
	}
	if op.Last {
		key = append(key, " last"...)
	}
	return string(key)
}

// MACs returns the multiply-adds of the convolutions. Interpolation, additions, batch norm and activations are not counted,
// as is customary in the field.
func (op Op) MACs() int64 {
	var sum int64
	for _, c := range op.Convs() {
		sum += c.MACs()
	}
	return sum
}

// Params returns the learned parameters: weights, batch-norm scale and shift, and the classifier's bias. Running statistics
// are not counted.
func (op Op) Params() int64 {
	var sum int64
	for _, c := range op.Convs() {
		perChannel := int64(2) // batch norm's scale and shift
		if c.Bias {
			perChannel = 1
		}
		sum += c.Weights() + perChannel*int64(c.OutC)
	}
	return sum
}

// Conv is a convolution inside an Op: with batch norm, or with a bias instead.
type Conv struct {
	Name             string // in its operation
	OutH, OutW, OutC int
	Taps             int // weights per output channel
	Bias             bool
	Bits             Bits // of the weights, and of the activations that it reads
}

// Weights returns how many there are, without batch norm and bias.
func (c Conv) Weights() int64 { return int64(c.Taps) * int64(c.OutC) }

// MACs returns the multiply-adds.
func (c Conv) MACs() int64 { return c.Weights() * int64(c.OutH) * int64(c.OutW) }

// sep names the two convolutions of a depthwise-separable one.
type sep struct{ depthwise, pointwise string }

var sep1, sep2 = sep{"sep1.depthwise", "sep1.pointwise"}, sep{"sep2.depthwise", "sep2.pointwise"}

func (s sep) convs(outH, outW, inC, outC int, b Bits) []Conv {
	return []Conv{{s.depthwise, outH, outW, inC, 3 * 3, false, b}, {s.pointwise, outH, outW, outC, inC, false, b}}
}

// Convs returns the operation's convolutions in the order in which they run.
func (op Op) Convs() []Conv {
	switch op.Kind {
	case Stem:
		stem := []Conv{{"conv", down(op.InH, 2), down(op.InW, 2), stemConv, 3 * 3 * op.InC, false, Bits{}}}
		stem = append(stem, sep1.convs(down(op.InH, 4), down(op.InW, 4), stemConv, stemMiddle, Bits{})...)
		return append(stem, sep2.convs(op.OutH, op.OutW, stemMiddle, op.OutC, op.Bits)...)
	case MBConv:
		middle := op.Expand * op.InC
		return []Conv{
			{"expand", op.InH, op.InW, middle, op.InC, false, op.Bits},
			{"depthwise", op.OutH, op.OutW, middle, op.Kernel * op.Kernel, false, op.Bits},
			{"project", op.OutH, op.OutW, op.OutC, middle, false, op.Bits},
		}
	case Detail, Separable:
		return sep{"depthwise", "pointwise"}.convs(op.OutH, op.OutW, op.InC, op.OutC, op.Bits)
	case Head:
		head := append(sep1.convs(op.InH, op.InW, op.InC, op.InC, Bits{}), sep2.convs(op.InH, op.InW, op.InC, op.InC, Bits{})...)
		return append(head, op.classifier())
	case Classifier:
		return []Conv{op.classifier()}
	default: // Fuse has no convolution
		return nil
	}
}

func (op Op) classifier() Conv {
	return Conv{"classifier", op.InH, op.InW, op.OutC, op.InC, true, op.Bits}
}
