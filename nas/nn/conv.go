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
	kind   convKind
	stride int
	weight gobind.Tensor // the view or transformed kernel that is used
	param  *Param        // of which weight is a view; for transformed kernels the largest kernel
	bias   *Param        // nil: none
	steps  transforms
}

// outputSize is the size of a convolution of padding k/2.
func outputSize(size, stride int) int { return (size-1)/stride + 1 }

// convolve computes a convolution to fresh memory.
func (t *Tape) convolve(c *convolution, x gobind.Tensor) (gobind.Tensor, int32) {
	channels := x.Last()
	if c.kind != depthwiseConv {
		channels = c.weight.Last()
	}
	y, block := t.activation(x.Shape[0], outputSize(x.Shape[1], c.stride), outputSize(x.Shape[2], c.stride), channels)
	if t.err != nil {
		return y, block
	}
	switch c.kind {
	case denseConv:
		t.count(opConv3x3, t.clock(), t.stream.Conv3x3Forward(x, c.weight, c.stride, y))
	case depthwiseConv:
		t.count(opDWConv, t.clock(), t.stream.DWConvForward(x, c.weight, c.stride, y))
	case pointwiseConv:
		var bias gobind.Tensor
		if c.bias != nil {
			bias = c.bias.Value
		}
		t.count(opPWConv, t.clock(), t.stream.PWConvForward(x, c.weight, bias, y))
	}
	return y, block
}

// weightGradient adds the gradients of the weight and the bias.
func (t *Tape) weightGradient(c *convolution, x, dy gobind.Tensor) {
	if c.steps.count > 0 {
		dw := t.scratch(c.weight.Shape[0], c.weight.Shape[1])
		t.count(opDWConvWeight, t.clock(), t.stream.DWConvBackwardWeight(x, dy, c.stride, false, dw))
		t.transformGradient(c, dw)
		return
	}
	dw, accumulate := t.touch(c.param, c.weight)
	switch c.kind {
	case denseConv:
		t.count(opConv3x3Weight, t.clock(), t.stream.Conv3x3BackwardWeight(x, dy, c.stride, accumulate, dw))
	case depthwiseConv:
		t.count(opDWConvWeight, t.clock(), t.stream.DWConvBackwardWeight(x, dy, c.stride, accumulate, dw))
	case pointwiseConv:
		t.count(opPWConvWeight, t.clock(), t.stream.PWConvBackwardWeight(x, dy, accumulate, dw))
	}
	if c.bias != nil {
		db, accumulate := t.touch(c.bias, c.bias.Value)
		t.count(opPWConvBias, t.clock(), t.stream.PWConvBackwardBias(dy, accumulate, db))
	}
}

// inputGradient passes the gradient on to the input, if that wants one.
func (t *Tape) inputGradient(c *convolution, input int32, dy gobind.Tensor) {
	x := &t.values[input]
	if !x.wantsGrad {
		return
	}
	dx, block := t.like(x.tensor)
	if t.err != nil {
		return
	}
	switch c.kind {
	case denseConv:
		t.count(opConv3x3Input, t.clock(), t.stream.Conv3x3BackwardInput(dy, c.weight, c.stride, dx))
	case depthwiseConv:
		t.count(opDWConvInput, t.clock(), t.stream.DWConvBackwardInput(dy, c.weight, c.stride, dx))
	case pointwiseConv:
		t.count(opPWConvInput, t.clock(), t.stream.PWConvBackwardInput(dy, c.weight, dx))
	}
	t.addGrad(input, dx, block)
}

// convBackward is the backward pass of every convolution, with or without batch norm. The weight's gradient comes first: it reads the
// large input, while the input's gradient, written last, is what the next layer back begins with.
func convBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	if n.norm.bn != nil {
		grad, block = t.denormalise(&n.norm, grad, block)
	}
	if t.err == nil {
		t.weightGradient(&n.conv, t.values[n.x].tensor, grad)
		t.inputGradient(&n.conv, n.x, grad)
	}
	t.arena.drop(block)
}

// convNorm runs a convolution, batch norm and perhaps ReLU.
func (t *Tape) convNorm(x Value, c convolution, bn *BatchNorm, relu bool, mode Mode) Value {
	out, block := t.convolve(&c, x.tensor)
	if t.err != nil {
		return x
	}
	if !mode.Trains() {
		t.normalise(bn, out, out, relu, mode)
		return t.newValue(out, block, false)
	}
	y, yBlock := t.like(out)
	if t.err != nil {
		return x
	}
	mean, invStd := t.normalise(bn, out, y, relu, mode)
	v := t.newValue(y, yBlock, true)
	n := t.record(convBackward, x.index, noValue, v.index)
	n.conv = c
	n.norm = normalisation{bn, out, block, mean, invStd, relu, mode == TrainFrozen}
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
	if !t.read(x, l.Weight.Name) {
		return x
	}
	w, err := widthPrefix(l.Weight, x.Channels(), outChannels)
	if err != nil {
		t.fail(err)
		return x
	}
	return t.convNorm(x, convolution{kind: pointwiseConv, stride: 1, weight: w, param: l.Weight}, l.BN, l.ReLU, mode)
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
	if !t.read(x, l.Weight.Name) {
		return x
	}
	c := convolution{kind: pointwiseConv, stride: 1, weight: l.Weight.Value, param: l.Weight, bias: l.Bias}
	y, block := t.convolve(&c, x.tensor)
	if t.err != nil {
		return x
	}
	v := t.newValue(y, block, mode.Trains())
	if mode.Trains() {
		t.record(convBackward, x.index, noValue, v.index).conv = c
	}
	return v
}
