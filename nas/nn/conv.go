package nn

import (
	"fmt"

	"github.com/segnas/segnas/gobind"
)

type convKind uint8

const (
	denseConv convKind = iota // 3x3
	depthwiseConv
	pointwiseConv
)

// convolution is what a convolution's forward and backward passes need.
type convolution struct {
	kind     convKind
	stride   int
	dilation int           // of a depthwise one; 0 or 1: none
	weight   gobind.Tensor // the view or transformed kernel that is used
	param    *Param        // of which weight is a view; for transformed kernels the largest kernel
	bias     *Param        // nil: none
	steps    transforms
	quant    quantising    // of the weights
	float    gobind.Tensor // what quant made weight of: a view or transformed kernel
}

// outputSize is the size of a convolution of padding k/2.
func outputSize(size, stride int) int { return (size-1)/stride + 1 }

// convolve computes a convolution of x to fresh memory, and with measure the moments of the result.
func (t *Tape) convolve(c *convolution, x Value, measure bool) (y gobind.Tensor, block int32, moments gobind.Tensor) {
	channels := x.Channels()
	if c.kind != depthwiseConv {
		channels = c.weight.Last()
	}
	shape, stored := x.tensor.Shape, t.stored
	if c.bias != nil { // logits
		stored = gobind.F32
	}
	y, block = t.activation(stored, shape[0], outputSize(shape[1], c.stride), outputSize(shape[2], c.stride), channels)
	if t.err != nil {
		return y, block, moments
	}
	if measure {
		moments = t.scratchPairs(channels)
	}
	from := t.values[x.index].source()
	if c.dilation > 1 {
		t.dilated(c, t.plain(x), y, moments)
		return y, block, moments
	}
	switch c.kind {
	case denseConv:
		t.count(opConv3x3, t.clock(), t.stream.Conv3x3NormForward(t.plain(x), c.weight, c.stride, y, moments))
	case depthwiseConv:
		t.count(opDWConv, t.clock(), t.stream.DWConvNormForward(from.tensor, from.norm, from.relu, c.weight, c.stride, y, moments))
	case pointwiseConv:
		var bias gobind.Tensor
		if c.bias != nil {
			bias = c.bias.Value
		}
		t.count(opPWConv, t.clock(), t.stream.PWConvNormForward(from.tensor, from.norm, from.relu, c.weight, bias, y, moments))
	}
	return y, block, moments
}

// gradients computes the gradients of the weight and, where the input wants one, of the input from that of y's activation.
func (t *Tape) gradients(c *convolution, input int32, y source, grad gobind.Tensor) {
	x := &t.values[input]
	var dx, sums gobind.Tensor
	block := noBlock
	from := x.source()
	if x.wantsGrad {
		dx, block = t.like(x.tensor)
		// The sums of the only gradient that the input gets are taken while it is in cache.
		if c.kind != denseConv && c.dilation <= 1 && !from.norm.IsZero() && x.gradBlock == noBlock && x.reads == 1 {
			sums = t.scratchSums(from.norm)
		}
	}
	dw, accumulate := t.weightGradient(c)
	if t.err != nil {
		t.arena.drop(block)
		return
	}
	switch {
	case c.dilation > 1:
		t.dilatedGradients(c, x.activation(), y, grad, accumulate, dw, dx)
	case c.kind == denseConv:
		t.denseGradients(c, x.activation(), y, grad, accumulate, dw, dx)
	case c.kind == depthwiseConv:
		t.count(opDWConvBackward, t.clock(), t.stream.DWConvNormBackward(from.tensor, from.norm, from.relu, c.weight, c.stride,
			y.tensor, y.norm, y.relu, grad, accumulate, dw, dx, sums))
	default:
		t.count(opPWConvBackward, t.clock(), t.stream.PWConvNormBackward(from.tensor, from.norm, from.relu, c.weight,
			y.tensor, y.norm, y.relu, grad, accumulate, dw, dx, sums))
	}
	if c.bias != nil {
		db, accumulate := t.touch(c.bias, c.bias.Value)
		t.count(opPWConvBias, t.clock(), t.stream.PWConvBackwardBias(grad, accumulate, db))
	}
	if c.quant.clip != nil {
		t.quantisedGradient(c, dw)
	}
	if c.steps.count > 0 {
		t.transformGradient(c, dw)
	}
	if x.wantsGrad {
		t.addGrad(input, dx, block)
		x.sums, x.summed = sums, !sums.IsZero()
	}
}

// weightGradient returns where the gradient of the weight goes, and whether it is added to what is there.
func (t *Tape) weightGradient(c *convolution) (dw gobind.Tensor, accumulate bool) {
	if c.steps.count > 0 || c.quant.clip != nil {
		return t.scratch(c.weight.Shape[0], c.weight.Shape[1]), false
	}
	return t.touch(c.param, c.weight)
}

// denseGradients is gradients for the 3x3 convolution, whose input wants a gradient in tests alone.
func (t *Tape) denseGradients(c *convolution, x gobind.Tensor, y source, grad gobind.Tensor, accumulate bool, dw, dx gobind.Tensor) {
	t.count(opConv3x3Weight, t.clock(), t.stream.Conv3x3NormBackwardWeight(x, c.stride, y.tensor, y.norm, y.relu, grad, accumulate, dw))
	if dx.IsZero() {
		return
	}
	dy, block := t.like(y.tensor)
	if t.err != nil {
		return
	}
	t.fail(t.stream.NormGradient(y.tensor, y.norm, y.relu, grad, dy))
	t.count(opConv3x3Input, t.clock(), t.stream.Conv3x3BackwardInput(dy, c.weight, c.stride, dx))
	t.arena.drop(block)
}

// convBackward is the backward pass of every convolution, with or without batch norm.
func convBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	var y source
	if n.norm.bn != nil {
		v := &t.values[n.y]
		t.normBackward(&n.norm, v, grad)
		y = source{v.tensor, v.norm, v.relu}
	}
	if t.err == nil {
		t.gradients(&n.conv, n.x, y, grad)
	}
	t.arena.drop(block)
}

// convNorm runs a convolution, batch norm and perhaps ReLU.
func (t *Tape) convNorm(x Value, c convolution, bn *BatchNorm, relu bool, mode Mode) Value {
	out, block, moments := t.convolve(&c, x, mode.batchStatistics())
	if t.err != nil {
		return x
	}
	norm := t.norm(bn, out, moments, mode)
	v := t.newValue(out, block, mode.Trains())
	s := &t.values[v.index]
	s.norm, s.relu = norm, relu
	if mode.Trains() {
		n := t.record(convBackward, x.index, noValue, v.index)
		n.conv, n.norm = c, normalisation{bn, mode == TrainFrozen}
	}
	return v
}

// ConvBN is a dense 3x3 convolution of at most 16 input channels, batch norm and ReLU.
type ConvBN struct {
	Weight *Param // [9*Cin][Cout]
	BN     *BatchNorm
	Stride int
}

// NewConvBN makes the layer's parameters.
func (s *Store) NewConvBN(name string, inChannels, outChannels, stride int) *ConvBN {
	return &ConvBN{
		Weight: s.weight(name+".weight", 9*inChannels, 9*inChannels, outChannels),
		BN:     s.batchNorm(name+".bn", outChannels), Stride: stride,
	}
}

// Forward runs the layer.
func (l *ConvBN) Forward(t *Tape, x Value, mode Mode) Value {
	if !t.read(x, l.Weight.Name) {
		return x
	}
	return t.convNorm(x, convolution{kind: denseConv, stride: l.Stride, weight: l.Weight.Value, param: l.Weight}, l.BN, true, mode)
}

// PWConvBN is a pointwise convolution, batch norm and perhaps ReLU.
type PWConvBN struct {
	Weight *Param // [Cin][Cout]
	BN     *BatchNorm
	ReLU   bool
}

// NewPWConvBN makes the layer's parameters for its largest widths.
func (s *Store) NewPWConvBN(name string, inChannels, outChannels int, relu bool) *PWConvBN {
	return &PWConvBN{
		Weight: s.weight(name+".weight", inChannels, inChannels, outChannels),
		BN:     s.batchNorm(name+".bn", outChannels), ReLU: relu,
	}
}

// Forward runs the first outChannels outputs of the layer on x, which may have fewer channels than the layer has inputs.
func (l *PWConvBN) Forward(t *Tape, x Value, outChannels int, mode Mode) Value {
	return l.Quantised(t, x, outChannels, WeightBits{}, mode)
}

// Quantised is Forward with weights of few bits.
func (l *PWConvBN) Quantised(t *Tape, x Value, outChannels int, bits WeightBits, mode Mode) Value {
	if !t.read(x, l.Weight.Name) {
		return x
	}
	w, err := widthPrefix(l.Weight, x.Channels(), outChannels)
	if err != nil {
		t.fail(err)
		return x
	}
	c := convolution{kind: pointwiseConv, stride: 1, weight: w, param: l.Weight}
	t.quantise(&c, bits)
	return t.convNorm(x, c, l.BN, l.ReLU, mode)
}

// widthPrefix returns the part of a weight matrix for the given widths.
func widthPrefix(w *Param, rows, cols int) (gobind.Tensor, error) {
	if rows > w.Value.Shape[0] || cols > w.Value.Shape[1] || cols < 1 {
		return gobind.Tensor{}, fmt.Errorf("%d x %d channels wanted of a layer of %d x %d", rows, cols, w.Value.Shape[0], w.Value.Shape[1])
	}
	return w.Value.Prefix(rows, cols), nil
}

// Classifier is a pointwise convolution with bias and nothing after it.
type Classifier struct {
	Weight *Param // [Cin][classes]
	Bias   *Param // [classes]
}

// NewClassifier makes the layer's parameters.
func (s *Store) NewClassifier(name string, inChannels, classes int) *Classifier {
	return &Classifier{
		Weight: s.weight(name+".weight", inChannels, inChannels, classes),
		Bias:   s.param(name+".bias", false, classes),
	}
}

// Forward returns the logits.
func (l *Classifier) Forward(t *Tape, x Value, mode Mode) Value {
	return l.Quantised(t, x, WeightBits{}, mode)
}

// Quantised is Forward with weights of few bits; the bias stays float32.
func (l *Classifier) Quantised(t *Tape, x Value, bits WeightBits, mode Mode) Value {
	if !t.read(x, l.Weight.Name) {
		return x
	}
	c := convolution{kind: pointwiseConv, stride: 1, weight: l.Weight.Value, param: l.Weight, bias: l.Bias}
	t.quantise(&c, bits)
	y, block, _ := t.convolve(&c, x, false)
	if t.err != nil {
		return x
	}
	v := t.newValue(y, block, mode.Trains())
	if mode.Trains() {
		t.record(convBackward, x.index, noValue, v.index).conv = c
	}
	return v
}
